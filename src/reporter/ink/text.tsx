import { Box, Text } from "ink";
import { createContext, memo, type ReactNode, useContext } from "react";
import { isNarrow, rowWidth, truncateRow } from "../rows/layout.ts";
import { type Row, rowText, type Segment, type Style } from "../rows/row.ts";

/** True where colours are drawn. Bold, dim and inverse text is drawn in any case. */
export const Colors = createContext(true);

/** A row of text, no wider than the screen. */
export const Line = memo(function Line({ row }: { readonly row: Row }): ReactNode {
  const colors = useContext(Colors);
  // Ink gives an empty text no height.
  if (rowText(row) === "") return <Text> </Text>;
  return (
    <Box flexShrink={0}>
      {piecesOf(row).map(({ at, text, style }) => (
        <Piece key={at} text={text} colors={colors} {...style} />
      ))}
    </Box>
  );
});

/** Two rows at the two ends of one; the left one gives way. */
export function Ends({
  left,
  right,
  columns,
  ellipsis,
}: {
  readonly left: Row;
  readonly right: Row;
  readonly columns: number;
  readonly ellipsis: string;
}): ReactNode {
  const end = truncateRow(right, columns, ellipsis);
  const room = columns - rowWidth(end) - 1;
  return (
    <Box width={columns} justifyContent="space-between">
      {room > 0 && <Line row={truncateRow(left, room, ellipsis)} />}
      {rowText(end) !== "" && <Line row={end} />}
    </Box>
  );
}

/** Text in one style, drawn again only when it changes. */
const Piece = memo(function Piece({
  text,
  colors,
  color,
  bold = false,
  dim = false,
  inverse = false,
}: Style & { readonly text: string; readonly colors: boolean }): ReactNode {
  return (
    <Text bold={bold} dimColor={dim} inverse={inverse} {...(color === undefined || !colors ? {} : { color })}>
      {text}
    </Text>
  );
});

/** A piece of a row, and where in its text it begins. */
interface PlacedSegment extends Segment {
  readonly at: number;
}

/**
 * A row as the pieces that ink draws fastest. For every frame it measures each text anew, slowly where one character is
 * not ASCII: signs stand alone, and neighbours in the same style are one.
 */
function piecesOf(row: Row): readonly PlacedSegment[] {
  const pieces: PlacedSegment[] = [];
  let at = 0;
  for (const { text, style } of row) {
    const runs = isNarrow(text) ? (text.match(/[ -~]+|[^ -~]+/g) ?? []) : [text];
    for (const run of runs) {
      const last = pieces.at(-1);
      const joined = last === undefined ? undefined : joinedText(last, run, style);
      if (last !== undefined && joined !== undefined) pieces[pieces.length - 1] = { ...joined, at: last.at };
      else pieces.push({ at, text: run, ...(style === undefined ? {} : { style }) });
      at += run.length;
    }
  }
  return pieces;
}

/** Two neighbours as one piece; undefined where they look different. Blanks look alike in all styles but inverse ones. */
function joinedText(last: Segment, text: string, style: Style | undefined): Segment | undefined {
  if (!isAscii(last.text) || !isAscii(text)) return undefined;
  const all = last.text + text;
  if (looksSame(last.style, style)) return { ...last, text: all };
  if (last.style?.inverse === true || style?.inverse === true) return undefined;
  if (text.trim() === "") return { ...last, text: all };
  if (last.text.trim() !== "") return undefined;
  return style === undefined ? { text: all } : { text: all, style };
}

function isAscii(text: string): boolean {
  return /^[ -~]*$/.test(text);
}

function looksSame(one: Style = {}, other: Style = {}): boolean {
  return (
    one.color === other.color &&
    one.bold === other.bold &&
    one.dim === other.dim &&
    one.inverse === other.inverse
  );
}
