import { Data, dictEntries, Float, isDict, keyText, makeDict } from "./value.ts";

/** Named values, as an inventory, a play or a role declares them. */
export type Vars = Readonly<Record<string, unknown>>;

/** The value of the magic var `omit`: a parameter or item of a dict that has this value is left out. */
export const OMIT = "__omit_place_holder__5b0a6d8c3e1f4972a0c9d4e86f13b7a2d95e0c41";

/** Marks vars that are worked out on access; merging and copying must not read them. */
export const LATE = Symbol.for("volley.late");

/** True for vars that are worked out on access. */
export function isLate(vars: object): boolean {
  return LATE in vars;
}

/** Merge layers of vars, later ones over earlier ones. Vars that are worked out on access stay so. */
export function mergeVars(...layers: readonly Vars[]): Vars {
  if (!layers.some(isLate)) return Object.assign({}, ...layers) as Vars;
  const merged = Object.defineProperty({}, LATE, { value: true });
  for (const layer of layers) {
    // Earlier layers' getters must give way to later layers' plain values.
    for (const name of Object.keys(layer)) {
      const descriptor = Object.getOwnPropertyDescriptor(layer, name);
      Object.defineProperty(merged, name, { ...descriptor, configurable: true });
    }
  }
  return merged;
}

/** The origin of each value that {@link plain} made. */
const origins = new WeakMap<object, unknown>();
/** The value that {@link plain} made of each origin. */
const made = new WeakMap<object, unknown>();

/**
 * Return a value as code in TypeScript sees it: floats are numbers, dicts are objects with texts as keys, data is a
 * string; integers that a number cannot hold stay bigints. The same value gives the same object each time, and a value
 * that needs no change is returned itself. {@link restore} is the reverse.
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

/** Return vars as code in TypeScript sees them; late ones stay late. The vars named in `own` come from such code, and stay unchanged. */
export function plainVars(vars: Vars, own: Vars = {}): Vars {
  const seen = mapVars(vars, (name, value) => (Object.hasOwn(own, name) ? value : plain(value)));
  origins.set(seen, vars);
  return seen;
}

/** Return the vars that {@link plainVars} made these from. */
export function modelOf(seen: Vars): Vars {
  return (origins.get(seen) ?? seen) as Vars;
}

/**
 * Return a value from code in TypeScript as templates see it: parts that the code did not change become their origins
 * again. `from` is the origin, for a value that does not show it by identity.
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
 * Return vars from code in TypeScript as templates see them. `from` returns the known origin of a var; it is called only
 * for values that may have had one.
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
