import { readdirSync } from "node:fs";
import { basename, dirname, isAbsolute, join } from "node:path";
import { messageOf, type SourceLocation, VolleyError } from "../../core/errors.ts";
import type { Vars } from "../../core/values/vars.ts";
import type { VaultedText } from "../../core/values/vaulted.ts";
import { isVault } from "../../vars/vault-format.ts";
import type { YamlNode } from "../../yaml/document.ts";
import type { FileNode, Node, PlaybookTree, PlayNode, RoleNode, RoleUseNode, TreeSettings } from "../ir.ts";
import { shortModuleName } from "../keywords.ts";
import { locationOf, placeText } from "../place.ts";
import { Collection, templatePattern, YAML } from "./collection.ts";
import { KnownVars } from "./known-vars.ts";
import { textsIn } from "./needs.ts";
import { readPlaybook } from "./plays.ts";
import {
  isDirectory,
  isFile,
  mappingOf,
  parseSource,
  readText,
  readVars,
  recordOf,
  type SourceFile,
} from "./read.ts";
import { type FoundRole, findMain, findPlaybook, findRole, listFiles, type SearchPaths } from "./roles.ts";
import { SealedTexts } from "./sealed-texts.ts";
import { type Imports, readRoleUse, readStatements } from "./statements.ts";

/** The surroundings of a playbook. */
export interface LoadOptions extends SearchPaths {
  readonly settings: TreeSettings;
  /** Extra vars: names of what is imported may be made of them. */
  readonly extra?: Vars;
  /** The playbook's text, where its file is not there. */
  readonly text?: string;
  /** Directories of modules of one's own, beside `library` of the playbook and of roles. */
  readonly library: readonly string[];
  readonly isModule: (name: string) => boolean;
}

/** A playbook, loaded. */
export interface LoadedTree {
  readonly tree: PlaybookTree;
  /** Files for the hosts: path relative to the playbook's directory, and absolute path. */
  readonly files: ReadonlyMap<string, string>;
  /** All that was read or looked for, as absolute paths: when any of it changes, the tree is out of date. */
  readonly inputs: readonly string[];
  /** The names of the modules of all tasks, and of the actions that stand behind them. */
  readonly modules: readonly string[];
  /** Texts encrypted with Ansible Vault. */
  readonly vaulted: readonly VaultedText[];
  /** True when a template asks for the version of the host's Python. */
  readonly asksForPython: boolean;
  /** The files of roles in TypeScript, as absolute paths, by the path of the role. */
  readonly scripts: ReadonlyMap<string, string>;
}

/** Load a playbook and all it may reach. Fails with `PLAYBOOK_INVALID`, with file, line and column. */
export function loadTree(file: string, options: LoadOptions): LoadedTree {
  return new Loader(file, options).load();
}

/**
 * Load one role, with nothing of other roles. The role's directory is the playbook's directory of the tree, so that all
 * paths begin in the role: `tasks/main.yml`. Fails with `PLAYBOOK_INVALID`, with file, line and column.
 */
export function loadRole(directory: string, options: LoadOptions): LoadedTree {
  return new Loader(join(directory, "playbook.yml"), { ...options, playbookDirectory: directory }).loadRole();
}

/** Load roles that a playbook in TypeScript uses, and all they may reach. Fails with `PLAYBOOK_INVALID`. */
export function loadRoles(file: string, names: readonly string[], options: LoadOptions): LoadedTree {
  return new Loader(file, options).loadRoles(names);
}

/** Directories of a role that hold nothing a host needs. */
const UNUSED =
  /^(?:\.[^/]*|molecule|tests?|docs?|examples?|node_modules|changelogs?|README[^/]*|LICENSE[^/]*|CHANGELOG[^/]*|CONTRIBUTING[^/]*|requirements[^/]*\.(?:txt|yml)|tox\.ini|Makefile|Vagrantfile)$/i;
/** Directories whose YAML becomes part of the tree. */
const TREE_DIRECTORIES = /^(?:tasks|handlers|vars|defaults|meta)\//;

/** The actions that modules of the interpreter's own are made of. */
const BEHIND: Readonly<Record<string, readonly string[]>> = {
  command: ["shell"],
  script: ["command"],
  raw: ["shell"],
  systemd_service: ["systemd"],
};

class Loader {
  readonly #file: string;
  readonly #options: LoadOptions;
  readonly #roles = new Map<string, RoleNode>();
  readonly #roleNames: Record<string, string> = {};
  readonly #tasks: Record<string, FileNode<readonly Node[]>> = {};
  readonly #vars: Record<string, FileNode<Record<string, unknown>>> = {};
  readonly #collection: Collection;
  readonly #scripts = new Map<string, string>();
  #loading = new Set<string>();
  readonly #known: KnownVars;
  readonly #modules = new Set<string>();
  readonly #sealed = new SealedTexts();
  /** Files that are read in any case. */
  readonly #always = new Set<string>();
  /** True while one role is loaded, and nothing of the roles that it names. */
  #isAlone = false;

  constructor(file: string, options: LoadOptions) {
    this.#file = file;
    this.#options = options;
    this.#collection = new Collection(options.playbookDirectory, options.collections);
    this.#known = new KnownVars(options.extra ?? {});
  }

  load(): LoadedTree {
    const plays = readPlaybook(this.#file, {
      collection: this.#collection,
      known: this.#known,
      source: (file) => this.#source(file),
      imports: () => this.#imports(undefined, "imports"),
      needed: (use) => this.#needed(use),
      ofCollection: (name) => findPlaybook(name, this.#options.collections),
      takeVarsFile: (name, from, isCertain) => {
        if (isCertain)
          for (const file of this.#collection.candidates(name, from, undefined, ["vars"]))
            this.#always.add(file);
        this.#mentionVars(name, from, undefined);
      },
    });
    if (plays.length === 0)
      throw new VolleyError("PLAYBOOK_INVALID", "A playbook must contain at least one play", {
        location: { file: basename(this.#file) },
      });
    for (const directory of this.#options.library) this.#collection.takeLibrary(directory);
    return this.#loaded(plays);
  }

  loadRoles(names: readonly string[]): LoadedTree {
    for (const name of names) {
      const { missing } = this.#imports(undefined, "maybe").findRole(name, "", {
        file: basename(this.#file),
      });
      if (missing !== undefined) throw new VolleyError("PLAYBOOK_INVALID", missing);
    }
    for (const [path, file] of this.#scripts)
      throw new VolleyError("PLAYBOOK_INVALID", `${path} is a role in TypeScript`, {
        hint: `import it: import role from "./${this.#collection.pathOf(file)}"`,
      });
    for (const directory of [join(this.#collection.base, "library"), ...this.#options.library])
      this.#collection.takeLibrary(directory);
    return this.#loaded([]);
  }

  loadRole(): LoadedTree {
    this.#isAlone = true;
    this.#loadRole(
      { directory: this.#collection.base, name: basename(this.#collection.base) },
      basename(this.#collection.base),
    );
    return this.#loaded([]);
  }

  #loaded(plays: readonly PlayNode[]): LoadedTree {
    return {
      tree: {
        file: basename(this.#file),
        plays,
        roles: Object.fromEntries(this.#roles),
        tasks: this.#tasks,
        vars: this.#vars,
        roleNames: this.#roleNames,
        library: this.#collection.library,
        actionGroups: this.#collection.groups.modules,
        settings: this.#options.settings,
        ...(this.#sealed.texts.length === 0 ? {} : { vaulted: { files: this.#sealed.files } }),
        ...(this.#collection.sealed.length === 0 ? {} : { sealedFiles: this.#collection.sealed }),
        needs: this.#collection.needs.all,
      },
      files: this.#collection.files,
      inputs: [...this.#collection.inputs],
      modules: [...this.#modules].sort(),
      asksForPython: this.#collection.asksForPython,
      vaulted: this.#sealed.texts,
      scripts: this.#scripts,
    };
  }

  #source(file: string): SourceFile {
    const path = this.#collection.pathOf(file);
    const { text } = this.#options;
    if (text !== undefined && file === this.#file) return parseSource(text, path, this.#sealed.seal);
    this.#collection.inputs.add(file);
    return parseSource(readText(file, path), path, this.#sealed.seal);
  }

  /** Read a file by `work`; one that is not always needed with all that it brings in. The `vars_files` of plays always are. */
  #reading(file: string, work: () => void): void {
    const isMain = /(?:^|\/)(?:main(?:\.\w+)?|main\/[^/]+)$/.test(this.#collection.pathOf(file));
    this.#sealed.reading(this.#always.has(file) || isMain, work);
  }

  /** A role that a play or a role's meta names must be there. */
  #needed(use: RoleUseNode): RoleUseNode {
    this.#collection.needs.keys(use.keys, use.at);
    this.#collection.needs.value(use.params, use.at);
    if (use.missing === undefined || this.#isAlone) return use;
    throw new VolleyError("PLAYBOOK_INVALID", use.missing, { location: locationOf(use.at) });
  }

  #imports(role: FoundRole | undefined, includesAre: Imports["includesAre"]): Imports {
    return {
      includesAre,
      importTasks: (name, from, at) => {
        const file = this.#findTasks(name, from, role);
        if (file === undefined)
          throw new VolleyError(
            "PLAYBOOK_INVALID",
            `Could not find or access '${name}' on the Ansible Controller.`,
            { location: at },
          );
        const path = this.#collection.pathOf(file);
        if (this.#loading.has(path))
          throw new VolleyError("PLAYBOOK_INVALID", `${name} imports itself`, { location: at });
        return { path, nodes: this.#readTasks(file, role, includesAre) };
      },
      findRole: (name) => {
        const { playbook } = this.#collection;
        const places = { ...this.#options, playbookDirectory: playbook };
        const found = findRole(name, places, role, this.#collection.collections);
        if (found === undefined)
          return {
            name,
            missing: `the role '${name}' was not found in ${[join(playbook, "roles"), ...this.#options.roles, playbook].join(":")}`,
          };
        // Of other roles, one that is loaded alone has the names.
        if (this.#isAlone && found.directory !== this.#collection.base) return { name };
        return { name: found.name, role: this.#loadRole(found, name) };
      },
      needed: (use) => this.#needed(use),
      fill: (name, own) =>
        this.#known.fill(name, {
          ...own,
          playbook_dir: this.#collection.playbook,
          ...(role === undefined ? {} : { role_path: role.directory }),
        }),
      fitRoles: (name) => this.#takeFittingRoles(name, role),
      mention: (module, args, from) => this.#mention(module, args, from, role),
      needs: this.#collection.needs,
      isModule: (name) =>
        this.#options.isModule(shortModuleName(name)) || Object.hasOwn(this.#collection.library, name),
    };
  }

  /** Take the roles that a name with templates may mean: only the host can tell which. */
  #takeFittingRoles(name: string, role: FoundRole | undefined): void {
    // Of other roles, one that is loaded alone has the names.
    if (this.#isAlone) return;
    const pattern = templatePattern(name);
    const own = join(this.#collection.playbook, "roles");
    const beside = role === undefined ? [] : [dirname(role.directory)];
    // Nothing but a template fits all: those in other places are too many.
    const places = pattern.source === "^.*$" ? [own] : [own, ...beside, ...this.#options.roles];
    for (const place of new Set(places.filter(isDirectory))) {
      this.#collection.inputs.add(place);
      for (const each of readdirSync(place)
        .filter((entry) => pattern.test(entry))
        .sort()) {
        const found = findRole(
          each,
          { ...this.#options, playbookDirectory: this.#collection.playbook },
          role,
        );
        try {
          if (found !== undefined) this.#reading(found.directory, () => this.#loadRole(found, each));
        } catch {
          // A role that cannot be read is missed by the task that asks for it.
        }
      }
    }
  }

  #readTasks(
    file: string,
    role: FoundRole | undefined,
    includesAre: Imports["includesAre"],
  ): readonly Node[] {
    const path = this.#collection.pathOf(file);
    this.#loading.add(path);
    try {
      const source = this.#source(file);
      return readStatements(source, source.reader.root, this.#imports(role, includesAre));
    } finally {
      this.#loading.delete(path);
    }
  }

  /** Put a file of tasks into the tree; faults of it are told when it is reached. */
  #takeTasks(file: string, role: FoundRole | undefined): void {
    const path = this.#collection.pathOf(file);
    if (Object.hasOwn(this.#tasks, path)) return;
    this.#tasks[path] = { content: [] };
    const isMain = role !== undefined && /^main(?:\.\w+)?$/.test(basename(path));
    // A file that may be included is no part of the imports that are being read: it may import those.
    const around = this.#loading;
    this.#loading = new Set();
    this.#reading(file, () => {
      try {
        this.#tasks[path] = { content: this.#readTasks(file, role, isMain ? "maybe" : "dynamic") };
      } catch (thrown) {
        this.#tasks[path] = { error: describe(thrown) };
      }
    });
    this.#loading = around;
  }

  #takeVars(file: string): void {
    const path = this.#collection.pathOf(file);
    if (Object.hasOwn(this.#vars, path)) return;
    this.#collection.inputs.add(file);
    this.#reading(file, () => {
      try {
        const text = readText(file, path);
        if (isVault(text)) {
          this.#vars[path] = { error: `${path} is encrypted with Ansible Vault` };
          this.#sealed.keepFile(path, text);
          return;
        }
        const content = readVars(text, path, this.#sealed.seal);
        this.#collection.needs.vars(content, path);
        this.#vars[path] = { content };
      } catch (thrown) {
        this.#vars[path] = { error: describe(thrown) };
      }
    });
  }

  #findTasks(name: string, from: string, role: FoundRole | undefined): string | undefined {
    return this.#collection.candidates(name, from, role, ["tasks", "handlers"]).find(isFile);
  }

  /** Put what an include or a file name in arguments means into the tree, where it can be told now. */
  #mention(
    module: string,
    args: Readonly<Record<string, unknown>>,
    from: string,
    role: FoundRole | undefined,
  ): void {
    for (const name of [module, ...(BEHIND[module] ?? [])]) this.#modules.add(name);
    if (module === "include_tasks" || module === "include" || module === "import_tasks") {
      const name = args._raw_params ?? args.file;
      if (typeof name === "string") this.#mentionTasks(name, from, role);
      return;
    }
    if (module === "include_vars") {
      const name = args._raw_params ?? args.file ?? args.dir;
      if (typeof name === "string") this.#mentionVars(name, from, role);
      return;
    }
    for (const text of textsIn(args)) {
      if (text.length > 300 || /[\n{}|*]/.test(text) || text.trim() === "") continue;
      const word = module === "script" ? text.split(/\s+/)[0]! : text;
      if (isAbsolute(word)) continue;
      for (const file of this.#collection.candidates(word, from, role, ["files", "templates"])) {
        if (isFile(file)) this.#collection.takeFile(file);
        else if (isDirectory(file) && !/^\.{0,2}\/?$/.test(word) && module !== "find")
          this.#collection.takeDirectory(file);
      }
    }
  }

  #mentionTasks(name: string, from: string, role: FoundRole | undefined): void {
    if (!name.includes("{{")) {
      const file = this.#findTasks(name, from, role);
      if (file !== undefined) this.#takeTasks(file, role);
      return;
    }
    // Only the host can tell which: all that fit go along.
    for (const file of this.#collection.fitting(name, from, role, ["tasks"])) this.#takeTasks(file, role);
  }

  #mentionVars(name: string, from: string, role: FoundRole | undefined): void {
    if (name.includes("{{")) {
      for (const file of this.#collection.fitting(name, from, role, ["vars"])) this.#takeVars(file);
      return;
    }
    for (const found of this.#collection.candidates(name, from, role, ["vars"])) {
      if (isFile(found)) this.#takeVars(found);
      else if (isDirectory(found)) for (const file of listFiles(found)) this.#takeVars(join(found, file));
      else continue;
      return;
    }
  }

  #loadRole(found: FoundRole, name: string): string {
    const { directory } = found;
    const key = this.#collection.pathOf(directory);
    // Playbooks that are imported may have roles of the same name.
    this.#roleNames[`${this.#collection.pathOf(this.#collection.playbook)}:${name}`] = key;
    this.#roleNames[name] ??= key;
    if (this.#roles.has(key)) return key;
    this.#collection.inputs.add(directory);
    if (found.script !== undefined) {
      this.#scripts.set(key, found.script);
      this.#roles.set(key, {
        name: found.name,
        path: key,
        script: this.#collection.pathOf(found.script),
        dependencies: [],
        allowDuplicates: false,
        argumentSpecs: {},
      });
      return key;
    }
    const meta = this.#readMeta(found);
    // Known before its tasks are read: a role may include itself.
    this.#roles.set(key, {
      name: found.collection === undefined ? basename(name) : `${found.collection}.${found.name}`,
      path: key,
      dependencies: [],
      allowDuplicates: meta.allowDuplicates,
      argumentSpecs: meta.argumentSpecs,
      ...(found.collection === undefined ? {} : { collection: found.collection }),
    });
    this.#collection.takeLibrary(join(directory, "library"));
    const dependencies =
      meta.source === undefined ? [] : this.#readDependencies(meta.source, meta.node, found);
    this.#roles.set(key, { ...this.#roles.get(key)!, dependencies });
    for (const kind of ["vars", "defaults"])
      for (const path of this.#collection.listYaml(join(directory, kind))) this.#takeVars(path);
    for (const kind of ["tasks", "handlers"])
      for (const path of this.#collection.listYaml(join(directory, kind)))
        if (YAML.test(path) || basename(path) === "main") this.#takeTasks(path, found);
    const isInTree = (path: string): boolean =>
      TREE_DIRECTORIES.test(path) && (YAML.test(path) || /\/main$/.test(path));
    this.#collection.takeDirectory(directory, (path) => !UNUSED.test(path) && !isInTree(path));
    return key;
  }

  #readMeta({ directory }: FoundRole): {
    readonly source?: SourceFile;
    readonly node: YamlNode | null;
    readonly allowDuplicates: boolean;
    readonly argumentSpecs: Readonly<Record<string, unknown>>;
  } {
    const file = findMain(join(directory, "meta"), "main");
    const specs = findMain(join(directory, "meta"), "argument_specs");
    let argumentSpecs: unknown;
    if (specs !== undefined) {
      this.#collection.inputs.add(specs);
      argumentSpecs = readVars(
        readText(specs, this.#collection.pathOf(specs)),
        this.#collection.pathOf(specs),
        this.#sealed.seal,
      ).argument_specs;
    }
    if (file === undefined || !isFile(file))
      return { node: null, allowDuplicates: false, argumentSpecs: recordOf(argumentSpecs) };
    const source = this.#source(file);
    const mapping = mappingOf(source, source.reader.root);
    if (mapping === undefined)
      return { node: null, allowDuplicates: false, argumentSpecs: recordOf(argumentSpecs) };
    const { reader } = source;
    const get = (key: string): unknown => reader.value(mapping.entries.get(key)?.node ?? null);
    return {
      source,
      node: mapping.entries.get("dependencies")?.node ?? null,
      allowDuplicates: get("allow_duplicates") === true || get("allow_duplicates") === "yes",
      argumentSpecs: recordOf(argumentSpecs ?? get("argument_specs")),
    };
  }

  #readDependencies(source: SourceFile, node: YamlNode | null, role: FoundRole): readonly RoleUseNode[] {
    return (source.reader.items(node) ?? []).map((item) =>
      this.#needed(readRoleUse(source, item, this.#imports(role, "maybe"))),
    );
  }
}

function describe(thrown: unknown): string {
  const location: SourceLocation | undefined = thrown instanceof VolleyError ? thrown.location : undefined;
  return `${location === undefined ? "" : `${placeText(location)}: `}${messageOf(thrown)}`;
}
