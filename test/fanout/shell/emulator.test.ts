import { describe, expect, it } from "vitest";
import { createCells, FLAGS, RGB, safeCharacter } from "../../../src/fanout/shell/cells.ts";
import { terminalOf, textOf } from "./screen.ts";

async function drawn(text: string, columns = 10, rows = 3) {
  const { terminal, told } = terminalOf(columns, rows, 100);
  await terminal.write(text);
  const cells = createCells(columns, rows);
  terminal.draw(cells, { column: 0, row: 0, columns, rows }, 0);
  return { terminal, told, cells };
}

describe("createEmulator", () => {
  it("knows colours and attributes", async () => {
    const { cells } = await drawn("\x1b[1;31ma\x1b[0;38;5;200;48;2;1;2;3mb\x1b[0;2;3;4;7;9mc");
    expect([...cells.foreground.slice(0, 3)]).toEqual([1, 200, -1]);
    expect([...cells.background.slice(0, 3)]).toEqual([-1, RGB | 0x010203, -1]);
    expect([...cells.flags.slice(0, 3)]).toEqual([
      FLAGS.bold,
      0,
      FLAGS.dim | FLAGS.italic | FLAGS.underline | FLAGS.inverse | FLAGS.strikethrough,
    ]);
  });

  it("gives wide characters and emoji two cells, and none beyond the edge", async () => {
    const { cells } = await drawn("漢😀é", 10, 1);
    expect(cells.chars.slice(0, 6)).toEqual(["漢", "", "😀", "", "é", " "]);
    const { terminal } = await drawn("abc漢", 5, 1);
    const narrow = createCells(4, 1);
    terminal.draw(narrow, { column: 0, row: 0, columns: 4, rows: 1 }, 0);
    expect(narrow.chars).toEqual(["a", "b", "c", " "]);
  });

  it("tells what a program asked for: cursor keys, brackets around pastes, no cursor", async () => {
    const { terminal } = await drawn("\x1b[?1h\x1b[?2004h\x1b[?25l");
    expect(terminal.modes).toEqual({ applicationCursorKeys: true, bracketedPaste: true });
    expect(terminal.cursor).toBeUndefined();
    await terminal.write("\x1b[?1l\x1b[?2004l\x1b[?25h");
    expect(terminal.modes).toEqual({ applicationCursorKeys: false, bracketedPaste: false });
    expect(terminal.cursor).toEqual({ column: 0, row: 0 });
  });

  it("answers questions to who asked, and rings", async () => {
    const { told } = await drawn("ab\x1b[6n\x1b[c\x07");
    expect(told.replies[0]).toBe("\x1b[1;3R");
    expect(told.replies[1]).toContain("[?");
    expect(told.bells).toBe(1);
  });

  it("keeps what is hostile to itself", async () => {
    const { cells, told } = await drawn(
      "\x1b]52;c;cm0=\x07\x1b]0;title\x07\x1bP+q544e\x1b\\\x1b[21t\x1b]8;;http://x\x07a\u202eb\u200bc\x9b5n",
    );
    expect(cells.chars.every((chars) => !/[\p{Cc}\u200b\u202e]/u.test(chars))).toBe(true);
    expect(textOf(cells)[0]).toBe("abc");
    expect(told.replies.join("")).not.toMatch(/title|cm0/);
  });

  it("shows lines further back, up to the number that is kept", async () => {
    const { terminal } = terminalOf(10, 2, 5);
    await terminal.write(Array.from({ length: 20 }, (_, index) => `line ${index}`).join("\r\n"));
    expect(terminal.scrollback).toBe(5);
    const cells = createCells(10, 2);
    terminal.draw(cells, { column: 0, row: 0, columns: 10, rows: 2 }, 5);
    expect(textOf(cells)).toEqual(["line 13", "line 14"]);
  });
});

describe("safeCharacter", () => {
  it("lets a character have few marks and no controls", () => {
    expect(safeCharacter("")).toBe(" ");
    expect(safeCharacter("é")).toBe("é");
    expect(safeCharacter("\x1b")).toBe(" ");
    expect([...safeCharacter(`a${"\u0301".repeat(500)}`)]).toHaveLength(8);
  });
});
