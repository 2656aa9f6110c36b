import { type Cells, createCells, drawText, PLAIN } from "../../../src/fanout/shell/cells.ts";
import { createEmulator, type Emulator } from "../../../src/fanout/shell/emulator.ts";
import { textWidth } from "../../../src/reporter/rows/layout.ts";

/** Rows of text as cells. */
export function cellsOf(rows: readonly string[], columns: number): Cells {
  const cells = createCells(columns, rows.length);
  for (const [row, text] of rows.entries())
    drawText(cells, { column: 0, row, room: columns }, text, PLAIN, textWidth);
  return cells;
}

/** Return the text of cells, row by row, without blanks at the ends. */
export function textOf({ chars, columns, rows }: Cells): readonly string[] {
  return Array.from({ length: rows }, (_, row) =>
    chars
      .slice(row * columns, (row + 1) * columns)
      .join("")
      .trimEnd(),
  );
}

/** An emulator that stands for the real terminal, or for a host's; `told` is what it says. */
export function terminalOf(
  columns: number,
  rows: number,
  scrollback = 0,
): { readonly terminal: Emulator; readonly told: { replies: string[]; bells: number; titles: string[] } } {
  const told = { replies: [] as string[], bells: 0, titles: [] as string[] };
  const terminal = createEmulator({
    columns,
    rows,
    scrollback,
    widthOf: textWidth,
    listener: {
      reply: (text) => void told.replies.push(text),
      bell: () => void told.bells++,
      title: (text) => void told.titles.push(text),
    },
  });
  return { terminal, told };
}
