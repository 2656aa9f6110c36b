import { isVolleyError, VolleyError } from "./errors.ts";
import type { Mask } from "./mask.ts";

/** What events and results are told apart by; a secret that happens to be such a word is no secret there. */
const FIXED: ReadonlySet<string> = new Set([
  "type",
  "host",
  "hosts",
  "play",
  "plays",
  "role",
  "action",
  "stream",
  "level",
  "outcome",
  "state",
  "code",
  "run",
  "playbook",
  "bundle",
  "node",
  "how",
  "address",
  "user",
  "tally",
  "phases",
]);
/** Fields that are of the task's own making. */
const FREE: ReadonlySet<string> = new Set(["data", "attributes", "facts"]);
const SHORTEST_NUMBER = 6;

/** A value with every secret in its texts masked, keys and long numbers included. */
export function maskValue(mask: Mask, value: unknown): unknown {
  return walk(mask, value, false);
}

/** An event, or a part of one, with every secret in it masked; what reporters tell events apart by is left alone. */
export function maskEvent<E extends object>(mask: Mask, event: E): E {
  return walk(mask, event, true) as E;
}

function walk(mask: Mask, value: unknown, structured: boolean): unknown {
  if (typeof value === "string") return mask.text(value);
  if (typeof value === "number" || typeof value === "bigint") {
    if (structured) return value;
    const digits = String(value);
    const masked = digits.length < SHORTEST_NUMBER ? digits : mask.text(digits);
    return masked === digits ? value : masked;
  }
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return value;
  if (Array.isArray(value)) return value.map((item) => walk(mask, item, structured));
  const { toJSON } = value as { readonly toJSON?: unknown };
  if (typeof toJSON === "function") return walk(mask, toJSON.call(value), structured);
  const masked: Record<string, unknown> = {};
  for (const [key, inner] of Object.entries(value)) {
    if (structured && FIXED.has(key)) masked[key] = inner;
    else masked[structured ? key : mask.text(key)] = walk(mask, inner, structured && !FREE.has(key));
  }
  return masked;
}

/** An error with every secret in its texts masked; what caused it, which may say them too, is left behind. */
export function maskError(mask: Mask, thrown: unknown): unknown {
  if (!(thrown instanceof Error)) return typeof thrown === "string" ? mask.text(thrown) : thrown;
  const { message, stack } = thrown;
  const hint = isVolleyError(thrown) ? thrown.hint : undefined;
  const texts = [message, stack ?? "", hint ?? ""];
  if (thrown.cause === undefined && texts.every((text) => mask.text(text) === text)) return thrown;
  const masked = isVolleyError(thrown)
    ? new VolleyError(thrown.code, mask.text(message), {
        ...(thrown.location === undefined ? {} : { location: thrown.location }),
        ...(hint === undefined ? {} : { hint: mask.text(hint) }),
      })
    : Object.assign(new Error(mask.text(message)), { name: thrown.name });
  if (stack !== undefined) masked.stack = mask.text(stack);
  return masked;
}
