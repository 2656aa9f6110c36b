import { fail } from "./errors.ts";
import { str } from "./repr.ts";
import { asNumber, type Callable, defined, isDict, type Keywords, typeName } from "./values.ts";

/** A callable from parameter names (`*rest` gathers the remaining positional arguments) and a function of their values. */
export function callable(parameters: readonly string[], body: (...values: never[]) => unknown): Callable {
  const names = parameters.filter((name) => !name.startsWith("*"));
  const gathers = names.length < parameters.length;
  return (args, keywords, state) => {
    if (!gathers && args.length > names.length)
      fail(`takes at most ${names.length} argument(s), got ${args.length}`);
    const values: unknown[] = names.map((_, index) => args[index]);
    for (const [name, value] of Object.entries(keywords)) {
      const index = names.indexOf(name);
      if (index < 0) fail(`got an unexpected keyword argument '${name}'`);
      values[index] = value;
    }
    return (body as (...all: unknown[]) => unknown)(
      ...values,
      ...(gathers ? [args.slice(names.length)] : []),
      state,
    );
  };
}

/** An argument as an int, with a default for one not given. */
export function intArgument(value: unknown, fallback: number): number {
  if (value === undefined) return fallback;
  const number =
    asNumber(defined(value)) ??
    (typeof value === "string" && /^\s*[-+]?\d+\s*$/.test(value) ? Number(value) : undefined);
  return number === undefined ? fail(`expected a number, got ${typeName(value)}`) : Math.trunc(number);
}

/** An argument as text, with a default for one not given. */
export function textArgument(value: unknown, fallback: string): string {
  return value === undefined ? fallback : str(value);
}

/** A value that must be text already: Python's own functions of text and paths take nothing else. */
export function text(value: unknown): string {
  return typeof defined(value) === "string" ? str(value) : fail(`expected text, got ${typeName(value)}`);
}

/** The entries of what `**` spreads, which must be a dict. */
export function keywords(value: unknown): Keywords {
  defined(value);
  if (!isDict(value)) return fail(`argument after ** must be a dict, not ${typeName(value)}`);
  return value instanceof Map ? Object.fromEntries([...value].map(([key, item]) => [str(key), item])) : value;
}
