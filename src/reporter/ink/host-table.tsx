import { Box } from "ink";
import { memo, type ReactNode, useMemo } from "react";
import { isRare, type Tally } from "../../core/result.ts";
import { hostWording, progressText, statusText } from "../host-status.ts";
import { formatClock } from "../rows/amounts.ts";
import { cell, fitRow, textWidth, truncateText } from "../rows/layout.ts";
import { BOLD, DIM, line, type Row, type Segment, segment } from "../rows/row.ts";
import { safeLine } from "../rows/sanitize.ts";
import type { Symbols } from "../rows/wording.ts";
import { tallyColumns } from "../summary.ts";
import type { HostView, RunView } from "./model.ts";
import { Line } from "./text.tsx";
import { isLow, type Surface, type ViewState } from "./view-state.ts";

const MIN_NAME_COLUMNS = 4;
const MAX_NAME_SHARE = 0.3;
const PROGRESS_COLUMNS = 8;
const CLOCK_COLUMNS = 8;
const NARROW_COUNT = 4;
const WIDE_COUNT = 10;
const MIN_COLUMNS_FOR_COUNTS = 60;
const MIN_COLUMNS_FOR_WORDS = 110;
/** Shown for a count of 0. ASCII, and so no text of its own for ink, which takes time for each. */
const NONE = ".";
const COUNTS = tallyColumns(true).filter(({ key }) => key !== "notExecuted" && !isRare(key));

interface Widths {
  readonly columns: number;
  readonly name: number;
  readonly status: number;
  /** The width of the tasks done; 0 leaves them out. */
  readonly progress: number;
  /** The width of each count; 0 leaves them out. */
  readonly counts: number;
}

/** The hosts in sight, one row each, below the titles of their columns. */
export function HostTable({
  run,
  hosts,
  view,
  surface,
}: {
  readonly run: RunView;
  readonly hosts: readonly HostView[];
  readonly view: ViewState;
  readonly surface: Surface;
}): ReactNode {
  const { columns, symbols, nowMs } = surface;
  const longest = run.hosts.reduce(
    (width, { name }) => Math.max(width, textWidth(safeLine(name))),
    MIN_NAME_COLUMNS,
  );
  const widths = useMemo(() => widthsOf(longest, run.kind, columns), [longest, run.kind, columns]);
  const empty = hosts.length === 0 ? emptyText(run, view) : "";
  return (
    <Box flexDirection="column" flexShrink={0}>
      {!isLow(surface) && <Titles widths={widths} symbols={symbols} />}
      {hosts.map((host) => (
        <HostRow
          key={host.name}
          host={host}
          chosen={host.name === view.selected}
          time={timeOf(host, nowMs)}
          widths={widths}
          symbols={symbols}
        />
      ))}
      {empty !== "" && <Line row={line(truncateText(empty, columns, symbols.ellipsis), DIM)} />}
    </Box>
  );
}

const Titles = memo(function Titles({
  widths,
  symbols,
}: {
  readonly widths: Widths;
  readonly symbols: Symbols;
}): ReactNode {
  const { ellipsis } = symbols;
  const title = (text: string, width: number, right = false): Segment =>
    cell(text, width, { ellipsis, right, style: DIM });
  const row: Row = [
    title("", 4),
    title("host", widths.name + 2),
    title("doing", widths.status),
    title("tasks", widths.progress, true),
    title("time", CLOCK_COLUMNS, true),
    ...COUNTS.map(({ key, title: word }) =>
      title(widths.counts === WIDE_COUNT ? word : signOf(key, symbols), widths.counts, true),
    ),
  ];
  return <Line row={fitRow(row, widths.columns, ellipsis)} />;
});

/** The row of one host, drawn again only when a property changes. */
const HostRow = memo(function HostRow({
  host,
  chosen,
  time,
  widths,
  symbols,
}: {
  readonly host: HostView;
  readonly chosen: boolean;
  readonly time: string;
  readonly widths: Widths;
  readonly symbols: Symbols;
}): ReactNode {
  const { ellipsis } = symbols;
  const { symbol, style } = hostWording(host, symbols);
  const plain = host.phase === "waiting" || host.outcome === "ok" ? DIM : {};
  const isBad = host.outcome !== undefined && host.outcome !== "ok";
  const row: Row = [
    segment(chosen ? `${symbols.pointer} ` : "  ", BOLD),
    segment(`${symbol} `, style),
    cell(safeLine(host.name), widths.name, { ellipsis, ...(chosen ? { style: BOLD } : {}) }),
    segment("  "),
    cell(statusText(host), Math.max(0, widths.status - 1), { ellipsis, style: isBad ? style : plain }),
    segment(" "),
    cell(progressText(host), widths.progress, { ellipsis, right: true }),
    cell(time, CLOCK_COLUMNS, { ellipsis, right: true, style: DIM }),
    ...COUNTS.map(({ key, style: counted }) => {
      const amount = host.tally[key];
      return cell(amount === 0 ? NONE : String(amount), widths.counts, {
        ellipsis: "",
        right: true,
        style: amount === 0 ? DIM : counted,
      });
    }),
  ];
  const fitted = fitRow(row, widths.columns, ellipsis);
  return (
    <Line
      row={
        chosen
          ? fitted.map(({ text, style: own }) => ({ text, style: { ...own, dim: false, inverse: true } }))
          : fitted
      }
    />
  );
});

function widthsOf(longestName: number, kind: RunView["kind"], columns: number): Widths {
  const name = Math.min(longestName, Math.floor(columns * MAX_NAME_SHARE));
  const progress = kind === "run" ? PROGRESS_COLUMNS : 0;
  const count =
    columns >= MIN_COLUMNS_FOR_WORDS ? WIDE_COUNT : columns >= MIN_COLUMNS_FOR_COUNTS ? NARROW_COUNT : 0;
  const counts = kind === "run" ? count : 0;
  const fixed = 4 + name + 2 + progress + CLOCK_COLUMNS + COUNTS.length * counts;
  return { columns, name, status: Math.max(0, columns - fixed), progress, counts };
}

function timeOf({ elapsedMs, startedAt }: HostView, nowMs: number): string {
  if (elapsedMs !== undefined) return formatClock(elapsedMs);
  return startedAt === undefined ? "" : formatClock(nowMs - startedAt);
}

function emptyText(run: RunView, view: ViewState): string {
  if (run.hosts.length === 0) return "preparing the run";
  if (view.filter !== "") return `no host matches "${safeLine(view.filter)}"; Esc shows all`;
  return view.failedOnly ? "no host has failed; f shows all" : "";
}

function signOf(key: keyof Tally, { ok, changed, skipped, failed, ignored, cancelled }: Symbols): string {
  return { unchanged: ok, changed, skipped, failed, ignored, rescued: failed, notExecuted: cancelled }[key];
}
