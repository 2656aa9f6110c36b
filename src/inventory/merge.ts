import type { OverriddenVar, VarSource } from "../core/inventory.ts";
import { type Entries, type Entry, invalid, locationOf } from "./draft.ts";

/** Vars merged from many places: the last place that sets one wins. */
export interface MergedVars {
  readonly winners: Map<string, Entry>;
  /** The values that lost, nearest first. */
  readonly losers: Map<string, readonly Entry[]>;
}

/** Merge layers over a base, which stays unchanged. As in Ansible, a value replaces another as a whole. */
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

/** Return merged vars as a host has them. */
export function shownVars({ winners, losers }: MergedVars): {
  readonly vars: Readonly<Record<string, unknown>>;
  readonly sources: Readonly<Record<string, VarSource>>;
  readonly overridden: Readonly<Record<string, readonly OverriddenVar[]>>;
} {
  const vars: [string, unknown][] = [];
  const sources: [string, VarSource][] = [];
  for (const [name, entry] of winners) {
    if (name === "__proto__") throw invalid(`no var can be called ${name}`, locationOf(entry));
    vars.push([name, entry.value]);
    sources.push([name, entry.source]);
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
