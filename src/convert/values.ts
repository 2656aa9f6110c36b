import { VolleyError } from "../core/errors.ts";
import { Data, dictEntries, Float, floatText, isDict } from "../core/values/value.ts";
import { Vaulted } from "../core/values/vaulted.ts";
import { type Code, keyText, list, object, quote } from "./code.ts";

/** Fail for what cannot be said in TypeScript, with the place in the role: `tasks/main.yml:3:5`. */
export function refuse(at: string, reason: string, hint?: string): never {
  const [, file = at, line, column] = /^(.*?)(?::(\d+))?(?::(\d+))?$/.exec(at) ?? [];
  throw new VolleyError("PLAYBOOK_INVALID", reason, {
    location: {
      file,
      ...(line === undefined ? {} : { line: Number(line) }),
      ...(column === undefined ? {} : { column: Number(column) }),
    },
    ...(hint === undefined ? {} : { hint }),
  });
}

/** Write a value of YAML. `at` is its place, for values that TypeScript cannot have. */
export function valueCode(value: unknown, at: string): Code {
  if (typeof value === "string") return quote(value);
  if (value === null || value === undefined) return "null";
  if (typeof value === "boolean") return String(value);
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "number") return numberCode(value);
  // A number of JavaScript does not tell 1.0 from 1, but a template does.
  if (value instanceof Float) return quote(`{{ ${floatText(value.value)} }}`);
  if (value instanceof Data) return quote(rawText(value.text));
  if (value instanceof Vaulted)
    refuse(
      value.place,
      "this is encrypted with Ansible Vault, and a secret has no place in a role's code",
      "take it out of the role, and give it as a var of the inventory",
    );
  if (Array.isArray(value)) return list(value.map((item) => valueCode(item, at)));
  if (value instanceof Map)
    return `new Map<unknown, unknown>(${flat(list([...value].map(([key, item]) => list([valueCode(key, at), valueCode(item, at)]))))})`;
  if (isDict(value))
    return object(
      dictEntries(value).map(([key, item]) => [
        keyText(String(key)),
        permissionBits(String(key), item) ?? valueCode(item, at),
      ]),
    );
  return refuse(at, `a value of this kind has no form in TypeScript: ${String(value)}`);
}

/** Write permission bits as people read them; undefined for another value. */
export function permissionBits(name: string, value: unknown): string | undefined {
  const isMode = /(?:^|_)mode$/.test(name) && typeof value === "number" && Number.isInteger(value);
  return isMode && value > 7 && value <= 0o7777 ? `0o${value.toString(8).padStart(3, "0")}` : undefined;
}

/** Text that is never a template, although it may look like one. */
function rawText(text: string): string {
  return /\{[{%#]/.test(text) ? `{% raw %}${text}{% endraw %}` : text;
}

function numberCode(value: number): string {
  return Number.isFinite(value) ? String(value) : quote(`{{ "${floatText(value)}" | float }}`);
}

function flat(code: Code): string {
  if (typeof code === "string") return code;
  switch (code.kind) {
    case "list":
      return `[${code.items.map(flat).join(", ")}]`;
    case "object":
      return `{ ${code.entries.map(([key, item]) => `${key}: ${flat(item)}`).join(", ")} }`;
    case "call":
      return `${code.callee}(${code.args.map(flat).join(", ")})`;
    case "arrow":
      return `${code.parameters} => ${flat(code.body)}`;
    case "all":
      return code.parts.map(flat).join(" && ");
    case "around":
      return `${code.before}${flat(code.inner)}${code.after}`;
  }
}

/** True for a value that holds a template at any depth, or something that only templates can say. */
export function isTemplated(value: unknown): boolean {
  if (typeof value === "string") return /\{[{%#]/.test(value);
  if (value instanceof Float || value instanceof Data) return true;
  if (Array.isArray(value)) return value.some(isTemplated);
  if (value instanceof Map) return [...value].some((entry) => entry.some(isTemplated));
  return isDict(value) && dictEntries(value).some((entry) => entry.some(isTemplated));
}

/** Return all texts of a value. */
export function textsIn(value: unknown): readonly string[] {
  if (typeof value === "string") return [value];
  if (Array.isArray(value)) return value.flatMap(textsIn);
  if (value instanceof Map) return [...value].flat().flatMap(textsIn);
  return isDict(value) ? dictEntries(value).flatMap((entry) => entry.flatMap(textsIn)) : [];
}
