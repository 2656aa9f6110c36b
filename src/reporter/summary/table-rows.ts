import type { HostSummary, Summary } from "../../core/events.ts";
import { TALLY_KEYS, type Tally } from "../../core/result.ts";
import { count, formatElapsed } from "../rows/amounts.ts";
import { BOLD, cell, DIM, type Row, type Segment, type Style, segment, truncateRow } from "../rows/row.ts";
import { safeLine } from "../rows/sanitize.ts";
import type { Symbols } from "../rows/symbols.ts";
import { textWidth } from "../rows/width.ts";
import { outcomeWording } from "../rows/wording.ts";
import { foldHostNames } from "./host-sets.ts";

/** Up to this many hosts have a row each; more are folded by what they came to. */
export const MAX_SINGLE_ROWS = 20;

const TITLES: Readonly<Record<keyof Tally, readonly [full: string, short: string]>> = {
  unchanged: ["unchanged", "unch"],
  changed: ["changed", "chg"],
  skipped: ["skipped", "skip"],
  failed: ["failed", "fail"],
  notExecuted: ["not executed", "not run"],
};
const STYLES: Readonly<Record<keyof Tally, Style>> = {
  unchanged: { color: "green" },
  changed: { color: "yellow" },
  skipped: { color: "cyan" },
  failed: { color: "red", bold: true },
  notExecuted: { color: "magenta" },
};
const OUTCOME_COLUMNS = 13;
const MIN_NAME_COLUMNS = 12;
const OUTCOME_ORDER = { ok: 0, cancelled: 1, lost: 2, unreachable: 3, failed: 4 } as const;

interface TableLine {
  readonly hosts: readonly HostSummary[];
}

/** The title of a tally's column and how wide it is. */
export function tallyColumns(wide: boolean): readonly { key: keyof Tally; title: string; style: Style }[] {
  return TALLY_KEYS.map((key) => ({ key, title: TITLES[key][wide ? 0 : 1], style: STYLES[key] }));
}

/** The table of hosts and counts; hosts that came to the same share a row when there are many, and the worst come last. */
export function tableRows(summary: Summary, columns: number, symbols: Symbols): readonly Row[] {
  const fold = summary.hosts.length > MAX_SINGLE_ROWS;
  const lines = tableLines(summary, fold);
  const digits = String(summary.hosts.length).length;
  const names = lines.map(({ hosts }) => {
    const name = foldHostNames(hosts.map(({ host }) => safeLine(host)));
    return fold ? `${String(hosts.length).padStart(digits)}  ${name}` : name;
  });
  const times = lines.map(({ hosts }) => elapsedRange(hosts, symbols));
  const timeWidth = Math.max(4, ...times.map(textWidth));
  const all = tallyColumns(columns >= 100).map((column) => ({
    ...column,
    width: Math.max(6, column.title.length + 2),
  }));
  const told = all.filter(({ key }) => lines.some(({ hosts: [host] }) => (host?.tally[key] ?? 0) > 0));
  const widthOf = (counts: typeof all, time: number): number =>
    MIN_NAME_COLUMNS + 2 + OUTCOME_COLUMNS + counts.reduce((sum, { width }) => sum + width, 0) + time;
  // On a narrow terminal the counts that are 0 everywhere give way, then the times, then all counts.
  const forms = [
    { counts: all, time: timeWidth + 2 },
    { counts: told, time: timeWidth + 2 },
    { counts: told, time: 0 },
  ];
  const { counts, time } = forms.find((form) => widthOf(form.counts, form.time) <= columns) ?? {
    counts: [],
    time: 0,
  };
  const fixed = widthOf(counts, time) - MIN_NAME_COLUMNS;
  const nameWidth = Math.min(
    Math.max(5, ...names.map(textWidth)),
    Math.max(MIN_NAME_COLUMNS, columns - fixed),
  );
  const { ellipsis } = symbols;
  const titles: Row = [
    cell(fold ? "hosts" : "host", nameWidth + 2, { ellipsis, style: BOLD }),
    cell("outcome", OUTCOME_COLUMNS, { ellipsis, style: BOLD }),
    ...counts.map(({ title, width }) => cell(title, width, { ellipsis, right: true, style: BOLD })),
    ...(time === 0 ? [] : [cell("time", time, { ellipsis, right: true, style: BOLD })]),
  ];
  const rows = lines.map(({ hosts }, index): Row => {
    const host = hosts[0] as HostSummary;
    const { word, symbol, style } = outcomeWording(host.outcome, symbols);
    return [
      cell(names[index] ?? "", nameWidth, { ellipsis }),
      segment("  "),
      cell(`${symbol} ${word}`, OUTCOME_COLUMNS, { ellipsis, style }),
      ...counts.map((column) => countCell(host.tally[column.key], column.width, column.style)),
      ...(time === 0 ? [] : [cell(times[index] ?? "", time, { ellipsis, right: true, style: DIM })]),
    ];
  });
  return [titles, ...rows].map((row) => truncateRow(row, columns, ellipsis));
}

function countCell(amount: number, width: number, style: Style): Segment {
  return cell(String(amount), width, { right: true, ellipsis: "", style: amount === 0 ? DIM : style });
}

function tableLines(summary: Summary, fold: boolean): readonly TableLine[] {
  const lines = new Map<string, HostSummary[]>();
  for (const host of summary.hosts) {
    const key = fold ? JSON.stringify([host.outcome, TALLY_KEYS.map((each) => host.tally[each])]) : host.host;
    const same = lines.get(key);
    if (same === undefined) lines.set(key, [host]);
    else same.push(host);
  }
  return [...lines.values()]
    .map((hosts) => ({ hosts }))
    .sort((one, other) => rank(one) - rank(other) || (fold ? other.hosts.length - one.hosts.length : 0));
}

function rank({ hosts }: TableLine): number {
  return OUTCOME_ORDER[hosts[0]?.outcome ?? "ok"];
}

function elapsedRange(hosts: readonly HostSummary[], symbols: Symbols): string {
  const times = hosts.map(({ elapsedMs }) => elapsedMs);
  const [least, most] = [formatElapsed(Math.min(...times)), formatElapsed(Math.max(...times))];
  return least === most ? most : `${least}${symbols.range}${most}`;
}

/** `200 hosts: 195 ok, 3 failed, 2 unreachable`: outcomes that did not occur are left out. */
export function outcomesText(outcomes: Summary["outcomes"], hosts: number): string {
  const parts = (["ok", "failed", "unreachable", "lost", "cancelled"] as const)
    .filter((outcome) => outcomes[outcome] > 0)
    .map((outcome) => `${outcomes[outcome]} ${outcome}`);
  return `${count(hosts, "host")}${parts.length === 0 ? "" : `: ${parts.join(", ")}`}`;
}
