import { VolleyError } from "../core/errors.ts";
import type { OverriddenVar, VarSource } from "../core/inventory.ts";
import type { Entries, Entry } from "./draft.ts";

/** Vars merged from many places: the last to set one wins. */
export interface MergedVars {
  readonly winners: Map<string, Entry>;
  /** What lost, nearest first. */
  readonly losers: Map<string, readonly Entry[]>;
}

/** Merges layers over a base, which is left as it is; a whole value replaces another, as in Ansible. */
export function mergeVars(base: MergedVars | null, layers: Iterable<Entries | undefined>): MergedVars {
  const winners = new Map(base?.winners);
  const losers = new Map(base?.losers);
  for (const layer of layers) {
    if (layer === undefined) continue;
    for (const [name, entry] of layer) {
      const before = winners.get(name);
      if (before !== undefined) losers.set(name, [before, ...(losers.get(name) ?? [])]);
      winners.set(name, entry);
    }
  }
  return { winners, losers };
}

/** Merged vars as a host shows them. */
export function shownVars({ winners, losers }: MergedVars): {
  readonly vars: Readonly<Record<string, unknown>>;
  readonly sources: Readonly<Record<string, VarSource>>;
  readonly overridden: Readonly<Record<string, readonly OverriddenVar[]>>;
} {
  const vars: [string, unknown][] = [];
  const sources: [string, VarSource][] = [];
  for (const [name, { value, source }] of winners) {
    if (name === "__proto__") {
      const { file, line } = source;
      throw new VolleyError("INVENTORY_INVALID", `no var can be called ${name}`, {
        location: { file, ...(line === undefined ? {} : { line }) },
      });
    }
    vars.push([name, value]);
    sources.push([name, source]);
  }
  const overridden = [...losers].map(
    ([name, entries]) => [name, entries.map(({ value, source }) => ({ value, source }))] as const,
  );
  return {
    vars: Object.fromEntries(vars),
    sources: Object.fromEntries(sources),
    overridden: Object.fromEntries(overridden),
  };
}
