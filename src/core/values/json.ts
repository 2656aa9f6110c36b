/** A value that survives JSON unchanged. */
export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [key: string]: Json | undefined };

/** Named values, as an inventory, a play or a role declares them. */
export type Vars = Readonly<Record<string, unknown>>;

/** True for a plain object: not null, not an array, not a Map. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Map);
}

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
