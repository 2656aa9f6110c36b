import { count } from "../rows/amounts.ts";
import { errorRows, outputRows } from "../rows/error-rows.ts";
import { BOLD, DIM, line, type Row, segment } from "../rows/row.ts";
import { safeLine } from "../rows/sanitize.ts";
import type { Symbols } from "../rows/symbols.ts";
import { outcomeWording } from "../rows/wording.ts";
import type { FailureGroup } from "./failure-groups.ts";
import { foldHostNames } from "./host-sets.ts";

const MAX_GROUPS = 25;
const MAX_OUTPUT_LINES = 10;
const INDENT = segment("    ");

/** What went wrong, each thing once with the hosts it went wrong on. */
export function failureRows(groups: readonly FailureGroup[], symbols: Symbols): readonly Row[] {
  const shown = groups.slice(-MAX_GROUPS);
  return [
    ...(groups.length > shown.length
      ? [line(`(${count(groups.length - shown.length, "rarer failure")} not shown)`, DIM), line("")]
      : []),
    ...shown.flatMap((group, index) => [...(index === 0 ? [] : [line("")]), ...groupRows(group, symbols)]),
  ];
}

function groupRows(group: FailureGroup, symbols: Symbols): readonly Row[] {
  const { word, symbol, style } = outcomeWording(group.outcome, symbols);
  const names = group.hosts.map(safeLine);
  const title: Row = [
    segment(`${symbol} `, style),
    segment(foldHostNames(names), BOLD),
    segment(names.length > 1 ? ` (${names.length} hosts)` : ""),
    segment(` ${group.outcome === "cancelled" ? "" : `${word}: `}`, style),
    segment(group.task ?? explanation(group)),
  ];
  const details = [
    ...(group.error === undefined ? [] : errorRows(group.error)),
    ...outputRows(group.output.slice(-MAX_OUTPUT_LINES), symbols.gutter),
  ];
  const note =
    group.identical || details.length === 0
      ? []
      : [line(`on ${names[0]}; the others say the same of themselves:`, DIM)];
  return [title, ...[...note, ...details].map((row): Row => [INDENT, ...row])];
}

function explanation({ outcome, hosts, started }: FailureGroup): string {
  const [it, its, was] = hosts.length === 1 ? ["it", "its", "was"] : ["they", "their", "were"];
  switch (outcome) {
    case "unreachable":
      return "no task was run there";
    case "lost":
      return `the end of ${its} run was not seen; what ${it} ${was} doing may have gone on`;
    case "cancelled":
      return `${was} cancelled ${started ? "before the end" : `before ${it} started`}`;
    case "failed":
      return "before or between tasks";
  }
}
