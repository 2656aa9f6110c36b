import type { Summary } from "../../core/events.ts";
import { formatTally } from "../../core/result.ts";
import { count } from "../rows/amounts.ts";
import { BOLD, line, type Row, segment } from "../rows/row.ts";
import { safeLine } from "../rows/sanitize.ts";
import type { Symbols } from "../rows/symbols.ts";
import { CHECK_MODE } from "../rows/wording.ts";
import { groupFailures } from "./failure-groups.ts";
import { failureRows } from "./failure-rows.ts";
import { MAX_SINGLE_ROWS, outcomesText, tableRows } from "./table-rows.ts";

/** What a printed summary needs to know beside the Summary. */
export interface SummaryContext {
  readonly columns: number;
  readonly symbols: Symbols;
  /** Results check mode could not know, per host; they are among the skipped. */
  readonly unknown: ReadonlyMap<string, number>;
}

/** What is printed when a run has ended: the table, a line per host when there are few, what failed, the fleet's line. */
export function summaryRows(summary: Summary, { columns, symbols, unknown }: SummaryContext): readonly Row[] {
  const failures = failureRows(groupFailures(summary), symbols);
  // The counts of a single host are those of the fleet: one line says them.
  const single = summary.hosts.length === 1 ? summary.hosts[0] : undefined;
  const isListed = single === undefined && summary.hosts.length <= MAX_SINGLE_ROWS;
  const bad = summary.exitCode !== 0;
  return [
    line(""),
    [
      segment(safeLine(summary.playbook), BOLD),
      ...(summary.check ? [segment("  "), segment(CHECK_MODE, { color: "magenta", bold: true })] : []),
    ],
    ...(single === undefined ? tableRows(summary, columns, symbols) : []),
    ...(isListed
      ? [
          line(""),
          ...summary.hosts.map(({ host, tally, elapsedMs }) =>
            line(`${safeLine(host)}: ${formatTally(tally, elapsedMs)}`),
          ),
        ]
      : []),
    ...(failures.length === 0 ? [] : [line(""), ...failures]),
    line(""),
    ...unknownRows(unknown, symbols),
    ...(bad && summary.logFile !== undefined
      ? [line(`The whole log is in ${safeLine(summary.logFile)}`)]
      : []),
    line(
      outcomesText(summary.outcomes, summary.hosts.length),
      bad ? { color: "red", bold: true } : { color: "green", bold: true },
    ),
    single === undefined
      ? [segment("fleet: ", BOLD), segment(formatTally(summary.tally, summary.elapsedMs))]
      : [segment(`${safeLine(single.host)}: `, BOLD), segment(formatTally(single.tally, single.elapsedMs))],
    ...(summary.check ? [line(CHECK_MODE, { color: "magenta", bold: true })] : []),
  ];
}

function unknownRows(unknown: ReadonlyMap<string, number>, symbols: Symbols): readonly Row[] {
  const total = [...unknown.values()].reduce((sum, each) => sum + each, 0);
  if (total === 0) return [];
  const text = `${symbols.unknown} ${count(total, "result")} on ${count(unknown.size, "host")} cannot be known without running; counted as skipped`;
  return [line(text, { color: "magenta" })];
}
