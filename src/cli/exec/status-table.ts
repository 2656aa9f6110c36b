import type { HostResult } from "../../fanout/exec/exec-host.ts";
import { foldNodeSet } from "../../inventory/node-set.ts";

import { padText, textWidth, wrapRanges } from "../../reporter/rows/layout.ts";
import { BOLD, DIM, type Row, segment } from "../../reporter/rows/row.ts";
import { safeLine } from "../../reporter/rows/sanitize.ts";
import type { Symbols } from "../../reporter/rows/wording.ts";
import { describeEnd, OUTCOME_ORDER, reasonOf, styleOf, symbolOf } from "./status.ts";

const DEFAULT_COLUMNS = 100;

/** How it went, failures first: what happened, on how many hosts, on which. */
export function statusTable(
  results: readonly HostResult[],
  { symbols, columns = DEFAULT_COLUMNS }: { readonly symbols: Symbols; readonly columns: number | undefined },
): readonly Row[] {
  const groups = groupResults(results);
  const stateColumns = Math.max(...groups.map(({ state }) => state.length));
  const countColumns = Math.max(...groups.map(({ hosts }) => String(hosts.length).length));
  const indent = stateColumns + countColumns + 6;
  return groups.flatMap(({ state, hosts, reason, first }) => {
    const lead: Row = [
      segment(`${symbolOf(first, symbols)} `, styleOf(first)),
      segment(padText(state, stateColumns), styleOf(first)),
      segment("  "),
      segment(padText(String(hosts.length), countColumns, true), BOLD),
      segment("  "),
    ];
    const names = wrapSets(foldNodeSet(hosts), columns - indent);
    const reasons = reason === "" ? [] : wrapped(reason, columns - indent);
    const hint = first.error?.hint;
    const hints = hint === undefined ? [] : wrapped(`hint: ${safeLine(hint)}`, columns - indent);
    const where = [
      ...names.map((text) => segment(text)),
      ...reasons.map((text) => segment(text, DIM)),
      ...hints.map((text) => segment(text)),
    ];
    return where.map(
      (text, index): Row => (index === 0 ? [...lead, text] : [segment(" ".repeat(indent)), text]),
    );
  });
}

interface ResultGroup {
  readonly state: string;
  readonly reason: string;
  readonly first: HostResult;
  readonly hosts: string[];
}

function groupResults(results: readonly HostResult[]): readonly ResultGroup[] {
  const groups = new Map<string, ResultGroup>();
  for (const result of results) {
    const [state, reason] = [describeEnd(result), reasonOf(result)];
    const key = JSON.stringify([state, reason, result.error?.hint]);
    const group = groups.get(key) ?? { state, reason, first: result, hosts: [] };
    group.hosts.push(result.host);
    groups.set(key, group);
  }
  const place = ({ first }: ResultGroup): number => OUTCOME_ORDER.indexOf(first.outcome);
  return [...groups.values()].sort(
    (one, other) => place(one) - place(other) || other.hosts.length - one.hosts.length,
  );
}

/** Sets side by side with commas, broken between them. */
function wrapSets(sets: readonly string[], columns: number): readonly string[] {
  const lines: string[] = [];
  for (const [index, set] of sets.entries()) {
    const text = index < sets.length - 1 ? `${set},` : set;
    const last = lines.at(-1);
    if (last !== undefined && textWidth(last) + textWidth(text) <= columns)
      lines[lines.length - 1] = last + text;
    else lines.push(text);
  }
  return lines;
}

function wrapped(text: string, columns: number): readonly string[] {
  const room = Math.max(20, columns);
  return wrapRanges(text, room, room).map(([start, end]) => text.slice(start, end));
}
