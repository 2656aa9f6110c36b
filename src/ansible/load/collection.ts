import { readFileSync, statSync } from "node:fs";
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from "node:path";
import { isSealedFile } from "../files.ts";
import type { LibraryNode } from "../ir.ts";
import { ActionGroups } from "./action-groups.ts";
import { NeedNotes } from "./needs.ts";
import { isDirectory } from "./read.ts";
import { type FoundRole, listFiles } from "./roles.ts";

/** The names of files that are YAML. */
export const YAML = /\.(?:ya?ml|json)$/;

/** A larger file among the templates is data. */
const MAX_TEMPLATE_BYTES = 1 << 20;

/** Texts that ask for the version of the host's Python. */
export const ASKS_FOR_PYTHON = /ansible_python\b|ansible_python_version|ansible_facts\W{1,4}python/;

/** The files that go along with a playbook, and all that was looked at to find them. */
export class Collection {
  /** The directory of the playbook that the run was given. */
  readonly base: string;
  /** The directory of the playbook that is read: of one that was imported its own. */
  playbook: string;
  /** The collections that the play which is read names. */
  collections: readonly string[] = [];
  /** Files for the hosts: path relative to the playbook's directory, and absolute path. */
  readonly files = new Map<string, string>();
  /** Absolute paths of what was read or looked for. */
  readonly inputs = new Set<string>();
  /** The paths of those of {@link files} that are encrypted with Ansible Vault. */
  readonly sealed: string[] = [];
  readonly library: Record<string, LibraryNode> = {};
  /** True when a template asks for the version of the host's Python. */
  asksForPython = false;
  /** Why only a controller can carry the playbook out, as far as that is known. */
  readonly needs: NeedNotes;
  /** The groups of modules that `module_defaults` names. */
  readonly groups: ActionGroups;
  /** The files below each directory in which names with templates were looked for. */
  readonly #yaml = new Map<string, readonly string[]>();

  /** `paths`: the directories that hold `ansible_collections`, in order. Default: groups of modules are not looked for. */
  constructor(base: string, paths?: readonly string[]) {
    this.base = base;
    this.playbook = base;
    this.groups = new ActionGroups(paths ?? [], this.inputs);
    this.needs = new NeedNotes(paths === undefined ? undefined : this.groups);
  }

  /** The path of a file in the tree. */
  pathOf(file: string): string {
    return relative(this.base, file).split(sep).join("/") || ".";
  }

  /** The places of a file that a statement in the file `from` names. */
  candidates(
    name: string,
    from: string,
    role: FoundRole | undefined,
    kinds: readonly string[],
  ): readonly string[] {
    if (isAbsolute(name)) return [name];
    const here = resolve(this.base, dirname(from));
    return [
      join(here, name),
      ...(role === undefined
        ? []
        : [...kinds.map((kind) => join(role.directory, kind, name)), join(role.directory, name)]),
      ...kinds.map((kind) => join(this.playbook, kind, name)),
      join(this.playbook, name),
    ];
  }

  /** The files that a name with templates may mean. */
  fitting(
    name: string,
    from: string,
    role: FoundRole | undefined,
    kinds: readonly string[],
  ): readonly string[] {
    const plain = name.replace(/\{\{\s*(role_path|playbook_dir)\s*\}\}/g, (_, word: string) =>
      word === "role_path" && role !== undefined ? role.directory : this.playbook,
    );
    const pattern = templatePattern(plain);
    const isAny = pattern.source === "^.*$";
    const found: string[] = [];
    for (const place of new Set(this.candidates("x", from, role, kinds).map((each) => dirname(each)))) {
      for (const path of this.#yamlBelow(place)) {
        const full = join(place, path);
        if (pattern.test(path) || pattern.test(full) || isAny) found.push(full);
      }
    }
    return found;
  }

  /** List the YAML files up to three levels below a directory; all names with templates ask for the playbook's. */
  #yamlBelow(place: string): readonly string[] {
    const known = this.#yaml.get(place);
    if (known !== undefined) return known;
    const found = listFiles(place, (each) => !/(?:^|\/)\./.test(each) && each.split("/").length <= 3).filter(
      (path) => YAML.test(path),
    );
    this.#yaml.set(place, found);
    return found;
  }

  takeFile(file: string): void {
    this.inputs.add(file);
    const path = this.pathOf(file);
    if (this.files.has(path)) return;
    this.files.set(path, file);
    if (isSealedFile(file)) {
      this.sealed.push(path);
      this.needs.controller ??= `${path}: it is encrypted with Ansible Vault`;
    }
    // A template, too, may ask for what only the controller has.
    const isTemplate = /(?:^|\/)templates\/|\.j2$/.test(path) && statSync(file).size < MAX_TEMPLATE_BYTES;
    if (!isTemplate) return;
    const text = readFileSync(file, "utf8");
    this.needs.value(text, path);
    this.asksForPython ||= ASKS_FOR_PYTHON.test(text);
  }

  takeDirectory(directory: string, isWanted: (path: string) => boolean = () => true): void {
    if (!isDirectory(directory)) return;
    this.inputs.add(directory);
    for (const path of listFiles(
      directory,
      (each) => !/(?:^|\/)\.git(?:\/|$)/.test(each) && isWanted(each),
    )) {
      this.inputs.add(dirname(join(directory, path)));
      this.takeFile(join(directory, path));
    }
  }

  takeLibrary(directory: string): void {
    for (const path of listFiles(directory, (each) => !/(?:^|\/)(?:\.|__)/.test(each))) {
      const name = basename(path).replace(/\.\w+$/, "");
      if (Object.hasOwn(this.library, name)) continue;
      const file = join(directory, path);
      this.library[name] = { path: this.pathOf(file), kind: kindOf(file) };
      this.takeFile(file);
    }
  }

  /** List the files below a directory of a role; a file that comes or goes there makes the tree out of date. */
  listYaml(directory: string): readonly string[] {
    const files = listFiles(directory, (each) => !/(?:^|\/)\./.test(each)).map((path) =>
      join(directory, path),
    );
    for (const place of isDirectory(directory) ? [directory, ...files.map((file) => dirname(file))] : [])
      this.inputs.add(place);
    return files;
  }
}

/** Return the pattern of what a text with templates may become. */
export function templatePattern(text: string): RegExp {
  const parts = text.split(/\{\{.*?\}\}/s);
  return new RegExp(`^${parts.map((part) => part.replace(/[.*+?^$()|[\]\\]/g, "\\$&")).join(".*")}$`);
}

/** How a module of one's own is run, by the start of its file: Ansible's Python is what Volley does not bring. */
function kindOf(file: string): LibraryNode["kind"] {
  const head = readFileSync(file).toString("latin1", 0, 64 << 10);
  if (/^(?:\x7fELF|\xcf\xfa\xed\xfe|MZ)/.test(head)) return "binary";
  const isPython = /^#!.*python/.test(head) || file.endsWith(".py");
  const wantsJson = head.includes("WANT_JSON");
  if (isPython && /module_utils|INCLUDE_ANSIBLE_MODULE_COMMON/.test(head)) return "python";
  return wantsJson ? "json" : "words";
}
