import type { Frame } from "./cell-diff.ts";
import { createCells, cutText } from "./cells.ts";
import type { FoldScreen } from "./fold-screen.ts";
import { drawHelp } from "./help-view.ts";
import { paneArea, zoomedArea } from "./layout.ts";
import type { LineEditor } from "./line-editor.ts";
import { drawPane, drawSeparator, type ViewOptions } from "./pane-view.ts";
import { focusedPane, receivers, type ShellState, visiblePanes } from "./shell-state.ts";
import { drawEditor, drawStatusLine } from "./status-line.ts";

/** What is shown beside the panes. */
export interface ComposeOptions extends ViewOptions {
  readonly lineEditor: LineEditor;
  readonly foldEditor: LineEditor;
  readonly fold: Pick<FoldScreen, "emulator" | "offset">;
}

/** Rows below the panes. */
export const STATUS_ROWS = 1;

/** The whole screen as it is now to be seen. */
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

/** Draws those that can be seen, and gives where the cursor is. */
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

/** Whether a line is being edited, in place of the status line. */
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
