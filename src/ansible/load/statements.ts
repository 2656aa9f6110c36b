import { didYouMean, type SourceLocation, VolleyError } from "../../core/errors.ts";
import { Data, isDict, isRecord } from "../../core/values/value.ts";
import type { Vars } from "../../core/values/vars.ts";
import { typeName } from "../../template/values.ts";
import type { YamlNode } from "../../yaml/document.ts";
import type { BlockNode, Keys, Node, RoleFrom, RoleUseNode, TaskNode } from "../ir.ts";
import {
  BLOCK_KEYWORDS,
  FREE_FORM,
  INCLUDE_KEYWORDS,
  INCLUDES,
  LOOP_CONTROL_KEYWORDS,
  ROLE_KEYWORDS,
  shortModuleName,
  TASK_KEYWORDS,
} from "../keywords.ts";
import { unknownOptions } from "../own-parameters.ts";
import { placeText } from "../place.ts";
import type { NeedNotes } from "./needs.ts";
import { type Mapping, mappingOf, type SourceFile } from "./read.ts";
import { readArguments, splitWords, unquote } from "./words.ts";

// Tasks, blocks and uses of roles, as YAML writes them.

/** The loader, as the reader of statements needs it: for files and roles that statements bring in. */
export interface Imports {
  /** The statements of a file that `import_tasks` names. */
  importTasks(
    name: string,
    from: string,
    at: SourceLocation,
  ): { readonly path: string; readonly nodes: readonly Node[] };
  /** Whether an `include` here is an import: `maybe` in a role, which a play or an `include_role` may bring in. */
  readonly includesAre: "imports" | "maybe" | "dynamic";
  /** Find a role, and load it. */
  findRole(name: string, from: string, at: SourceLocation): Pick<RoleUseNode, "role" | "missing" | "name">;
  /** Return a role that has to be there. Fails with `PLAYBOOK_INVALID` where it is not. */
  needed(use: RoleUseNode): RoleUseNode;
  /** Fill the vars of a name that has to be known before the run; undefined where it cannot be. `own` are the vars of the task. */
  fill(name: string, own: Vars): string | undefined;
  /** Load the roles that a name with templates may mean. */
  fitRoles(name: string): void;
  /** Note a file or directory that a statement names, so that it is at hand when the statement is reached. */
  mention(module: string, args: Readonly<Record<string, unknown>>, from: string): void;
  /** Takes what tasks and blocks need of a controller. */
  readonly needs: NeedNotes;
  /** Return whether a module is known; several unknown keys of a task are told apart by that. */
  isModule(name: string): boolean;
}

function fail(message: string, location: SourceLocation, hint?: string): never {
  throw new VolleyError("PLAYBOOK_INVALID", message, { location, ...(hint === undefined ? {} : { hint }) });
}

/** Read a list of tasks and blocks. `isHandlers`: handlers may have `listen`. Fails with `PLAYBOOK_INVALID`. */
export function readStatements(source: SourceFile, node: YamlNode | null, imports: Imports): readonly Node[] {
  if (node === null) return [];
  const items = source.reader.items(node);
  if (items === null) {
    if (source.reader.value(node) === null) return [];
    return fail("a list of tasks is expected here", source.reader.locate(node));
  }
  return items.flatMap((item) => {
    if (item === null || source.reader.value(item) === null) return [];
    const mapping = mappingOf(source, item);
    if (mapping === undefined)
      return fail("a task must be a mapping of keywords", source.reader.locate(item));
    return [readStatement(source, mapping, imports)];
  });
}

function readStatement(source: SourceFile, mapping: Mapping, imports: Imports): Node {
  return mapping.entries.has("block")
    ? readBlock(source, mapping, imports)
    : readTask(source, mapping, imports);
}

function readBlock(source: SourceFile, { entries, location }: Mapping, imports: Imports): BlockNode {
  const keys: Record<string, unknown> = {};
  for (const [key, { node, location: at }] of entries) {
    if (!BLOCK_KEYWORDS.has(key)) fail(`'${key}' is not a valid attribute for a Block`, at);
    if (key !== "block" && key !== "rescue" && key !== "always" && key !== "name")
      keys[key] = source.reader.value(node);
  }
  const list = (key: string): readonly Node[] =>
    readStatements(source, entries.get(key)?.node ?? null, imports);
  const name = textOf(source, entries.get("name")?.node);
  const [at, normal] = [placeText(location), normalKeys(keys, location)];
  imports.needs.keys(normal, at);
  return {
    kind: "block",
    at,
    ...(name === undefined ? {} : { name }),
    keys: normal,
    block: list("block"),
    rescue: list("rescue"),
    always: list("always"),
  };
}

function textOf({ reader }: SourceFile, node: YamlNode | null | undefined): string | undefined {
  const value = node === undefined ? undefined : reader.value(node);
  return value === undefined || value === null ? undefined : String(value);
}

/** Bring keywords into one form: conditions, tags, `notify` and `listen` are lists; `vars` is a dict. */
export function normalKeys(keys: Readonly<Record<string, unknown>>, location: SourceLocation): Keys {
  const made: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(keys)) {
    switch (key) {
      case "when":
      case "changed_when":
      case "failed_when":
      case "until":
      case "notify":
      case "listen":
        if (value !== null) made[key] = Array.isArray(value) ? value : [value];
        break;
      case "loop_control": {
        const unknown = isRecord(value)
          ? Object.keys(value).find((each) => !LOOP_CONTROL_KEYWORDS.has(each))
          : undefined;
        if (unknown !== undefined) fail(`'${unknown}' is not a valid attribute for a LoopControl`, location);
        made[key] = value;
        break;
      }
      case "tags":
        if (isDict(value)) fail("tags must be specified as a list", location);
        made[key] = (Array.isArray(value) ? value : [value]).flatMap((tag: unknown) =>
          typeof tag === "string"
            ? tag.split(",").map((each) => each.trim())
            : tag === null
              ? []
              : [String(tag)],
        );
        break;
      case "vars":
        made[key] = varsOf(value, location);
        break;
      default:
        made[key] = value;
    }
  }
  return made;
}

/** Return `vars` as one dict; Ansible takes a list of dicts, too. */
export function varsOf(value: unknown, location: SourceLocation): Record<string, unknown> {
  if (value === null || value === undefined) return {};
  if (Array.isArray(value))
    return Object.assign({}, ...value.map((each) => varsOf(each, location))) as Record<string, unknown>;
  if (!isDict(value))
    return fail("Vars in a Task must be specified as a dictionary, or a list of dictionaries", location);
  const entries = value instanceof Map ? [...value] : Object.entries(value);
  return Object.fromEntries(
    entries.map(([key, item]) => {
      const name = String(key);
      if (!/^[A-Za-z_]\w*$/.test(name))
        fail(
          `Invalid variable name in vars specified for a Task: '${name}' is not a valid variable name`,
          location,
        );
      return [name, item];
    }),
  );
}

/** Read a task. Fails with `PLAYBOOK_INVALID`, at the first fault. */
export function readTask(source: SourceFile, { entries, location }: Mapping, imports: Imports): Node {
  const { reader, path } = source;
  const keys: Record<string, unknown> = {};
  let call:
    | { readonly module: string; readonly value: unknown; readonly location: SourceLocation }
    | undefined;
  const strange: { readonly key: string; readonly location: SourceLocation; readonly value: unknown }[] = [];
  for (const [key, { node, location: at }] of entries) {
    if (TASK_KEYWORDS.has(key) || key.startsWith("with_")) {
      if (key !== "action" && key !== "local_action" && key !== "args" && key !== "name")
        keys[key] = reader.value(node);
      continue;
    }
    strange.push({ key, location: at, value: reader.value(node) });
  }
  for (const key of ["action", "local_action"]) {
    const entry = entries.get(key);
    if (entry === undefined) continue;
    const given = readAction(reader.value(entry.node), entry.location);
    call = { ...given, location: entry.location };
    if (key === "local_action") keys.delegate_to = "localhost";
  }
  if (strange.length > 0) {
    const known = strange.filter(({ key }) => imports.isModule(key));
    const chosen = call === undefined ? (known[0] ?? strange[0]!) : undefined;
    const other = strange.find((each) => each !== chosen);
    if (call !== undefined || (other !== undefined && known.length !== 1))
      fail(
        `conflicting action statements: ${[call?.module ?? chosen!.key, other!.key].join(", ")}${didYouMean(other!.key, TASK_KEYWORDS)}`,
        other!.location,
      );
    if (other !== undefined)
      fail(
        `'${other.key}' is not a valid attribute for a Task${didYouMean(other.key, TASK_KEYWORDS)}`,
        other.location,
      );
    call = { module: chosen!.key, value: chosen!.value, location: chosen!.location };
  }
  if (call === undefined) return fail("no module/action detected in task.", location);
  const module = shortModuleName(call.module);
  let args: Record<string, unknown>;
  try {
    args = argumentsOf(module, call.value, call.location);
  } catch (thrown) {
    if (thrown instanceof VolleyError && thrown.location === undefined)
      return fail(thrown.message, call.location, thrown.hint);
    throw thrown;
  }
  let argsFrom: string | undefined;
  const more = entries.get("args");
  if (more !== undefined) {
    const value = reader.value(more.node);
    if (typeof value === "string" && value.includes("{{")) argsFrom = value;
    else if (value !== null) args = { ...recordOf(value, more.location), ...args };
  }
  const name = textOf(source, entries.get("name")?.node);
  const at = placeText(location);
  const normal = normalKeys(keys, location);
  const named = name !== undefined ? { name } : call.module !== module ? { written: call.module } : {};
  const common = { at, ...named, keys: normal };
  const own = (normal.vars ?? {}) as Vars;
  if (INCLUDES.has(module) && (module === "import_tasks" || module === "import_role")) {
    if (loops(keys))
      fail(
        `You cannot use loops on '${module}' statements. You should use '${module.replace("import", "include")}' instead.`,
        location,
      );
  }
  checkOptions(module, args, location);
  const kind = DYNAMIC_INCLUDES[module];
  if (kind !== undefined)
    for (const [key, { location: at }] of entries)
      if (TASK_KEYWORDS.has(key) && !INCLUDE_KEYWORDS.has(key))
        fail(`'${key}' is not a valid attribute for a ${kind}`, at, "its tasks get what `apply` says");
  if (module === "import_tasks") {
    const file = args._raw_params ?? args.file;
    if (typeof file !== "string") return fail("No file specified for import_tasks", location);
    const known = imports.fill(file, own);
    if (known === undefined) {
      imports.mention(module, args, path);
      return { kind: "task", ...common, module, args };
    }
    imports.needs.keys(normal, at);
    return importedBlock(imports.importTasks(known, path, location), common);
  }
  if (module === "include") {
    const { task, file, given } = plainInclude({ kind: "task", ...common, module, args });
    const isImport = imports.includesAre !== "dynamic" && !file.includes("{{") && !loops(keys);
    if (isImport && (imports.includesAre === "imports" || canImport(imports, file, path, location)))
      return importedInclude(imports.importTasks(file, path, location), task, given);
    const dynamic = { ...task, args: { ...given, ...task.args } };
    imports.mention(module, task.args, path);
    imports.needs.task(dynamic);
    return dynamic;
  }
  if (module === "import_role") {
    const { name: role } = args;
    if (typeof role !== "string" && typeof args.role !== "string")
      return fail("'name' is a required field for import_role.", location);
    const wanted = imports.fill(String(role ?? args.role), own);
    if (wanted !== undefined) {
      const filled = Object.entries(args).map(([key, value]) => [
        key,
        key.endsWith("_from") && typeof value === "string" ? (imports.fill(value, own) ?? value) : value,
      ]);
      const use = imports.needed(
        roleUse(wanted, Object.fromEntries(filled), normal, path, location, imports),
      );
      return { kind: "role", at, use };
    }
  }
  const role = args.name ?? args.role;
  if ((module === "include_role" || module === "import_role") && typeof role === "string") {
    const items = [keys.loop, keys.with_items].flat(2).filter((item) => typeof item === "string");
    // Of a name with templates the literal items of the loop are known.
    const names = role.includes("{{") ? items.filter((item) => !item.includes("{{")) : [role];
    for (const each of names) imports.findRole(each, path, location);
    if (names.length === 0) imports.fitRoles(role);
  }
  imports.mention(module, args, path);
  const task = {
    kind: "task",
    ...common,
    module,
    args,
    ...(argsFrom === undefined ? {} : { argsFrom }),
  } satisfies TaskNode;
  imports.needs.task(task);
  return task;
}

/** Includes whose own keywords are few, under Ansible's words for them. */
const DYNAMIC_INCLUDES: Readonly<Record<string, string>> = {
  include_tasks: "TaskInclude",
  include_role: "IncludeRole",
};

function checkOptions(module: string, args: Readonly<Record<string, unknown>>, location: SourceLocation) {
  if (!INCLUDES.has(module)) return;
  const unknown = unknownOptions(module, args);
  if (unknown !== undefined) fail(unknown, location);
  for (const [name, value] of Object.entries(args))
    if (name.endsWith("_from") && typeof value !== "string" && value !== null)
      fail(`Expected a string for ${name} but got <class '${typeName(value)}'> instead`, location);
}

function loops(keys: Readonly<Record<string, unknown>>): boolean {
  return Object.keys(keys).some((key) => key === "loop" || key.startsWith("with_"));
}

function importedBlock(
  { nodes, path }: ReturnType<Imports["importTasks"]>,
  { at, name, keys }: Pick<BlockNode, "at" | "name" | "keys">,
): BlockNode {
  const named = name === undefined ? {} : { name };
  return { kind: "block", at, ...named, keys, block: nodes, rescue: [], always: [], imported: path };
}

/**
 * Make the block of an `include` that is an import. As in Ansible its `vars` are parameters, which precede facts, and
 * its arguments are no more than vars of its tasks: `a={{ a }}` may name a fact.
 */
function importedInclude(
  imported: ReturnType<Imports["importTasks"]>,
  { keys, ...task }: TaskNode,
  given: Readonly<Record<string, unknown>>,
): BlockNode {
  const { vars = {} } = keys;
  const all = { ...(vars as Readonly<Record<string, unknown>>), ...given };
  const block = importedBlock(imported, { ...task, keys: { ...keys, vars: all } });
  return { ...block, params: vars as Vars };
}

/** Bring an `include` into the form of `include_tasks`; its other arguments, `given`, are vars. */
function plainInclude(task: TaskNode): {
  readonly task: TaskNode;
  readonly file: string;
  readonly given: Readonly<Record<string, unknown>>;
} {
  const { _raw_params: raw, file = raw, apply, ...given } = task.args;
  return {
    file: String(file ?? ""),
    given,
    task: {
      ...task,
      args: {
        ...(file === undefined ? {} : { _raw_params: file }),
        ...(apply === undefined ? {} : { apply }),
      },
    },
  };
}

function canImport(imports: Imports, file: string, from: string, location: SourceLocation): boolean {
  try {
    imports.importTasks(file, from, location);
    return true;
  } catch {
    return false;
  }
}

function recordOf(value: unknown, location: SourceLocation): Record<string, unknown> {
  if (!isDict(value)) return fail("args must be a dictionary of arguments", location);
  return value instanceof Map
    ? Object.fromEntries([...value].map(([key, item]) => [String(key), item]))
    : { ...value };
}

/** Read `action:` or `local_action:`: a text that begins with the module, or a dict with `module`. */
function readAction(
  value: unknown,
  location: SourceLocation,
): { readonly module: string; readonly value: unknown } {
  if (typeof value === "string") {
    const [module = "", ...rest] = splitWords(value);
    return {
      module,
      value: value.slice(value.indexOf(module) + module.length).trim() || (rest.length === 0 ? null : ""),
    };
  }
  if (!isDict(value)) return fail("action must be a module with its arguments", location);
  const { module, ...args } = recordOf(value, location);
  if (typeof module !== "string") return fail("no module/action detected in task.", location);
  const [name = "", ...rest] = splitWords(module);
  return { module: name, value: { ...readArguments(shortModuleName(name), rest.join(" ")), ...args } };
}

function argumentsOf(module: string, value: unknown, location: SourceLocation): Record<string, unknown> {
  if (value === null || value === "") return {};
  if (value instanceof Data) return { _raw_params: value };
  if (typeof value === "string") return readArguments(module, value);
  if (isDict(value)) return recordOf(value, location);
  if (FREE_FORM.has(module)) return { _raw_params: value };
  return fail(
    `unexpected parameter type in action: ${Array.isArray(value) ? "a list" : typeof value}`,
    location,
  );
}

/** Read an entry of `roles` or of a role's dependencies. */
export function readRoleUse(source: SourceFile, node: YamlNode | null, imports: Imports): RoleUseNode {
  const { reader, path } = source;
  const location = reader.locate(node);
  const mapping = mappingOf(source, node);
  if (mapping === undefined) {
    const text = reader.value(node);
    if (typeof text !== "string") return fail("role definitions must contain a role name", location);
    if (text.includes(",")) return fail(`Invalid old style role requirement: ${text}`, location);
    const [name = "", ...rest] = /\s/.test(text) ? splitWords(text) : [text];
    const params = Object.fromEntries(
      rest.map((word) => [
        word.slice(0, Math.max(0, word.indexOf("="))),
        unquote(word.slice(word.indexOf("=") + 1)),
      ]),
    );
    return roleUse(name, {}, {}, path, location, imports, params);
  }
  const keys: Record<string, unknown> = {};
  const params: Record<string, unknown> = {};
  let name: unknown;
  for (const [key, entry] of mapping.entries) {
    const value = reader.value(entry.node);
    if (
      key === "role" ||
      (key === "name" && !mapping.entries.has("role")) ||
      (key === "src" && !mapping.entries.has("role") && !mapping.entries.has("name"))
    )
      name = value;
    else if (ROLE_KEYWORDS.has(key)) keys[key] = value;
    else params[key] = value;
  }
  if (typeof name !== "string") return fail("role definitions must contain a role name", location);
  return roleUse(name, {}, normalKeys(keys, location), path, location, imports, params);
}

function roleUse(
  name: string,
  args: Readonly<Record<string, unknown>>,
  keys: Keys,
  from: string,
  location: SourceLocation,
  imports: Imports,
  params: Record<string, unknown> = {},
): RoleUseNode {
  const file = (key: string): object =>
    typeof args[`${key}_from`] === "string" ? { [key]: args[`${key}_from`] } : {};
  return {
    at: placeText(location),
    ...(name.includes("{{") ? { name } : imports.findRole(name, from, location)),
    params,
    keys,
    from: { ...file("tasks"), ...file("vars"), ...file("defaults"), ...file("handlers") } as RoleFrom,
    ...(args.allow_duplicates === undefined ? {} : { allowDuplicates: args.allow_duplicates }),
    ...(args.rolespec_validate === undefined ? {} : { validates: args.rolespec_validate }),
  };
}
