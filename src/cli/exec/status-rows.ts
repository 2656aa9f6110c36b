import { foldNodeSet } from "../../fanout/node-set.ts";
import type { HostResult } from "../../fanout/result.ts";
import { count, formatElapsed } from "../../reporter/rows/amounts.ts";
import { BOLD, DIM, line, type Row, type Style, segment } from "../../reporter/rows/row.ts";
import { safeLine } from "../../reporter/rows/sanitize.ts";
import type { Symbols } from "../../reporter/rows/symbols.ts";
import { padText, textWidth, wrapRanges } from "../../reporter/rows/width.ts";

const FAILED: Style = { color: "red" };
const OK: Style = { color: "green" };
const WAITING: Style = { color: "yellow" };
const MAX_REASON = 200;
/** What comes first is what must be looked at. */
const ORDER = ["failed", "timedOut", "unreachable", "lost", "cancelled", "ok"] as const;

/** How a command went on a host in a few words: `exit 2`, `killed by TERM`, `timed out`. */
export function describeEnd({ outcome, exit, error }: HostResult): string {
  switch (outcome) {
    case "ok":
      return "ok";
    case "failed":
      return exit?.kind === "signalled" ? `killed by ${exit.signal}` : `exit ${exit?.kind === "exited" ? exit.code : "?"}`;
    case "timedOut":
      return "timed out";
    case "unreachable":
      return error?.code === "AUTH_FAILED" ? "login failed" : "unreachable";
    case "lost":
      return "connection lost";
    case "cancelled":
      return exit === undefined ? "not started" : "cancelled";
  }
}

/** Why a host did not get to run the command, without its name; empty when there is nothing to say. */
export function reasonOf({ host, error, exit }: HostResult): string {
  const said = error?.message ?? (exit?.kind === "lost" ? exit.reason : "");
  // `web1: …`, or `web1 (10.0.0.1:22) …`: what stands beside a name need not say it, and folds when it does not.
  const own = /^(?:: | \([^()]*\) | )/.exec(said.startsWith(host) ? said.slice(host.length) : "");
  const reason = own === null ? said : said.slice(host.length + own[0].length);
  const shown = safeLine(reason.replaceAll("\n", " "));
  return shown.length > MAX_REASON ? `${shown.slice(0, MAX_REASON)}…` : shown;
}

/** How a state looks. */
export function styleOf({ outcome }: Pick<HostResult, "outcome">): Style {
  return outcome === "ok" ? OK : outcome === "cancelled" ? WAITING : FAILED;
}

/** The sign of a state. */
export function symbolOf({ outcome }: Pick<HostResult, "outcome">, symbols: Symbols): string {
  return outcome === "ok" ? symbols.ok : outcome === "cancelled" ? symbols.cancelled : symbols.failed;
}

/** The table of how it went, failures first, and the line below it; of a run without failures only the line. */
export function statusRows(
  results: readonly HostResult[],
  elapsedMs: number,
  { symbols, columns = 100 }: { readonly symbols: Symbols; readonly columns: number | undefined },
): readonly Row[] {
  const groups = groupResults(results);
  const total = totalRow(results, elapsedMs, symbols);
  if (groups.every(({ first }) => first.outcome === "ok")) return [total];
  const stateColumns = Math.max(...groups.map(({ state }) => state.length));
  const countColumns = Math.max(...groups.map(({ hosts }) => String(hosts.length).length));
  const indent = stateColumns + countColumns + 6;
  const rows = groups.flatMap(({ state, hosts, reason, first }) => {
    const lead: Row = [
      segment(`${symbolOf(first, symbols)} `, styleOf(first)),
      segment(padText(state, stateColumns), styleOf(first)),
      segment("  "),
      segment(padText(String(hosts.length), countColumns, true), BOLD),
      segment("  "),
    ];
    const names = wrapSets(foldNodeSet(hosts), columns - indent);
    const reasons = reason === "" ? [] : wrapped(reason, columns - indent);
    const where = [...names.map((text) => segment(text)), ...reasons.map((text) => segment(text, DIM))];
    return where.map((text, index): Row => (index === 0 ? [...lead, text] : [segment(" ".repeat(indent)), text]));
  });
  return [...rows, total];
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
    const key = JSON.stringify([state, reason]);
    const group = groups.get(key) ?? { state, reason, first: result, hosts: [] };
    group.hosts.push(result.host);
    groups.set(key, group);
  }
  const place = ({ first }: ResultGroup): number => ORDER.indexOf(first.outcome);
  return [...groups.values()].sort((one, other) => place(one) - place(other) || other.hosts.length - one.hosts.length);
}

function totalRow(results: readonly HostResult[], elapsedMs: number, symbols: Symbols): Row {
  const amounts = new Map<string, number>();
  for (const { outcome } of results) amounts.set(outcome, (amounts.get(outcome) ?? 0) + 1);
  const words = { ok: "ok", failed: "failed", timedOut: "timed out", unreachable: "unreachable", lost: "lost", cancelled: "cancelled" };
  const isOk = amounts.get("ok") === results.length;
  const parts = ORDER.filter((outcome) => amounts.has(outcome)).map((outcome) => `${amounts.get(outcome)} ${words[outcome]}`);
  const text = isOk ? `${count(results.length, "host")} ok` : `${count(results.length, "host")}: ${parts.join(", ")}`;
  return [
    ...(isOk ? [segment(`${symbols.ok} `, OK)] : []),
    segment(text, BOLD),
    segment(` in ${formatElapsed(elapsedMs)}`, DIM),
  ];
}

/** Sets side by side with commas, broken between them. */
function wrapSets(sets: readonly string[], columns: number): readonly string[] {
  const lines: string[] = [];
  for (const [index, set] of sets.entries()) {
    const text = index < sets.length - 1 ? `${set},` : set;
    const last = lines.at(-1);
    if (last !== undefined && textWidth(last) + textWidth(text) <= columns) lines[lines.length - 1] = last + text;
    else lines.push(text);
  }
  return lines;
}

function wrapped(text: string, columns: number): readonly string[] {
  const room = Math.max(20, columns);
  return wrapRanges(text, room, room).map(([start, end]) => text.slice(start, end));
}

/** A heading across the terminal: `── web[01-17] ── 18 hosts ───`. */
export function headingRow(parts: readonly [text: string, style: Style][], columns: number, symbols: Symbols): Row {
  const row: Row = [
    segment(`${symbols.rule}${symbols.rule} `, DIM),
    ...parts.flatMap(([text, style], index) => [...(index === 0 ? [] : [segment(" · ", DIM)]), segment(text, style)]),
    segment(" "),
  ];
  const width = row.reduce((sum, { text }) => sum + textWidth(text), 0);
  return [...row, segment(symbols.rule.repeat(Math.max(2, columns - width)), DIM)];
}

/** Rows of nothing. */
export const EMPTY_ROW: Row = line("");
