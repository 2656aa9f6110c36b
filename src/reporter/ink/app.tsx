import { Box, type Key as InkKey, Text, useInput } from "ink";
import { memo, type ReactNode, useLayoutEffect, useSyncExternalStore } from "react";
import { type Row, rowText, type Style } from "../rows/row.ts";
import { keysOf } from "./ink-keys.ts";
import type { Key } from "./keys.ts";

/** A row of a frame, and its place on the screen, counted from 0. */
export interface ChangedRow {
  readonly line: number;
  readonly row: Row;
}

/** Where the components get what to show, and bring the keys. */
export interface FrameStore {
  subscribe(listener: () => void): () => void;
  /** The rows that have changed since the last frame; the others stay on the screen as they are. */
  changes(): readonly ChangedRow[];
  press(key: Key): void;
  redraw(): void;
  /** The UI has gone, for whatever reason: the terminal must be as it was. */
  unmounted(): void;
}

/** The UI: the rows of a frame that have changed, one below the other, and the keys. */
export function App({
  store,
  colors,
  keyboard,
}: {
  store: FrameStore;
  colors: boolean;
  keyboard: boolean;
}): ReactNode {
  const changes = useSyncExternalStore(store.subscribe, store.changes);
  useLayoutEffect(() => () => store.unmounted(), [store]);
  return (
    <Box flexDirection="column">
      {keyboard ? <Keyboard store={store} /> : null}
      {changes.map(({ row }, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: reusing lines is cheaper than making new ones
        <Line key={index} row={row} colors={colors} />
      ))}
    </Box>
  );
}

function Keyboard({ store }: { store: FrameStore }): ReactNode {
  useInput((input: string, key: InkKey) => {
    if (key.ctrl && input === "l") store.redraw();
    for (const each of keysOf(input, key)) store.press(each);
  });
  return null;
}

// Ink gives an empty text no height: a blank keeps the rows below in place.
const Line = memo(function Line({ row, colors }: { row: Row; colors: boolean }): ReactNode {
  return (
    <Text wrap="truncate">
      {rowText(row) === ""
        ? " "
        : row.map((piece, index) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: a piece is its place in the row
            <Text key={index} {...textProps(piece.style, colors)}>
              {piece.text}
            </Text>
          ))}
    </Text>
  );
});

function textProps(style: Style | undefined, colors: boolean): Record<string, string | boolean> {
  if (style === undefined) return {};
  const { color, bold, dim, inverse } = style;
  return {
    ...(color === undefined || !colors ? {} : { color }),
    ...(bold === true ? { bold } : {}),
    ...(dim === true ? { dimColor: true } : {}),
    ...(inverse === true ? { inverse } : {}),
  };
}
