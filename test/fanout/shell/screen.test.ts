import { Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import {
  type Cells,
  createCells,
  FLAGS,
  PLAIN,
  RGB,
  setCell,
  sgrBetween,
  style,
} from "../../../src/fanout/shell/cells.ts";
import { createPainter, diffFrames, type Frame } from "../../../src/fanout/shell/screen.ts";
import { until } from "../../lib/patience.ts";
import { cellsOf, terminalOf, textOf } from "./screen.ts";

/** A terminal that takes a frame in when it is told to. */
function slowTerminal() {
  const written: string[] = [];
  let done: (() => void) | undefined;
  const stream = new Writable({
    write: (chunk: Buffer, _encoding, callback) => {
      written.push(chunk.toString("utf8"));
      done = callback;
    },
  });
  return { stream, written, read: () => done?.() };
}

it("leaves out frames that a slow terminal has no time for, and ends with the last", async () => {
  const { stream, written, read } = slowTerminal();
  let text = "0";
  let composed = 0;
  const painter = createPainter(
    stream,
    () => {
      composed++;
      return { cells: cellsOf([text], 10), cursor: undefined };
    },
    { depth: 24, ascii: false },
  );
  painter.invalidate();
  await until(() => written.length === 1);
  for (let number = 1; number <= 50; number++) {
    text = String(number);
    painter.invalidate();
    await sleep(1);
  }
  expect(written).toHaveLength(1);
  expect(composed).toBe(1);
  read();
  await until(() => written.length === 2);
  expect(written[1]).toContain("50");
  read();
  painter.redraw();
  await until(() => written.length === 3);
  expect(written[2]).toContain("\x1b[2J");
  painter.stop();
});

const OPTIONS = { depth: 24, ascii: false } as const;
const frameOf = (rows: readonly string[], cursor?: Frame["cursor"]): Frame => ({
  cells: cellsOf(rows, 20),
  cursor,
});

describe("diffFrames", () => {
  it("writes nothing when nothing has changed", () => {
    const frame = frameOf(["one", "two"], { column: 1, row: 1 });
    expect(diffFrames(frame, frameOf(["one", "two"], { column: 1, row: 1 }), OPTIONS)).toBe("");
  });

  it("writes the one cell that changed, in a synchronised update", () => {
    expect(diffFrames(frameOf(["one", "two"]), frameOf(["one", "tWo"]), OPTIONS)).toBe(
      "\x1b[?2026h\x1b[?25l\x1b[2;2HW\x1b[?2026l",
    );
  });

  it("moves the cursor alone when only that has changed", () => {
    expect(
      diffFrames(frameOf(["one"], { column: 0, row: 0 }), frameOf(["one"], { column: 3, row: 0 }), OPTIONS),
    ).toBe("\x1b[?2026h\x1b[?25l\x1b[1;4H\x1b[?25h\x1b[?2026l");
  });

  it("erases the rest of a row that has become blank", () => {
    const text = diffFrames(frameOf(["a long line of text"]), frameOf(["a"]), OPTIONS);
    expect(text).toContain("\x1b[K");
    expect(text.length).toBeLessThan(40);
  });

  it("clears the screen when it does not know what is there, as after another size", () => {
    expect(diffFrames(undefined, frameOf(["x"]), OPTIONS)).toContain("\x1b[2J");
    const wide: Frame = { cells: cellsOf(["x"], 30), cursor: undefined };
    expect(diffFrames(wide, frameOf(["x"]), OPTIONS)).toContain("\x1b[2J");
  });

  it("takes its bearings anew behind a character whose width terminals dispute", () => {
    const text = diffFrames(frameOf([""]), frameOf(["漢x"]), OPTIONS);
    expect(text).toContain("漢\x1b[1;3Hx");
  });

  it("shows in ASCII where a terminal has nothing else", () => {
    const text = diffFrames(frameOf([""]), frameOf(["│é─漢"]), { depth: 24, ascii: true });
    expect(text).toContain("|?-??");
  });

  it("brings a terminal from any screen to any other", async () => {
    const random = generator(7);
    const { terminal } = terminalOf(20, 6);
    let before: Frame | undefined;
    for (let round = 0; round < 150; round++) {
      const after = randomFrame(random, before);
      await terminal.write(diffFrames(before, after, OPTIONS));
      const shown = createCells(20, 6);
      terminal.draw(shown, { column: 0, row: 0, columns: 20, rows: 6 }, 0);
      expect(textOf(shown)).toEqual(textOf(after.cells));
      expect(looksOf(shown)).toEqual(looksOf(after.cells));
      if (after.cursor !== undefined) expect(terminal.cursor).toEqual(after.cursor);
      else expect(terminal.cursor).toBeUndefined();
      before = after;
    }
  });
});

describe("sgrBetween", () => {
  it("adds what is missing and takes away only together", () => {
    expect(sgrBetween(PLAIN, PLAIN, 24)).toBe("");
    expect(sgrBetween(PLAIN, style(FLAGS.bold, 2), 24)).toBe("\x1b[1;32m");
    expect(sgrBetween(style(FLAGS.bold, 2), style(FLAGS.bold | FLAGS.underline, 2), 24)).toBe("\x1b[4m");
    expect(sgrBetween(style(FLAGS.bold, 2), style(FLAGS.inverse, 2), 24)).toBe("\x1b[0;7;32m");
    expect(sgrBetween(style(FLAGS.bold, 2), PLAIN, 24)).toBe("\x1b[m");
  });

  it("names colours of the palette and true colours, and comes down to what the terminal has", () => {
    expect(sgrBetween(PLAIN, style(0, 9, 214), 24)).toBe("\x1b[91;48;5;214m");
    expect(sgrBetween(PLAIN, style(0, RGB | 0xff8000), 24)).toBe("\x1b[38;2;255;128;0m");
    expect(sgrBetween(PLAIN, style(0, RGB | 0xff8700), 8)).toBe("\x1b[38;5;208m");
    expect(sgrBetween(PLAIN, style(0, RGB | 0x808080), 8)).toBe("\x1b[38;5;244m");
    expect(sgrBetween(PLAIN, style(0, RGB | 0xff0000), 4)).toBe("\x1b[91m");
    expect(sgrBetween(PLAIN, style(FLAGS.bold, 9, RGB), 1)).toBe("\x1b[1m");
  });
});

function looksOf({ foreground, background, flags, chars }: Cells): readonly string[] {
  return chars.map((_, index) => `${foreground[index]}/${background[index]}/${flags[index]}`);
}

/** The same numbers every time (mulberry32). */
function generator(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

function randomFrame(random: (below: number) => number, before: Frame | undefined): Frame {
  const cells = createCells(20, 6);
  if (before !== undefined && random(4) > 0) {
    cells.chars.splice(0, cells.chars.length, ...before.cells.chars);
    cells.foreground.set(before.cells.foreground);
    cells.background.set(before.cells.background);
    cells.flags.set(before.cells.flags);
  }
  for (let count = random(40); count > 0; count--) {
    const [column, row] = [random(19), random(6)];
    const colors = [-1, -1, 1, 12, 99, RGB | 0x102030];
    const look = style(
      [0, 0, FLAGS.bold, FLAGS.dim | FLAGS.italic, FLAGS.inverse][random(5)]!,
      colors[random(6)]!,
      colors[random(6)]!,
    );
    // Writing over half of a wide character clears both halves.
    const clear = (at: number): void => {
      if (at >= 0 && at < 20 && cells.chars[row * 20 + at] === "") setCell(cells, at - 1, row, " ", PLAIN);
    };
    const char = [" ", "a", "é", "─", "漢", "Z"][random(6)]!;
    const width = char === "漢" ? 2 : 1;
    clear(column);
    if (cells.chars[row * 20 + column + 1] === "") setCell(cells, column + 1, row, " ", PLAIN);
    if (width === 2 && cells.chars[row * 20 + column + 2] === "" && column + 2 < 20)
      setCell(cells, column + 2, row, " ", PLAIN);
    setCell(cells, column, row, char, look);
    if (width === 2) setCell(cells, column + 1, row, "", look);
  }
  return { cells, cursor: random(3) === 0 ? undefined : { column: random(20), row: random(6) } };
}
