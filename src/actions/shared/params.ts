import * as v from "valibot";
import { modeProblem } from "./mode.ts";

/** A parameter's schema with the sentence the reference shows for it. */
export function describe<const S extends v.GenericSchema>(schema: S, text: string) {
  return v.pipe(schema, v.description(text));
}

/** A non-empty string. */
export function text(description: string) {
  return v.pipe(v.string(), v.nonEmpty("must not be empty"), v.description(description));
}

/** A flag, off unless said. */
export function flag(description: string, initial = false) {
  return v.optional(v.pipe(v.boolean(), v.description(description)), initial);
}

/** An optional non-empty string. */
export function optionalText(description: string) {
  return v.optional(text(description));
}

/** A name that commands are given as an argument, which they must not take for an option. */
export function nameText(description: string) {
  return v.pipe(text(description), v.regex(/^[^-]/, "must not begin with a dash"));
}

/** One of some words, with a default. */
export function oneOf<const W extends readonly string[]>(words: W, initial: W[number], description: string) {
  return v.optional(v.pipe(v.picklist(words), v.description(description)), initial);
}

/** A number of seconds, with a default. */
export function seconds(description: string, initial: number) {
  return v.optional(v.pipe(v.number(), v.minValue(0), v.description(description)), initial);
}

/** One string or a list of them; always a list afterwards. */
export function textList(description: string) {
  return v.pipe(
    v.union([v.pipe(v.string(), v.nonEmpty()), v.pipe(v.array(v.pipe(v.string(), v.nonEmpty())))]),
    v.transform((value): readonly string[] => (typeof value === "string" ? [value] : value)),
    v.description(description),
  );
}

const MODE =
  'Permission bits: `"0644"`, `0o644`, or symbolic as chmod takes it: `"u=rw,g=r,o="`. Decimal numbers that read as octal (`644`, `400`) are refused.';

/** Permission bits; with `preserve`, that word as well. Known to be sound before any host is touched. */
export function modeText(description: string, also?: "preserve") {
  const problem = (mode: string | number): string | undefined =>
    mode === also ? undefined : modeProblem(mode);
  return v.optional(
    v.pipe(
      v.union([v.number(), v.string()]),
      v.check(
        (mode) => problem(mode) === undefined,
        ({ input }) => problem(input) ?? "",
      ),
      v.description(description),
    ),
  );
}

/** The file attributes every action that makes files shares. */
export const fileAttributes = {
  owner: v.optional(
    v.pipe(v.union([v.string(), v.number()]), v.description("User name or id the file belongs to.")),
  ),
  group: v.optional(v.pipe(v.union([v.string(), v.number()]), v.description("Group name or id."))),
  mode: modeText(MODE),
};

/** Those of actions that know the mode of what they make a file from. */
export const copiedAttributes = {
  ...fileAttributes,
  mode: modeText(
    `${MODE} \`preserve\` is that of the source; of a role's file without write permission for group and others.`,
    "preserve",
  ),
};
