import { formatClock } from "../rows/amounts.ts";
import { spread, truncateRow } from "../rows/layout.ts";
import { BOLD, DIM, line, type Row, segment } from "../rows/row.ts";
import { safeLine } from "../rows/sanitize.ts";
import { headerRows, type Surface } from "./header.ts";
import { hostWording, progressText, statusText } from "./host-status.ts";
import { firstRow, logLayout } from "./log-layout.ts";
import type { HostView, RunView } from "./model.ts";
import type { ViewState } from "./view-state.ts";

/** Rows of the screen that are not the log: host, status, rule, footer. */
const FIXED_ROWS = 4;

/** How many rows of a host's log are in sight. */
export function logRoom(run: RunView, view: ViewState, surface: Surface): number {
  return Math.max(0, surface.rows - 1 - FIXED_ROWS - cancelRows(run, view, surface).length);
}

/** One host: what it is doing, and its log. */
export function hostScreen(run: RunView, host: HostView, view: ViewState, surface: Surface): readonly Row[] {
  const { columns, symbols } = surface;
  const { ellipsis } = symbols;
  const room = logRoom(run, view, surface);
  const all = logLayout(host.log, columns);
  const first = firstRow(all, view.scroll, room);
  const shown = all.slice(first, first + room).map(({ row }) => row);
  const blanks = Array.from({ length: room - shown.length }, () => line(""));
  const left = all.length - first - shown.length;
  const position =
    view.scroll === undefined ? (host.phase === "done" ? "end" : "following") : `${left} more below`;
  return [
    titleRow(run, host, surface),
    truncateRow(
      [segment(statusText(host), host.error === undefined ? {} : { color: "red" })],
      columns,
      ellipsis,
    ),
    ...cancelRows(run, view, surface),
    line(symbols.rule.repeat(columns), DIM),
    ...shown,
    ...blanks,
    spread(
      [
        segment(
          `Esc back  ${symbols.leftRight} other hosts  ${symbols.upDown} PgUp PgDn g G scroll  ? help`,
          DIM,
        ),
      ],
      [
        segment(
          host.log.dropped > 0 ? `${host.log.dropped} early lines dropped, ${position}` : position,
          DIM,
        ),
      ],
      columns,
      ellipsis,
    ),
  ];
}

function titleRow(run: RunView, host: HostView, { columns, symbols, nowMs }: Surface): Row {
  const { word, symbol, style } = hostWording(host, symbols);
  const elapsedMs = host.elapsedMs ?? (host.startedAt === undefined ? 0 : nowMs - host.startedAt);
  const done = run.hosts.filter(({ phase }) => phase === "done").length;
  return spread(
    [
      segment(`${symbol} `, style),
      segment(safeLine(host.name), BOLD),
      segment(`  ${word}`, style),
      segment(`  ${run.kind === "run" ? `${progressText(host)}  ` : ""}${formatClock(elapsedMs)}`),
      segment(host.address === undefined ? "" : `  ${safeLine(host.address)}`, DIM),
    ],
    [segment(`fleet ${done}/${run.hosts.length} done`, DIM)],
    columns,
    symbols.ellipsis,
  );
}

/** The rows of the fleet's header that tell of a cancel. */
function cancelRows(run: RunView, view: ViewState, surface: Surface): readonly Row[] {
  return headerRows(run, view, surface).slice(3);
}
