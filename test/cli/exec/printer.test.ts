import { describe, expect, it } from "vitest";
import {
  createHostLines,
  MAX_LINE_BYTES,
  type OutputLine,
  shownLine,
} from "../../../src/cli/exec/printer.ts";
import { drawFrom } from "../../fuzz/lib/random.ts";

/** The lines of some bytes that arrive in pieces of these sizes. */
function linesOf(bytes: Buffer, sizeOf: () => number): readonly OutputLine[] {
  const lines = createHostLines();
  const all: OutputLine[] = [];
  for (let from = 0; from < bytes.length; ) {
    const size = Math.max(1, sizeOf());
    all.push(...lines.add("web01", "stdout", bytes.subarray(from, from + size)));
    from += size;
  }
  return [...all, ...lines.finish("web01").map(({ line }) => line)];
}

const bytesOf = ({ text, bytes }: OutputLine): Buffer => bytes ?? Buffer.from(text);

describe("lines of a host", () => {
  it("are the same however the network cuts them", () => {
    const draw = drawFrom(7);
    const pieces = ["a", "é", "日", "😀", "\n", "\r", "\0", "\r\n", "\x1b[0m", "\ufeff"];
    for (let round = 0; round < 300; round++) {
      const bytes = Buffer.concat(
        Array.from({ length: draw.below(60) }, () =>
          draw.chance(0.1) ? Buffer.from([128 + draw.below(128)]) : Buffer.from(draw.pick(pieces)),
        ),
      );
      const whole = linesOf(bytes, () => bytes.length);
      expect(linesOf(bytes, () => 1 + draw.below(5))).toEqual(whole);
      const ends = bytes.length === 0 || bytes.at(-1) === 10 ? "" : "\n";
      const joined = Buffer.concat(whole.flatMap((line) => [bytesOf(line), Buffer.from("\n")]));
      expect(joined.equals(Buffer.concat([bytes, Buffer.from(ends)]))).toBe(true);
      for (const { text, bytes: raw } of whole) expect(raw === undefined).toBe(!text.includes("\ufffd"));
    }
  });

  it("are held up to a bound, and then given out in pieces that say so and cut no character", () => {
    const text = "😀é".repeat(MAX_LINE_BYTES / 3);
    const bytes = Buffer.from(`x${text}\nnext\n`);
    const lines = linesOf(bytes, () => 65_537);
    expect(lines.map(({ continues }) => continues)).toEqual([true, undefined, undefined]);
    expect(lines.every(({ bytes: raw }) => raw === undefined)).toBe(true);
    expect(lines[0]!.text + lines[1]!.text === `x${text}`).toBe(true);
    expect(lines[2]).toEqual({ text: "next" });
    expect(shownLine({ text: "abc", continues: true })).toBe("abc [the line goes on]");
    // Up to the bound they are whole; a line that ends where a piece does has an end of its own.
    const whole = "y".repeat(MAX_LINE_BYTES - 1);
    expect(linesOf(Buffer.from(`${whole}\n`), () => 65_536)).toEqual([{ text: whole }]);
    expect(linesOf(Buffer.from(`y${whole}`), () => 65_536)).toEqual([
      { text: `y${whole}`, continues: true },
      { text: "" },
    ]);
  });

  it("are made safe in a time that grows with their length alone", () => {
    for (const piece of ["\x90", "\x1b]", "\x9b1", "\x1b[1", "\u202e"]) {
      const shown = shownLine({ text: piece.repeat(MAX_LINE_BYTES / 2) });
      // biome-ignore lint/suspicious/noControlCharactersInRegex: none is to be left
      expect(/[\x00-\x1f\x7f-\x9f\u202e]/.test(shown)).toBe(false);
    }
    expect(shownLine({ text: "\x1b]0;title\x07a\x1b[31mred\x1b[0m\rb\r" })).toBe("ared^Mb");
  });
});
