import { didYouMean, printable, VolleyError } from "./errors.ts";
import { writeJson } from "./values/value.ts";

/** Words for what an option takes, and whether a value, never undefined, is that. */
export type Kind = readonly [words: string, takes: (value: unknown) => boolean];

/** Make the check for values of some types, by the names that `typeof` gives. */
export const isA =
  (...types: readonly string[]) =>
  (value: unknown): boolean =>
    types.includes(typeof value);

/** Return whether a value is a number within bounds. */
export function isWithin(value: unknown, min: number, max = Infinity): value is number {
  return typeof value === "number" && value >= min && value <= max;
}

/** The longest time that a timer of Node's takes, in whole seconds: some 24 days. Longer ones fire at once. */
export const MAX_TIMER_SECONDS = Math.floor((2 ** 31 - 1) / 1000);

/** Either of the booleans. */
export const SWITCH: Kind = ["true or false", isA("boolean")];

/** Refuse unknown options, and values of the wrong kind; null takes any. Fails with `PLAYBOOK_INVALID`. */
export function checkOptions(
  subject: string,
  [what, noun]: readonly [what: string, noun: string],
  given: object,
  kinds: Readonly<Record<string, Kind | null>>,
): void {
  const names = Object.keys(kinds);
  for (const [name, value] of Object.entries(given)) {
    if (!names.includes(name))
      throw new VolleyError(
        "PLAYBOOK_INVALID",
        `${subject}: unknown ${noun} "${name}"${didYouMean(name, names)}`,
        { hint: `a ${what} takes: ${names.join(", ")}` },
      );
    const kind = kinds[name] ?? null;
    if (value !== undefined && kind !== null && !kind[1](value))
      throw new VolleyError(
        "PLAYBOOK_INVALID",
        `${subject}: \`${name}\` must be ${kind[0]}, not ${shown(value)}`,
      );
  }
}

/** Show a value in an error, whatever it is: a task's handle tells nothing before its turn, and an object may hold itself. */
function shown(value: unknown): string {
  try {
    return printable(writeJson(value, { other: String }), 200);
  } catch {
    return "this object";
  }
}
