import { isLate, LATE, type Vars } from "./json.ts";
import { Data, dictEntries, Float, isDict, keyText, makeDict } from "./value.ts";

/** For what {@link plain} made: what it made it from. */
const origins = new WeakMap<object, unknown>();
/** For what {@link plain} was given: what it made of it. */
const made = new WeakMap<object, unknown>();

/**
 * A value as code in TypeScript sees it: floats are numbers, dicts objects with keys that are texts, data a string. Whole
 * numbers that a number cannot hold stay bigints. The same value gives the same object each time, and what needs no
 * change is given back as it is. {@link restore} takes it back.
 */
export function plain(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (value instanceof Float) return value.value;
  if (value instanceof Data) return value.text;
  const known = made.get(value);
  if (known !== undefined) return known;
  let result: unknown = value;
  if (Array.isArray(value)) {
    const items = value.map(plain);
    if (items.some((item, index) => item !== value[index])) result = items;
  } else if (isDict(value)) {
    const entries = dictEntries(value).map(([key, item]) => [keyText(key), plain(item)] as const);
    const isChanged = value instanceof Map || entries.some(([key, item]) => value[key] !== item);
    if (isChanged) result = Object.fromEntries(entries);
  }
  if (result === value) return value;
  made.set(value, result);
  origins.set(result as object, value);
  return result;
}

/** Vars as code in TypeScript sees them; what is worked out when it is asked for stays so. `own` are from such code, and stay as they are. */
export function plainVars(vars: Vars, own: Vars = {}): Vars {
  const seen = mapVars(vars, (name, value) => (Object.hasOwn(own, name) ? value : plain(value)));
  origins.set(seen, vars);
  return seen;
}

/** The vars that {@link plainVars} made these from. */
export function modelOf(seen: Vars): Vars {
  return (origins.get(seen) ?? seen) as Vars;
}

/**
 * A value that comes from code in TypeScript as templates are to see it: what was not changed on the way is what
 * {@link plain} made it from. `from` is that, where it is known otherwise than by the object.
 */
export function restore(value: unknown, from?: unknown): unknown {
  if (typeof value === "number") return from instanceof Float && from.value === value ? from : value;
  if (typeof value !== "object" || value === null) return value;
  const origin = origins.get(value) ?? from;
  if (Array.isArray(value)) {
    const given = Array.isArray(origin) ? origin : [];
    const items = value.map((item, index) => restore(item, given[index]));
    return items.some((item, index) => item !== value[index]) ? items : value;
  }
  if (!isDict(value) || value instanceof Map) return value;
  const given = new Map(
    isDict(origin) ? dictEntries(origin).map(([key, item]) => [keyText(key), [key, item]]) : [],
  );
  const entries = Object.entries(value).map(([key, item]): [string, unknown] => [
    key,
    restore(item, given.get(key)?.[1]),
  ]);
  const isSame = entries.every(([key]) => given.has(key));
  if (origin instanceof Map && isSame) {
    const items = new Map(entries);
    return makeDict(
      [...given].filter(([key]) => items.has(key)).map(([key, [own]]) => [own, items.get(key)]),
    );
  }
  return entries.some(([key, item]) => value[key] !== item) ? Object.fromEntries(entries) : value;
}

/**
 * Vars that come from code in TypeScript as templates are to see them; `from` gives what the var of a name was made from,
 * where that is known, and is asked only for values that may have been another.
 */
export function restoreVars(vars: Vars, from: (name: string) => unknown = () => undefined): Vars {
  return mapVars(vars, (name, value) =>
    typeof value === "number" || typeof value === "object" ? restore(value, from(name)) : value,
  );
}

function mapVars(vars: Vars, map: (name: string, value: unknown) => unknown): Vars {
  if (!isLate(vars))
    return Object.fromEntries(Object.entries(vars).map(([name, value]) => [name, map(name, value)]));
  const mapped = Object.defineProperty({}, LATE, { value: true });
  for (const name of Object.keys(vars))
    Object.defineProperty(mapped, name, {
      enumerable: true,
      configurable: true,
      get: () => map(name, vars[name]),
    });
  return mapped;
}
