import { isVolleyError } from "../../../src/core/errors.ts";

/** The longest message of an error about an input, in characters. */
const MAX_MESSAGE = 2_000;

// biome-ignore lint/suspicious/noControlCharactersInRegex: finding control characters is its purpose
export const CONTROL = /[\x00-\x1f\x7f-\x9f\u2028\u2029]/;

/** A consequence that an input must not have. */
export class Violation extends Error {
  override readonly name = "Violation";
}

/** Fails unless a condition holds. */
export function must(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Violation(what);
}

/** Fails unless two values are the same JSON. */
export function mustEqual(actual: unknown, expected: unknown, what: string): void {
  const [one, other] = [JSON.stringify(actual), JSON.stringify(expected)];
  must(one === other, `${what}: ${String(one).slice(0, 500)} is not ${String(other).slice(0, 500)}`);
}

/** Require that the error thrown for a bad input is ours, has one of these codes, and is one bounded line. */
export function mustBeRefusal(thrown: unknown, codes: readonly string[]): void {
  if (thrown instanceof Violation) throw thrown;
  if (!isVolleyError(thrown)) {
    const stack = thrown instanceof Error ? thrown.stack : undefined;
    throw new Violation(
      `not an error of ours: ${stack?.split("\n").slice(0, 6).join("\n") ?? String(thrown)}`,
    );
  }
  must(codes.includes(thrown.code), `an error with the code ${thrown.code}: ${thrown.message}`);
  mustBeOneLine(thrown.message);
}

/** Fails for a message that is empty, too long, or holds control characters. */
export function mustBeOneLine(message: string): void {
  must(message.trim() !== "", "an empty message");
  must(message.length <= MAX_MESSAGE, `a message of ${message.length} characters: ${message.slice(0, 200)}…`);
  must(!CONTROL.test(message), `control characters in the message ${JSON.stringify(message.slice(0, 300))}`);
}

/** Return the result of `work`, or undefined when it refuses with one of these codes. */
export function orRefusal<T>(codes: readonly string[], work: () => T): T | undefined {
  try {
    return work();
  } catch (thrown) {
    mustBeRefusal(thrown, codes);
    return undefined;
  }
}

/** {@link orRefusal} of what takes its time. */
export async function orRefusalOf<T>(
  codes: readonly string[],
  work: () => Promise<T>,
): Promise<T | undefined> {
  try {
    return await work();
  } catch (thrown) {
    mustBeRefusal(thrown, codes);
    return undefined;
  }
}

const GUARDED = [Object, Array, String, Function, Map, Buffer].map(({ prototype }) => prototype as object);
const keysOf = (): string =>
  GUARDED.map((prototype) => Reflect.ownKeys(prototype).map(String).join()).join(";");
const KEYS = keysOf();

/** Fails when an input has changed what every object inherits. */
export function mustBeUnpolluted(): void {
  must(keysOf() === KEYS, "a built-in prototype has been changed");
}
