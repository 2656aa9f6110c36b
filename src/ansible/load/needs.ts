import { isDict } from "../../core/values/value.ts";
import type { TaskNode } from "../ir.ts";
import { PLACELESS } from "../keywords.ts";

// Needs that only a controller meets: files, hosts and programs of its own.

/** Modules that work with the controller's files or with other hosts. */
const MODULES: ReadonlySet<string> = new Set(["add_host", "fetch", "synchronize"]);

/** Lookups that read on the controller's machine, and find nothing in a bundle. */
const LOOKUPS = "csvfile|env|fileglob|ini|lines|password|pipe|unvault|url|config|inventory_hostnames";
const LOOKUP = new RegExp(`\\b(?:lookup|query|q)\\(\\s*["'](?:ansible\\.builtin\\.)?(${LOOKUPS})["']`);
const LOOP = new RegExp(`^with_(?:ansible\\.builtin\\.)?(${LOOKUPS})$`);

/** The vars of other hosts: not those of the host itself. */
const HOSTVARS = /\bhostvars\b(?!\s*\[\s*inventory_hostname\s*\])/;

/** Return why a task can be carried out only by a controller; undefined: a host can do it by itself. */
export function needOfTask({ module, args, keys, at }: TaskNode): string | undefined {
  const { delegate_to: place } = keys;
  if (
    place !== undefined &&
    place !== null &&
    !PLACELESS.has(module) &&
    !/^\{\{\s*inventory_hostname\s*\}\}$/.test(String(place))
  )
    return `${at}: it is delegated to ${String(place)}`;
  if (MODULES.has(module)) return `${at}: ${module} works with files or hosts of the controller's`;
  const loop = Object.keys(keys).find((key) => LOOP.test(key));
  if (loop !== undefined) return `${at}: ${loop} is looked up on the controller`;
  return needOfValue([args, keys], at) ?? needOfFirstFound(args, keys, at);
}

/** A path outside of the playbook, as a whole text or in a list of paths; and in an expression. */
const OUTSIDE = /^\s*[/~]|[,:;]\s*[/~]/;
const OUTSIDE_IN_EXPRESSION = /["'][/~]/;

/** Return why `first_found` has to look on the controller: the bundle holds only what lies in the playbook and its roles. */
function needOfFirstFound(args: unknown, keys: TaskNode["keys"], at: string): string | undefined {
  const isFinder = (text: string): boolean => text.includes("first_found");
  const texts = [...textsIn(args), ...textsIn(keys)];
  const looped = Object.keys(keys).filter((key) => /^with_(?:ansible\.builtin\.)?first_found$/.test(key));
  if (looped.length === 0 && !texts.some(isFinder)) return undefined;
  const paths = [...looped.map((key) => keys[key]), keys.vars].flatMap(textsIn);
  return paths.some((text) => OUTSIDE.test(text)) ||
    texts.some((text) => isFinder(text) && OUTSIDE_IN_EXPRESSION.test(text))
    ? `${at}: first_found looks for files outside of the playbook`
    : undefined;
}

/** Return the texts in a value, at any depth. */
export function textsIn(value: unknown): readonly string[] {
  if (typeof value === "string") return [value];
  if (Array.isArray(value)) return value.flatMap(textsIn);
  return isDict(value)
    ? (value instanceof Map ? [...value.values()] : Object.values(value)).flatMap(textsIn)
    : [];
}

/** Return why values can be rendered only by a controller; undefined: a host can do it by itself. */
export function needOfValue(value: unknown, at: string): string | undefined {
  if (typeof value === "string") {
    if (HOSTVARS.test(value)) return `${at}: hostvars are those of other hosts`;
    const found = LOOKUP.exec(value)?.[1];
    return found === undefined ? undefined : `${at}: the lookup ${found} reads on the controller`;
  }
  const inner = Array.isArray(value)
    ? value
    : isDict(value)
      ? value instanceof Map
        ? [...value.values()]
        : Object.values(value)
      : [];
  for (const each of inner) {
    const need = needOfValue(each, at);
    if (need !== undefined) return need;
  }
  return undefined;
}
