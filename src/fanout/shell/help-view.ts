import { type Cells, drawText, FLAGS, fillCells, setCell, style } from "./cells.ts";
import { COMMAND_KEYS } from "./commands.ts";
import type { ViewOptions } from "./pane-view.ts";

const BOX = style(0);
const LABEL_COLUMNS = 8;
const WIDTH = 48;

/** A box with all commands over the middle of the screen; in two columns where it is not high enough for one. */
export function drawHelp(cells: Cells, { escapeLabel, widthOf }: ViewOptions): void {
  const commands = COMMAND_KEYS.filter(({ label }) => label !== "").map(({ label, help }) => ({
    label,
    help,
  }));
  const entries = [...commands, { label: escapeLabel, help: "again: send it to the hosts" }];
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
  drawText(cells, last, "any key goes on", style(FLAGS.dim), widthOf);
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
