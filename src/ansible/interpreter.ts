import { posix } from "node:path";
import { VolleyError } from "../core/errors.ts";
import { bytesToText } from "../core/values/bytes.ts";
import { LATE, type Vars } from "../core/values/vars.ts";
import type { ProgramHost } from "../engine/program.ts";
import { createLookupAnswers } from "../engine/render.ts";
import { maskThoseOf } from "../engine/results.ts";
import type { TemplateLoader, Templates } from "../template/index.ts";
import { isTemplate, listedScope } from "../vars/scope.ts";
import { candidates, createPlaybookFiles, type PlaybookFiles, type SearchRoots } from "./files.ts";
import type { Frame, RoleInstance } from "./frame.ts";
import { type HostState, stateIn, stateOf } from "./host-state.ts";
import { HostVars } from "./host-vars.ts";
import { inventoryOf, type RunInventory } from "./inventory.ts";
import type { Node, PlaybookTree, PlayNode, RoleUseNode, ScriptRoles } from "./ir.ts";
import { CONTROLLER } from "./keywords.ts";
import { findHere, lookUpHere } from "./lookups.ts";
import type { Modules } from "./modules/registry.ts";
import { BrokenFile, MissingInclude } from "./play/register.ts";
import { Steps } from "./play/steps.ts";
import { unasked } from "./static/prompts.ts";
import { staticRoles } from "./static/roles.ts";
import { createTemplar, type Templar } from "./templar.ts";
import { layersOf, magicVars, type PlayVars } from "./vars.ts";

/** A play of a tree on a host: files, vars, roles and templates, for all that carries its tasks out. */
export class Interpreter {
  readonly host: ProgramHost;
  readonly tree: PlaybookTree;
  readonly play: PlayNode;
  readonly actions: Modules;
  readonly verbosity: number;
  readonly files: PlaybookFiles;
  readonly state: HostState;
  readonly inventory: RunInventory;
  readonly steps: Steps;
  /** The roles of the play whose defaults and vars all tasks see. */
  readonly roles: RoleInstance[] = [];
  readonly #magic: Vars;
  readonly #hostVars: HostVars;
  readonly #answers: ReturnType<typeof createLookupAnswers> | undefined;
  /** The templar of the task at work, and the version of the host's state that it is made of. */
  #latest: { readonly frame: Frame; readonly version: number; readonly templar: Templar } | undefined;
  readonly #templates = new Map<string, Templates>();
  readonly #warned = new Set<string>();
  #varsFiles: readonly Vars[] = [];
  #filledName: string | undefined;

  /** The playbook's roles in TypeScript. */
  readonly scripts: ScriptRoles;

  constructor(
    tree: PlaybookTree,
    play: PlayNode,
    actions: Modules,
    host: ProgramHost,
    scripts: ScriptRoles = {},
  ) {
    this.host = host;
    this.scripts = scripts;
    this.tree = tree;
    this.play = play;
    this.#answers = host.world === undefined ? undefined : createLookupAnswers(host.world.lookups);
    this.actions = actions;
    this.verbosity = host.job.options.verbosity ?? 0;
    const { job } = host;
    const isHere = host.world !== undefined || (job.isLocal === true && job.session?.project !== undefined);
    const base = posix.resolve(job.session?.project ?? "/", tree.below ?? ".");
    this.files = createPlaybookFiles(host.assets, base, isHere);
    this.inventory = inventoryOf(host);
    this.state = stateOf(host);
    this.state.job = job;
    this.#hostVars = new HostVars(host);
    this.steps = new Steps(host);
    const self = this;
    this.#magic = magicVars({
      inventory_hostname: job.host,
      inventory_hostname_short: job.host.split(".")[0],
      get groups() {
        return self.inventory.groups;
      },
      get group_names() {
        return self.inventory.groupsOf(job.host);
      },
      playbook_dir: this.directory,
      inventory_dir: this.files.base,
      inventory_file: null,
      ansible_inventory_sources: [],
      get ansible_play_name() {
        return self.#playName;
      },
      get play_hosts() {
        return self.steps.hosts("play");
      },
      get ansible_play_hosts() {
        return self.steps.hosts("play");
      },
      get ansible_play_hosts_all() {
        return self.steps.hosts("all");
      },
      get ansible_play_batch() {
        return self.steps.hosts("batch");
      },
      get ansible_play_role_names() {
        return staticRoles(tree, play).names;
      },
      get role_names() {
        return staticRoles(tree, play).names;
      },
      get ansible_role_names() {
        const { names, dependencies } = staticRoles(tree, play);
        return [...new Set([...dependencies, ...names])];
      },
      get ansible_dependent_role_names() {
        return staticRoles(tree, play).dependencies;
      },
      ansible_check_mode: job.options.check,
      ansible_diff_mode: job.options.diff,
      ansible_verbosity: this.verbosity,
      ...(tree.settings.managed === undefined ? {} : { ansible_managed: tree.settings.managed }),
      ansible_forks: job.options.forks ?? 5,
      ansible_run_tags: job.options.tags.length === 0 ? ["all"] : job.options.tags,
      ansible_skip_tags: job.options.skipTags,
      ansible_limit: undefined,
      ansible_playbook_python: "/usr/bin/python3",
      ansible_config_file: null,
      environment: [],
      get hostvars(): Vars {
        return self.#hostvars;
      },
    });
  }

  /** The name of the play, filled in; the pattern of its hosts where it has none. */
  get #playName(): string {
    const { name } = this.play;
    // A name that asks for itself gets itself as it is written.
    this.#filledName ??= name;
    if (this.#filledName !== name || !isTemplate(name)) return this.#filledName;
    try {
      this.#filledName = this.templar(undefined).text(name);
    } catch {
      // It stays as it is written.
    }
    return this.#filledName;
  }

  get #hostvars(): Vars {
    const { job } = this.host;
    const all: Record<string, Vars> = Object.defineProperty({}, LATE, { value: true });
    for (const name of this.inventory.hosts)
      Object.defineProperty(all, name, {
        enumerable: true,
        configurable: true,
        get: () => listedScope(name === job.host ? this.#own() : this.#varsOfOther(name)),
      });
    return all;
  }

  /** The host's own vars as others see them: they do not hold themselves. */
  #own(): Vars {
    const { vars: _all, hostvars: _hosts, ...rest } = Object.getOwnPropertyDescriptors(this.#magic);
    const magic = Object.defineProperties({}, rest) as Vars;
    // As in Ansible, those of the play and its roles are none of the host's.
    const vars: PlayVars = { ...this.playVars, magic, play: {}, prompted: {}, files: [], roles: [] };
    return createTemplar(this.templatesFor(undefined), layersOf(vars, undefined)).vars;
  }

  /** The vars of the host that a task is delegated to. As in Ansible `inventory_hostname` is that of the task. */
  varsOfDelegate(name: string): Vars {
    return listedScope(this.#varsOfOther(name, this.host.job.host));
  }

  /**
   * The templar that tells how the host is reached which a task is delegated to: as in Ansible the inventory's vars are
   * that host's, and all others are the task's. `own` are vars over all others.
   */
  templarOfDelegate(name: string, frame: Frame, own: Vars): Templar {
    const vars: PlayVars = {
      ...this.playVars,
      initial: { ...this.playVars.initial, ansible_host: name },
      inventory: this.varsOf(name),
      state: this.stateOf(name),
      reached: name,
    };
    return createTemplar(this.templatesFor(frame), layersOf(vars, frame, own));
  }

  /** The vars of another host: the inventory's, and what the host has learned where that is known here. */
  #varsOfOther(name: string, asHost?: string): Vars {
    const state = this.stateOf(name);
    this.host.world?.refuseLocked(name);
    // Its registers may hold them.
    this.maskSecretsOf(name);
    const vars: PlayVars = {
      ...this.playVars,
      initial: {
        ...(asHost === undefined ? {} : { ansible_host: name }),
        ...(CONTROLLER.has(name) ? { ansible_python_interpreter: "/usr/bin/python3" } : {}),
      },
      inventory: this.varsOf(name),
      state,
      magic: {
        inventory_hostname: asHost ?? name,
        inventory_hostname_short: name.split(".")[0],
        groups: this.inventory.groups,
        group_names: this.inventory.groupsOf(name),
      },
      play: {},
      prompted: {},
      files: [],
      roles: [],
    };
    return createTemplar(this.templatesFor(undefined), layersOf(vars, undefined)).vars;
  }

  /** Mask the secrets of another host, too: something of it is read. */
  maskSecretsOf(name: string): void {
    const { job } = this.stateOf(name);
    if (job !== undefined && name !== this.host.job.host) maskThoseOf(job, this.host.job);
  }

  /** The vars of a host by the inventory. */
  varsOf(name: string): Vars {
    return this.#hostVars.open(name, this.inventory.varsOf(name));
  }

  /** The knowledge that a host has gained, as far as the run has it here. */
  stateOf(name: string): HostState {
    return name === this.host.job.host ? this.state : stateIn(this.host.world, name);
  }

  get playVars(): PlayVars {
    const { job, index } = this.host;
    const changed = this.inventory.changedVarsOf(job.host);
    return {
      initial: {
        ansible_host: this.host.job.host,
        // Implicit localhost has one, whatever programs Volley itself needs.
        ...(CONTROLLER.has(this.host.job.host) ? { ansible_python_interpreter: "/usr/bin/python3" } : {}),
      },
      inventory: changed === undefined ? job.vars : this.#hostVars.open(job.host, changed),
      play: this.play.vars,
      prompted: job.prompted?.[index] ?? unasked(this.play.keys),
      files: this.#varsFiles,
      extra: this.host.job.extraVars ?? {},
      magic: this.#magic,
      state: this.state,
      injectsFacts: this.tree.settings.injectFacts !== false,
      roles: this.roles,
      project: this.files.base,
    };
  }

  /** Make the templar of a task; `own` are vars over all others. */
  templar(frame: Frame | undefined, own?: Vars): Templar {
    const { version } = this.state;
    const known = this.#latest;
    // The passes of a task's loop share it, until one of them learns something.
    const isKnown = known !== undefined && known.frame === frame && known.version === version;
    const templar = isKnown ? known.templar : this.#makeTemplar(frame);
    if (frame !== undefined) this.#latest = { frame, version, templar };
    return own === undefined ? templar : templar.with(own);
  }

  #makeTemplar(frame: Frame | undefined): Templar {
    const { role, file, base } = this.rootsOf(frame);
    const path = [...(role === undefined ? [] : [role]), posix.dirname(file), base];
    const places = { ansible_search_path: [...new Set(path)].map((each) => this.files.fullPath(each)) };
    return createTemplar(this.templatesFor(frame), layersOf(this.playVars, frame, places), (text) =>
      this.#warn(text),
    );
  }

  /** Say once what is amiss. */
  #warn(text: string): void {
    if (this.#warned.has(text)) return;
    this.#warned.add(text);
    this.host.log("warn", text);
  }

  /** The controller's path of the playbook's directory. */
  get directory(): string {
    return this.files.fullPath(this.play.base);
  }

  /** The home of the user that the play runs as. */
  get home(): string {
    return this.host.facts.user_dir;
  }

  /** Forget what the controller answered, and the values of vars: the next task, or try, may get others. */
  forget(): void {
    this.#answers?.forget();
    this.#latest = undefined;
  }

  /** Return the places where a task looks for files. */
  rootsOf(frame: Frame | undefined): SearchRoots {
    return { role: frame?.role?.node.path, file: frame?.file ?? this.play.file, base: this.play.base };
  }

  /** Return the templates of a task: they find the files and templates that the task would find. */
  templatesFor(frame: Frame | undefined): Templates {
    const roots = this.rootsOf(frame);
    const key = JSON.stringify([roots.role, posix.dirname(roots.file)]);
    const known = this.#templates.get(key);
    if (known !== undefined) return known;
    const find = (name: string, kind: string): string | undefined =>
      candidates(this.files, name, kind, roots).find((path) => this.files.file(path) !== null);
    const loader: TemplateLoader = {
      read: (name, kind = "templates") => {
        const path = find(name, kind);
        return path === undefined ? null : bytesToText(this.files.file(path)!.read());
      },
      find: (name, directory) => findHere(this, roots, name, directory),
    };
    const templates = this.host.makeTemplates({
      loader,
      ask: (question) => {
        const found = lookUpHere(this, roots, question);
        if (found !== undefined) return found;
        if (this.#answers !== undefined) return this.#answers.ask(question);
        // No other files are here.
        if (/^(?:first_found|fileglob|stat)$/.test(question.plugin)) return [];
        throw new VolleyError(
          "TEMPLATE_FAILED",
          `lookup ${question.plugin}: ${question.terms.map(String).join(", ")} is not among the playbook's files`,
        );
      },
      native: this.tree.settings.native === true,
    });
    this.#templates.set(key, templates);
    return templates;
  }

  /** Read the files of `vars_files`; of a list within the list the first that is there. */
  readVarsFiles(): void {
    const read: Vars[] = [];
    this.#varsFiles = read;
    const given = this.play.keys.vars_files;
    for (const entry of given === undefined || given === null ? [] : [given].flat()) {
      const names = Array.isArray(entry) ? entry : [entry];
      const found = names
        .map((name) => this.findVars(this.templar(undefined).text(name), undefined))
        .find((vars) => vars !== undefined);
      if (found === undefined)
        throw new VolleyError("PLAYBOOK_INVALID", `vars file ${names.map(String).join(", ")} was not found`);
      read.push(found);
    }
  }

  /** Return the vars of a file that a task or play names; undefined for none. */
  findVars(name: string, frame: Frame | undefined): Vars | undefined {
    for (const path of candidates(this.files, name, "vars", this.rootsOf(frame))) {
      const found = this.tree.vars[path];
      if (found === undefined) continue;
      if ("error" in found) throw new VolleyError("PLAYBOOK_INVALID", found.error);
      return found.content;
    }
    return undefined;
  }

  /** Make a role ready for use: its vars and defaults read, its dependencies made. */
  instance(use: RoleUseNode, parents: readonly RoleInstance[] = []): RoleInstance {
    const { roleNames } = this.tree;
    const key = use.role ?? roleNames[`${this.play.base}:${use.name}`] ?? roleNames[use.name];
    const node = key === undefined ? undefined : this.tree.roles[key];
    if (node === undefined) throw new MissingInclude(use.missing ?? `the role '${use.name}' was not found`);
    const given = (use.keys.vars ?? {}) as Vars;
    const role = {
      node,
      use,
      vars: this.#roleFile(node.path, "vars", use.from.vars),
      defaults: this.#roleFile(node.path, "defaults", use.from.defaults),
      params: use.params,
      given,
      parents,
      dependencies: [] as readonly RoleInstance[],
    };
    role.dependencies = node.dependencies.map((each) => ({
      ...this.instance(each, [...parents, role]),
      isDependency: true,
    }));
    return role;
  }

  /** Read `vars/main` or `defaults/main` of a role: a file or a directory of files. */
  #roleFile(role: string, kind: "vars" | "defaults", name: string | undefined): Vars {
    const base = name ?? "main";
    // The role may be the playbook's own directory.
    const directory = posix.join(role, kind);
    const own = Object.keys(this.tree.vars).filter((path) => path.startsWith(`${directory}/`));
    const named = ["", ".yml", ".yaml", ".json"].map((suffix) => posix.join(directory, base + suffix));
    const ordered = base === "main" ? [...named.slice(1), named[0]!] : named;
    const file = ordered.find((path) => own.includes(path));
    const below = own.filter((path) => path.startsWith(`${posix.join(directory, base)}/`)).sort();
    const paths = below.length > 0 && file === undefined ? below : file === undefined ? [] : [file];
    if (paths.length === 0 && name !== undefined)
      throw new BrokenFile(`Could not find specified file in role: ${kind}/${name}`);
    return Object.assign(
      {},
      ...paths.map((path) => {
        const found = this.tree.vars[path]!;
        if ("error" in found) throw new VolleyError("PLAYBOOK_INVALID", found.error);
        return found.content;
      }),
    ) as Vars;
  }

  /** Return the statements of a role's file of tasks or handlers; undefined when it has none. */
  roleTasks(
    { node, use }: RoleInstance,
    kind: "tasks" | "handlers",
    name: string | undefined = use.from[kind],
  ): { readonly path: string; readonly nodes: readonly Node[] } | undefined {
    const base = name ?? "main";
    const within = posix.normalize(`${node.path}/${kind}`);
    const named = posix.isAbsolute(base) ? base : posix.normalize(`${within}/${base}`);
    if (!named.startsWith(`${within}/`) && !named.startsWith(`${this.files.fullPath(within)}/`))
      throw new VolleyError(
        "PLAYBOOK_INVALID",
        `Failed loading '${this.files.fullPath(named)}' for role (${node.name}) as it is not inside the expected role path: '${this.files.fullPath(within)}'`,
      );
    const suffixes = base === "main" ? [".yml", ".yaml", ".json", ""] : ["", ".yml", ".yaml", ".json"];
    const path = suffixes
      .map((suffix) => posix.normalize(`${node.path}/${kind}/${base}${suffix}`))
      .find((each) => this.tree.tasks[each] !== undefined);
    if (path === undefined) {
      if (name !== undefined && kind === "tasks")
        throw new BrokenFile(`Could not find specified file in role: tasks/${name}`);
      return undefined;
    }
    const found = this.tree.tasks[path]!;
    if ("error" in found) throw new BrokenFile(found.error);
    return { path, nodes: found.content };
  }

  /** Find the file of tasks that an include names. */
  includedTasks(name: string, frame: Frame): { readonly path: string; readonly nodes: readonly Node[] } {
    const looked: string[] = [];
    // The files that included this one are looked beside, too.
    for (let at: Frame | undefined = frame; at !== undefined; at = at.parent) {
      for (const path of candidates(this.files, name, "tasks", this.rootsOf(at)).concat(
        candidates(this.files, name, "handlers", this.rootsOf(at)),
      ))
        looked.push(path);
    }
    const path = looked.find((each) => this.tree.tasks[each] !== undefined);
    if (path === undefined)
      throw new VolleyError(
        "PLAYBOOK_INVALID",
        `Could not find or access '${posix.resolve(this.directory, name)}' on the Ansible Controller.`,
      );
    const found = this.tree.tasks[path]!;
    if ("error" in found) throw new BrokenFile(found.error);
    return { path, nodes: found.content };
  }
}
