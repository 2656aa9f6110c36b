import * as v from "valibot";
import { VolleyError } from "../../core/errors.ts";
import { isDict, writeJson } from "../../core/values/value.ts";
import { restore } from "../../core/values/vars.ts";

/**
 * Put values into a statement: for each `%s` the next positional one, for each `%(name)s` the one of that name, quoted by
 * `quote`; `%%` becomes `%`. A statement without values is left as it is. Fails with `ACTION_FAILED` for a missing value.
 */
export function fillArguments(
  statement: string,
  positional: readonly unknown[] | undefined,
  named: Readonly<Record<string, unknown>> | undefined,
  quote: (text: string) => string,
): string {
  if (positional === undefined && named === undefined) return statement;
  let next = 0;
  return statement.replace(/%(?:%|s|\(([^)]+)\)s)/g, (mark, name: string | undefined) => {
    if (mark === "%%") return "%";
    const isKnown = name === undefined ? next < (positional?.length ?? 0) : Object.hasOwn(named ?? {}, name);
    if (!isKnown) throw new VolleyError("ACTION_FAILED", `the statement has no value for ${mark}`);
    return literal(name === undefined ? positional![next++] : named![name], quote);
  });
}

function literal(given: unknown, quote: (text: string) => string): string {
  const value = restore(given);
  if (value === null || value === undefined) return "NULL";
  if (typeof value === "boolean") return value ? "TRUE" : "FALSE";
  if (typeof value === "number" || typeof value === "bigint") return String(value);
  if (Array.isArray(value)) return `ARRAY[${value.map((item) => literal(item, quote)).join(", ")}]`;
  return quote(typeof value === "string" ? value : isDict(value) ? writeJson(value) : String(value));
}

/** A statement, or a list of them. Not a union: text with commas is no list here. */
export const statements = v.pipe(
  v.any(),
  v.check(
    (given) =>
      typeof given === "string" || (Array.isArray(given) && given.every((each) => typeof each === "string")),
    "must be a statement, or a list of them",
  ),
  v.transform((given: string | readonly string[]): readonly string[] =>
    typeof given === "string" ? [given] : given,
  ),
  v.description("A statement, or a list of them."),
);
