import { posix } from "node:path";
import { readBool } from "../../actions/coerce.ts";
import { messageOf, VolleyError } from "../../core/errors.ts";
import { isDict } from "../../core/values/value.ts";
import type { Vars } from "../../core/values/vars.ts";
import { candidates, missingText } from "../files.ts";
import type { RoleInstance } from "../frame.ts";
import type { Node, RoleFrom } from "../ir.ts";
import { BrokenFile, missingMark } from "../play/register.ts";
import type { ModuleEnd, RenderedCall } from "./call.ts";

// Modules that bring in statements and vars.

/** The statements that an include asks the play to carry out, kept beside the register of its pass. */
export interface Included {
  readonly path: string;
  readonly nodes: readonly Node[];
  readonly role?: RoleInstance;
  readonly isPublic?: boolean;
  readonly apply: Readonly<Record<string, unknown>>;
  /** The vars of the loop's pass. */
  readonly own: Vars;
  /** The other arguments of an `include`: vars of its tasks, and no parameters. */
  readonly given?: Vars;
  readonly handlersFrom?: string | undefined;
}

const included = new WeakMap<object, Included>();

/** Return what the register of an include stands for. */
export function includedBy(register: object): Included | undefined {
  const key = (register as { readonly [INCLUDE]?: object })[INCLUDE];
  return key === undefined ? undefined : included.get(key);
}

/** The key of an include in its register, which is copied on the way. */
const INCLUDE = Symbol("include");

function note(what: Included): { readonly [INCLUDE]: object } {
  const key = {};
  included.set(key, what);
  return { [INCLUDE]: key };
}

/** `include_tasks`, and a dynamic `include`, whose other arguments are vars. */
export function includeTasks({ args, interpreter, frame, own }: RenderedCall): ModuleEnd {
  const { _raw_params: raw, file, apply = {}, ...given } = args;
  const name = raw ?? file;
  if (typeof name !== "string" || name === "") throw new BrokenFile("No file specified for include_tasks");
  let found: ReturnType<typeof interpreter.includedTasks>;
  try {
    found = interpreter.includedTasks(name, frame);
  } catch (thrown) {
    if (thrown instanceof BrokenFile) throw thrown;
    return { register: { failed: true, reason: messageOf(thrown), ...missingMark } };
  }
  return {
    register: {
      changed: false,
      include: interpreter.files.fullPath(found.path),
      include_args: given,
      ...note({ ...found, apply: recordOf(apply), own, given }),
    },
  };
}

/** `include_role`. */
export function includeRole({ args, interpreter, own, node, frame }: RenderedCall): ModuleEnd {
  const { name, role, apply = {}, public: isPublic = false } = args;
  const wanted = name ?? role;
  if (typeof wanted !== "string")
    throw new VolleyError("PARAMS_INVALID", "'name' is a required field for include_role.");
  const from: Record<string, string> = {};
  for (const kind of ["tasks", "vars", "defaults", "handlers"]) {
    const given = args[`${kind}_from`];
    if (given !== undefined && given !== null) from[kind] = String(given);
  }
  const parents = frame.role === undefined ? [] : [...frame.role.parents, frame.role];
  const instance = interpreter.instance(
    {
      at: node.at,
      name: wanted,
      params: {},
      keys: {},
      from: from as RoleFrom,
      allowDuplicates: readBool(args.allow_duplicates ?? true) !== false,
      validates: readBool(args.rolespec_validate ?? true) !== false,
    },
    parents,
  );
  const tasks = interpreter.roleTasks(instance, "tasks") ?? {
    path: posix.join(instance.node.path, "tasks/main.yml"),
    nodes: [],
  };
  return {
    register: {
      changed: false,
      include_args: args,
      ...note({
        ...tasks,
        role: instance,
        isPublic: readBool(isPublic) === true,
        apply: recordOf(apply),
        own,
        handlersFrom: from.handlers,
      }),
    },
  };
}

function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  return isDict(value)
    ? value instanceof Map
      ? Object.fromEntries([...value].map(([key, item]) => [String(key), item]))
      : value
    : {};
}

/** `include_vars`: a file, or the files of a directory, in order. Its failures are told in \`message\`, as Ansible tells them. */
export function includeVars(call: RenderedCall): ModuleEnd {
  try {
    return readVars(call);
  } catch (thrown) {
    const message = messageOf(thrown);
    return {
      register: {
        changed: false,
        failed: true,
        message,
        ansible_facts: {},
        ansible_included_var_files: [],
      },
      facts: {},
    };
  }
}

function readVars({ args, interpreter, frame, templar }: RenderedCall): ModuleEnd {
  const {
    _raw_params: raw,
    file,
    dir,
    name,
    depth = 0,
    files_matching: matching,
    ignore_files: ignore = [],
    extensions = ["json", "yaml", "yml"],
  } = args;
  const wanted = raw ?? file;
  const vars: Record<string, unknown> = {};
  const read: string[] = [];
  const take = (path: string): void => {
    const found = interpreter.tree.vars[path];
    if (found === undefined) return;
    if ("error" in found) throw new VolleyError("PLAYBOOK_INVALID", found.error);
    Object.assign(vars, found.content);
    read.push(interpreter.files.fullPath(path));
  };
  const roots = interpreter.rootsOf(frame);
  if (typeof wanted === "string") {
    const path = candidates(interpreter.files, wanted, "vars", roots).find(
      (each) => interpreter.tree.vars[each] !== undefined,
    );
    if (path === undefined)
      throw new VolleyError("PLAYBOOK_INVALID", missingText(interpreter.files, wanted, "vars", roots));
    take(path);
  } else if (typeof dir === "string") {
    const known = Object.keys(interpreter.tree.vars);
    const root = candidates(interpreter.files, dir.replace(/\/+$/, ""), "vars", roots).find((each) =>
      known.some((path) => path.startsWith(`${each}/`)),
    );
    if (root === undefined) {
      const place = roots.role === undefined ? posix.dirname(roots.file) : `${roots.role}/vars`;
      const looked = dir.startsWith("/") ? dir : `${interpreter.files.fullPath(place)}/${dir}`;
      throw new VolleyError("PLAYBOOK_INVALID", `${looked} directory does not exist`);
    }
    const ignored = (Array.isArray(ignore) ? ignore : [ignore]).map(String);
    const endings = (Array.isArray(extensions) ? extensions : [extensions]).map(String);
    for (const path of known.filter((each) => each.startsWith(`${root}/`)).sort()) {
      const below = path.slice(root.length + 1);
      const levels = below.split("/").length;
      if (Number(depth) > 0 && levels > Number(depth)) continue;
      const base = posix.basename(path);
      if (matching !== undefined && !new RegExp(String(matching)).test(base)) continue;
      if (ignored.some((pattern) => new RegExp(pattern).test(base))) continue;
      const extension = posix.extname(base).slice(1);
      if (!endings.some((ending) => ending.replace(/^\./, "") === extension)) {
        if (readBool(args.ignore_unknown_extensions) === true) continue;
        const text = `${interpreter.files.fullPath(path)} does not have a valid extension: ${endings.join(", ")}`;
        return {
          register: {
            changed: false,
            failed: true,
            message: text,
            ansible_facts: {},
            ansible_included_var_files: read,
          },
        };
      }
      take(path);
    }
  } else throw new VolleyError("PARAMS_INVALID", "include_vars needs a file or a dir");
  const isMerged = args.hash_behaviour === "merge";
  const given = typeof name === "string" ? { [name]: vars } : vars;
  const facts = isMerged
    ? Object.fromEntries(Object.entries(given).map(([key, value]) => [key, merge(templar.vars[key], value)]))
    : given;
  interpreter.state.include(facts);
  return {
    register: { changed: false, failed: false, ansible_facts: facts, ansible_included_var_files: read },
    facts: {},
  };
}

/** Merge a dict into another, at any depth, as `hash_behaviour: merge` does. */
function merge(before: unknown, after: unknown): unknown {
  if (!isDict(before) || !isDict(after)) return after;
  const entries = (dict: typeof before): [string, unknown][] => Object.entries(recordOf(dict));
  const merged = new Map(entries(before));
  for (const [key, value] of entries(after)) merged.set(key, merge(merged.get(key), value));
  return Object.fromEntries(merged);
}
