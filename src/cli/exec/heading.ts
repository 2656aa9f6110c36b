import { textWidth } from "../../reporter/rows/layout.ts";
import { DIM, type Row, type Style, segment } from "../../reporter/rows/row.ts";
import type { Symbols } from "../../reporter/rows/wording.ts";

/** A heading across the terminal: `── web[01-17] ── 18 hosts ───`. */
export function headingRow(
  parts: readonly [text: string, style: Style][],
  columns: number,
  symbols: Symbols,
): Row {
  const row: Row = [
    segment(`${symbols.rule}${symbols.rule} `, DIM),
    ...parts.flatMap(([text, style], index) => [
      ...(index === 0 ? [] : [segment(" · ", DIM)]),
      segment(text, style),
    ]),
    segment(" "),
  ];
  const width = row.reduce((sum, { text }) => sum + textWidth(text), 0);
  return [...row, segment(symbols.rule.repeat(Math.max(2, columns - width)), DIM)];
}
