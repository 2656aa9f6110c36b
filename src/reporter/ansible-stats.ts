import type { Result } from "../core/result.ts";
import { isDict, isRecord, numeric, writeJson } from "../core/values/value.ts";
import { banner, safeText } from "./ansible-text.ts";

/** The stats that `set_stats` of a run has made: those of all hosts together, and of each host. */
export interface CustomStats {
  /** Take those that a task has made on a host. */
  take(host: string, result: Result): void;
  /** Return what ansible-playbook prints of them at the end with `show_custom_stats`; empty where there are none. */
  text(columns: number): string;
}

/** Collect stats. As Ansible's callback of standard output shows them: hosts by name, then the run's. */
export function createCustomStats(): CustomStats {
  const byHost = new Map<string, Map<string, unknown>>();
  const run = new Map<string, unknown>();
  return {
    take(host, { data, hidden }) {
      if (hidden === true || !isRecord(data)) return;
      for (const each of Array.isArray(data.results) ? data.results : [data]) {
        const stats = isRecord(each) ? each.ansible_stats : undefined;
        if (!isRecord(stats) || !isRecord(stats.data)) continue;
        const own = byHost.get(host) ?? new Map<string, unknown>();
        if (stats.per_host === true) byHost.set(host, own);
        const all = stats.per_host === true ? own : run;
        for (const [name, value] of Object.entries(stats.data))
          all.set(name, stats.aggregate === true && all.has(name) ? joined(all.get(name), value) : value);
      }
    },
    text(columns) {
      const line = (name: string, stats: Map<string, unknown>): string =>
        safeText(`\t${name}: ${lineOf(Object.fromEntries(stats))}\n`);
      const hosts = [...byHost].sort(([a], [b]) => (a < b ? -1 : 1)).map(([host, own]) => line(host, own));
      const whole = run.size === 0 ? "" : `\n${line("RUN", run)}`;
      return hosts.length === 0 && whole === ""
        ? ""
        : `${banner("CUSTOM STATS: ", columns)}${hosts.join("")}${whole}\n`;
    },
  };
}

/** JSON of several lines, less their ends. */
function lineOf(stats: Record<string, unknown>): string {
  const compareKeys = (a: unknown, b: unknown): number => (String(a) < String(b) ? -1 : 1);
  return writeJson(stats, { indent: " ", compareKeys }).replaceAll("\n", "");
}

/** Join a value to another of its type, as Python's `+` does, and dicts as a whole. Of two types the first stays. */
function joined(before: unknown, after: unknown): unknown {
  if (Array.isArray(before) && Array.isArray(after)) return [...before, ...after];
  if (typeof before === "string" && typeof after === "string") return before + after;
  if (isDict(before) && isDict(after)) return { ...before, ...after };
  const [one, other] = [numeric(before), numeric(after)];
  const isSame = typeof before === typeof after && Number.isInteger(one) === Number.isInteger(other);
  return one !== undefined && other !== undefined && isSame ? Number(one) + Number(other) : before;
}
