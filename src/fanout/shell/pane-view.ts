import {
  type Area,
  type Cells,
  cutText,
  drawText,
  FLAGS,
  fillCells,
  PLAIN,
  restyle,
  setCell,
  style,
  type WidthOf,
} from "./cells.ts";
import type { Pane } from "./pane.ts";
import { safeText } from "./safe-character.ts";
import { focusedPane, marksOf, receivers, type ShellState } from "./shell-state.ts";

const RED = 1;
const GREEN = 2;
const YELLOW = 3;
const CYAN = 6;

/** What a drawing needs to know beside the state. */
export interface ViewOptions {
  readonly widthOf: WidthOf;
  /** The escape key as it is shown. */
  readonly escapeLabel: string;
}

/** Draws a pane and, in the row above it, its title. */
export function drawPane(
  cells: Cells,
  state: ShellState,
  pane: Pane,
  area: Area,
  options: ViewOptions,
): void {
  const isFocused = pane === focusedPane(state);
  pane.emulator.draw(cells, area, pane.offset);
  const { cursor } = pane.emulator;
  const isOpen = pane.session.state.kind === "open";
  // The real cursor is in the pane with the focus.
  if (cursor !== undefined && isOpen && pane.offset === 0 && !isFocused && cursor.row < area.rows) {
    const at = { column: area.column + cursor.column, row: area.row + cursor.row, columns: 1, rows: 1 };
    restyle(cells, at, FLAGS.inverse);
  }
  if (!isOpen) drawReason(cells, pane, area, options);
  drawTitle(cells, state, pane, area, options);
}

/** Over the last rows: what the host printed before stays to be read. */
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

/** Draws the line between panes that lie beside each other; it crosses the title lines. */
export function drawSeparator(
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
