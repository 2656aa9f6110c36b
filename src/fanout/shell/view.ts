import { formatNodeSet } from "../../patterns/names.ts";
import {
  type Area,
  type Cells,
  createCells,
  cutText,
  drawText,
  FLAGS,
  fillCells,
  PLAIN,
  restyle,
  safeText,
  setCell,
  style,
  type WidthOf,
} from "./cells.ts";
import { COMMAND_KEYS } from "./commands.ts";
import type { FoldScreen } from "./fold-view.ts";
import type { LineEditor } from "./line-editor.ts";
import type { Pane } from "./pane.ts";
import type { Frame } from "./screen.ts";
import {
  focusedPane,
  marksOf,
  paneArea,
  receivers,
  type ShellState,
  STATUS_ROWS,
  visiblePanes,
  zoomedArea,
} from "./shell-state.ts";

/** The editors and the fold view, which the screen shows besides the panes. */
interface ComposeOptions extends ViewOptions {
  readonly lineEditor: LineEditor;
  readonly foldEditor: LineEditor;
  readonly fold: Pick<FoldScreen, "emulator" | "offset">;
}

/** Draw the whole screen. */
export function composeFrame(state: ShellState, options: ComposeOptions): Frame {
  const { columns, rows, mode } = state;
  const cells = createCells(columns, rows);
  let cursor = mode.kind === "fold" ? undefined : drawPanes(state, cells, options);
  if (mode.kind === "fold") {
    const area = { column: 0, row: 0, columns, rows: rows - STATUS_ROWS };
    options.fold.emulator.draw(cells, area, options.fold.offset);
  }
  if (isEditing(state)) {
    const { prompt, editor } = editorOf(state, options);
    const room = Math.max(8, Math.floor(columns / 2));
    const at = { row: rows - 1, prompt: cutText(prompt, room, options.widthOf, "… "), editor };
    cursor = { column: drawEditor(cells, at, options), row: at.row };
    if (state.notice !== undefined) drawStatusLine(cells, state, Math.max(0, rows - 2), options);
  } else drawStatusLine(cells, state, rows - 1, options);
  if (mode.kind === "help") {
    drawHelp(cells, options);
    cursor = undefined;
  }
  return { cells, cursor };
}

/** Draw the visible panes; returns the cursor's place. */
function drawPanes(
  state: ShellState,
  cells: ReturnType<typeof createCells>,
  options: ComposeOptions,
): Frame["cursor"] {
  const { columns, rows, layout, zoomed } = state;
  const shown = visiblePanes(state);
  const focused = focusedPane(state);
  let cursor: Frame["cursor"];
  for (const [place, pane] of shown.entries()) {
    const area = zoomed ? zoomedArea(columns, rows - STATUS_ROWS) : paneArea(layout, place);
    drawPane(cells, state, pane, area, options);
    const at = pane.emulator.cursor;
    if (pane === focused && at !== undefined && pane.session.state.kind === "open" && pane.offset === 0)
      cursor = { column: area.column + at.column, row: area.row + at.row };
  }
  if (zoomed) return cursor;
  for (let across = 1; across < layout.across; across++) {
    const down = Math.ceil((shown.length - across) / layout.across);
    const column = across * (layout.paneColumns + 1) - 1;
    const titleEvery = layout.paneRows + 1;
    drawSeparator(cells, { column, rows: Math.max(0, down) * titleEvery, titleEvery });
  }
  return cursor;
}

/** Tell whether a line editor replaces the status line. */
function isEditing({ mode }: ShellState): boolean {
  return mode.kind === "line" || mode.kind === "fold" || mode.kind === "pattern";
}

function editorOf(
  state: ShellState,
  { lineEditor, foldEditor }: ComposeOptions,
): { readonly prompt: string; readonly editor: LineEditor } {
  const { mode } = state;
  if (mode.kind === "pattern") {
    return { prompt: mode.for === "select" ? "type to: " : "mute: ", editor: mode.editor };
  }
  const count = receivers(state).length;
  const hosts = count === 1 ? "1 host" : `${count} hosts`;
  return mode.kind === "fold"
    ? { prompt: `fold ${hosts}> `, editor: foldEditor }
    : { prompt: `line ${hosts}> `, editor: lineEditor };
}

const RED = 1;
const GREEN = 2;
const YELLOW = 3;
const CYAN = 6;

/** Options of drawing functions. */
interface ViewOptions {
  readonly widthOf: WidthOf;
  /** Name of the escape key. */
  readonly escapeLabel: string;
}

/** Draw a pane and, in the row above it, its title. */
function drawPane(cells: Cells, state: ShellState, pane: Pane, area: Area, options: ViewOptions): void {
  const isFocused = pane === focusedPane(state);
  pane.emulator.draw(cells, area, pane.offset);
  const { cursor } = pane.emulator;
  const isOpen = pane.session.state.kind === "open";
  // The terminal's own cursor is in the focused pane: draw those of other panes.
  if (cursor !== undefined && isOpen && pane.offset === 0 && !isFocused && cursor.row < area.rows) {
    const at = { column: area.column + cursor.column, row: area.row + cursor.row, columns: 1, rows: 1 };
    restyle(cells, at, FLAGS.inverse);
  }
  if (!isOpen) drawReason(cells, pane, area, options);
  drawTitle(cells, state, pane, area, options);
}

/** Draw why a pane is not open over its last rows, so that earlier output stays readable. */
function drawReason(cells: Cells, { session, name }: Pane, area: Area, options: ViewOptions): void {
  const { state } = session;
  const { widthOf, escapeLabel } = options;
  const lines = ((): readonly string[] => {
    switch (state.kind) {
      case "waiting":
        return ["waiting for its turn"];
      case "connecting":
        return ["connecting…"];
      case "ended":
        return [`the shell ended: ${state.how}`, `${escapeLabel} r starts another`];
      case "dropped":
        return [safeText(state.reason) || `${name} is gone`, `${escapeLabel} r reconnects`];
      case "open":
        return [];
    }
  })();
  const wrapped = lines.flatMap((line) => wrap(line, area.columns, widthOf)).slice(0, area.rows);
  const look = style(0, state.kind === "dropped" ? RED : state.kind === "ended" ? YELLOW : CYAN);
  const first = area.row + area.rows - wrapped.length;
  for (const [index, line] of wrapped.entries()) {
    fillCells(cells, { column: area.column, row: first + index, columns: area.columns, rows: 1 }, PLAIN);
    drawText(cells, { column: area.column, row: first + index, room: area.columns }, line, look, widthOf);
  }
}

function wrap(text: string, columns: number, widthOf: WidthOf): readonly string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last !== undefined && widthOf(`${last} ${word}`) <= columns)
      lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

function drawTitle(
  cells: Cells,
  state: ShellState,
  pane: Pane,
  { column, row, columns }: Area,
  { widthOf }: ViewOptions,
): void {
  const y = row - 1;
  const marks = marksOf(state, pane);
  const isFocused = pane === focusedPane(state);
  const isReceiver = receivers(state).includes(pane);
  const rule = style(isFocused || isReceiver ? 0 : FLAGS.dim, isReceiver ? GREEN : undefined);
  fillCells(cells, { column, row: y, columns, rows: 1 }, rule, "─");
  const scrolled = pane.offset === 0 ? [] : [`-${pane.offset}`];
  const right = [...scrolled, ...marks].join(" ");
  const rightWidth = right === "" ? 0 : widthOf(right) + 2;
  const name = cutText(safeText(pane.name), Math.max(4, columns - 4 - rightWidth), widthOf);
  const nameLook = style(
    (isFocused ? FLAGS.inverse : 0) | (isReceiver || isFocused ? FLAGS.bold : FLAGS.dim),
    isReceiver ? GREEN : undefined,
  );
  const sign = isReceiver ? "●" : "○";
  const taken = drawText(
    cells,
    { column: column + 1, row: y, room: columns - 1 },
    ` ${sign} ${name} `,
    nameLook,
    widthOf,
  );
  if (right === "") return;
  const room = columns - taken - 2;
  const text = cutText(right, Math.max(0, room - 2), widthOf);
  if (text === "") return;
  const at = column + columns - widthOf(text) - 3;
  drawText(cells, { column: at, row: y, room: widthOf(text) + 2 }, ` ${text} `, markStyle(marks[0]), widthOf);
}

function markStyle(mark: string | undefined): ReturnType<typeof style> {
  if (mark === "gone") return style(FLAGS.bold, RED);
  if (mark === "connecting" || mark === undefined) return style(0, CYAN);
  return style(FLAGS.bold, mark === "rec" ? RED : YELLOW);
}

/** Draw the line between neighbouring panes, across title lines. */
function drawSeparator(
  cells: Cells,
  {
    column,
    rows,
    titleEvery,
  }: { readonly column: number; readonly rows: number; readonly titleEvery: number },
): void {
  for (let row = 0; row < rows; row++) {
    const char = row === 0 ? "┬" : row % titleEvery === 0 ? "┼" : "│";
    setCell(cells, column, row, char, style(FLAGS.dim));
  }
}

const BAR = style(FLAGS.inverse);
const MIN_MARK_WIDTH = 30;
/** Sign for a line end within an edited text. */
const LINE_END = "↵";

/** Draw the bottom row: receivers, marked hosts, page. */
function drawStatusLine(cells: Cells, state: ShellState, row: number, options: ViewOptions): void {
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
  if (state.mode.kind === "scroll") return "scrolling: arrows, PgUp, PgDn, Home, End; q ends it";
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

/** Draw a line editor; returns the cursor's column. */
function drawEditor(
  cells: Cells,
  at: { readonly row: number; readonly prompt: string; readonly editor: LineEditor },
  { widthOf }: ViewOptions,
): number {
  const { row, prompt, editor } = at;
  fillCells(cells, { column: 0, row, columns: cells.columns, rows: 1 }, style(0));
  const start = drawText(cells, { column: 0, row, room: cells.columns }, prompt, style(FLAGS.bold), widthOf);
  const room = Math.max(1, cells.columns - start - 1);
  // Keep the end of a long line visible.
  let from = 0;
  const text = editor.text.replaceAll("\n", LINE_END);
  while (widthOf(text.slice(from, editor.cursor)) > room) from++;
  drawText(cells, { column: start, row, room }, text.slice(from), style(0), widthOf);
  return Math.min(cells.columns - 1, start + widthOf(text.slice(from, editor.cursor)));
}

const BOX = style(0);
const LABEL_COLUMNS = 8;
const WIDTH = 48;

/** Draw a box with all commands over the screen, in two columns on a low screen. */
function drawHelp(cells: Cells, { escapeLabel, widthOf }: ViewOptions): void {
  const commands = COMMAND_KEYS.filter(({ label }) => label !== "").map(({ label, help }) => ({
    label,
    help,
  }));
  const entries = [...commands, { label: escapeLabel, help: "send it to the hosts" }];
  const beside = entries.length + 4 > cells.rows && cells.columns >= WIDTH ? 2 : 1;
  const perColumn = Math.ceil(entries.length / beside);
  const width = Math.min(cells.columns, WIDTH * beside);
  const height = Math.min(cells.rows, perColumn + 4);
  const left = Math.floor((cells.columns - width) / 2);
  const top = Math.floor((cells.rows - height) / 2);
  fillCells(cells, { column: left, row: top, columns: width, rows: height }, BOX);
  drawBorder(cells, { left, top, width, height });
  const title = ` ${escapeLabel}, then: `;
  drawText(cells, { column: left + 2, row: top, room: width - 4 }, title, style(FLAGS.bold), widthOf);
  const columnWidth = Math.floor((width - 2) / beside);
  for (const [index, { label, help }] of entries.entries()) {
    const column = left + 2 + Math.floor(index / perColumn) * columnWidth;
    const row = top + 1 + (index % perColumn);
    if (row >= top + height - 2) continue;
    drawText(cells, { column, row, room: LABEL_COLUMNS }, label, style(FLAGS.bold), widthOf);
    const room = columnWidth - LABEL_COLUMNS - 2;
    drawText(cells, { column: column + LABEL_COLUMNS, row, room }, help, BOX, widthOf);
  }
  const last = { column: left + 2, row: top + height - 2, room: width - 4 };
  drawText(cells, last, "press any key to continue", style(FLAGS.dim), widthOf);
}

interface Box {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

function drawBorder(cells: Cells, { left, top, width, height }: Box): void {
  const [right, bottom] = [left + width - 1, top + height - 1];
  for (let column = left; column <= right; column++) {
    setCell(cells, column, top, "─", BOX);
    setCell(cells, column, bottom, "─", BOX);
  }
  for (let row = top; row <= bottom; row++) {
    setCell(cells, left, row, "│", BOX);
    setCell(cells, right, row, "│", BOX);
  }
  setCell(cells, left, top, "┌", BOX);
  setCell(cells, right, top, "┐", BOX);
  setCell(cells, left, bottom, "└", BOX);
  setCell(cells, right, bottom, "┘", BOX);
}
