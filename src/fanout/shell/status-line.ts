import { formatNodeSet } from "../node-set.ts";
import { type Cells, cutText, drawText, FLAGS, fillCells, style } from "./cells.ts";
import type { LineEditor } from "./line-editor.ts";
import type { ViewOptions } from "./pane-view.ts";
import { receivers, type ShellState } from "./shell-state.ts";

const BAR = style(FLAGS.inverse);
const MIN_MARK_WIDTH = 30;
/** Where a line of a paste ends. */
const LINE_END = "↵";

/** The bottom row: whom is typed to, what is to be noticed, where one is. */
export function drawStatusLine(cells: Cells, state: ShellState, row: number, options: ViewOptions): void {
  const { widthOf, escapeLabel } = options;
  fillCells(cells, { column: 0, row, columns: cells.columns, rows: 1 }, BAR);
  const pages = state.layout.pages;
  const page = Math.floor(state.focus / state.layout.perPage) + 1;
  const where = state.zoomed ? "zoomed" : pages > 1 ? `page ${page}/${pages}` : "";
  const right = isAwaitingCommand(state) ? "" : [where, `${escapeLabel} ? help`].filter(Boolean).join("  ");
  const room = cells.columns - 2;
  const rightWidth = widthOf(right) + 2 > room / 2 ? 0 : widthOf(right);
  const left = cutText(
    state.notice ?? leftText(state, options),
    room - (rightWidth === 0 ? 0 : rightWidth + 2),
    widthOf,
  );
  drawText(cells, { column: 1, row, room }, left, BAR, widthOf);
  if (rightWidth > 0)
    drawText(cells, { column: cells.columns - 1 - rightWidth, row, room: rightWidth }, right, BAR, widthOf);
}

function isAwaitingCommand({ mode }: ShellState): boolean {
  return mode.kind === "command" && !mode.isRepeating;
}

function leftText(state: ShellState, { escapeLabel, widthOf }: ViewOptions): string {
  if (isAwaitingCommand(state))
    return `${escapeLabel}  q quit  z zoom  n/p page  a all  o only  / pattern  m mute  l line  f fold  r reconnect  c record  ? help`;
  if (state.mode.kind === "scroll") return "looking back: arrows, PgUp, PgDn, Home, End; q goes on";
  const to = receivers(state);
  const markWidth = Math.max(MIN_MARK_WIDTH, Math.floor(state.columns / 4));
  const all = to.length === state.panes.length;
  const whom =
    to.length === 0
      ? "typing to none"
      : `to ${all ? "all " : ""}${formatNodeSet(to.map(({ name }) => name))}`;
  const named = (label: string, names: readonly string[]): readonly string[] =>
    names.length === 0 ? [] : [cutText(`${label} ${formatNodeSet(names)}`, markWidth, widthOf)];
  const namesWhere = (condition: (pane: ShellState["panes"][number]) => boolean): readonly string[] =>
    state.panes.filter(condition).map(({ name }) => name);
  return [
    whom,
    ...named(
      "gone",
      namesWhere(({ session }) => session.state.kind === "dropped"),
    ),
    ...named(
      "ended",
      namesWhere(({ session }) => session.state.kind === "ended"),
    ),
    ...named(
      "connecting",
      namesWhere(({ session }) => session.state.kind === "connecting" || session.state.kind === "waiting"),
    ),
    ...named(
      "lags",
      namesWhere(({ name }) => state.lagging.has(name)),
    ),
    ...named(
      "differs",
      namesWhere(({ name }) => state.differing.has(name)),
    ),
    ...named(
      "muted",
      namesWhere(({ name }) => state.muted.has(name)),
    ),
  ].join(" · ");
}

/** A line that is being edited; gives the column of the cursor. */
export function drawEditor(
  cells: Cells,
  at: { readonly row: number; readonly prompt: string; readonly editor: LineEditor },
  { widthOf }: ViewOptions,
): number {
  const { row, prompt, editor } = at;
  fillCells(cells, { column: 0, row, columns: cells.columns, rows: 1 }, style(0));
  const start = drawText(cells, { column: 0, row, room: cells.columns }, prompt, style(FLAGS.bold), widthOf);
  const room = Math.max(1, cells.columns - start - 1);
  // What is typed last is to be seen where a line is longer than the screen is wide.
  let from = 0;
  const text = editor.text.replaceAll("\n", LINE_END);
  while (widthOf(text.slice(from, editor.cursor)) > room) from++;
  drawText(cells, { column: start, row, room }, text.slice(from), style(0), widthOf);
  return Math.min(cells.columns - 1, start + widthOf(text.slice(from, editor.cursor)));
}
