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

/** Whether a value is a plain object: not null, neither an array nor a Map. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Map);
}

/** What says of vars that they are worked out when they are asked for: merging and copying must not ask. */
export const LATE = Symbol.for("volley.late");

/** Whether vars are worked out when they are asked for. */
export function isLate(vars: object): boolean {
  return LATE in vars;
}

/** Layers of vars as one, later ones over earlier ones; what is worked out when asked for stays so. */
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
