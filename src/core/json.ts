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

/** Whether a value is a plain object: not null, not an array. */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Vars some of which are worked out when they are asked for: merging must not ask. */
const late = new WeakSet<Vars>();

/** Marks vars as having properties that are worked out when asked for. */
export function markLate<V extends Vars>(vars: V): V {
  late.add(vars);
  return vars;
}

/** Whether vars have properties that are worked out when asked for. */
export function isLate(vars: Vars): boolean {
  return late.has(vars);
}

/** Layers of vars as one, later ones over earlier ones; what is worked out when asked for stays so. */
export function mergeVars(...layers: readonly Vars[]): Vars {
  if (!layers.some((layer) => late.has(layer))) return Object.assign({}, ...layers) as Vars;
  const merged = {};
  for (const layer of layers) {
    // Earlier layers' getters must give way to later layers' plain values.
    for (const [name, descriptor] of Object.entries(Object.getOwnPropertyDescriptors(layer))) {
      Object.defineProperty(merged, name, { ...descriptor, configurable: true });
    }
  }
  return markLate(merged);
}
