import { describe, expect, test } from "vitest";
import {
  fitRow,
  rowWidth,
  spread,
  textWidth,
  truncateRow,
  truncateText,
  wrapRanges,
} from "../../../src/reporter/rows/layout.ts";
import { line, paintRow, rowText, segment } from "../../../src/reporter/rows/row.ts";

const wrap = (text: string, columns: number): readonly string[] =>
  wrapRanges(text, columns, columns).map(([start, end]) => text.slice(start, end));

describe("width", () => {
  test("wide characters take two columns, combining ones none", () => {
    expect(textWidth("日本")).toBe(4);
    expect(textWidth("🚀")).toBe(2);
    expect(textWidth("e\u0301")).toBe(1);
    expect(textWidth("✔ ✘ ● ○ ◐ ⊘ … █ ░ ❯ ⠋ größe")).toBe("✔ ✘ ● ○ ◐ ⊘ … █ ░ ❯ ⠋ größe".length);
  });

  test("text is cut before a wide character that does not fit", () => {
    expect(truncateText("日本語", 5, "…")).toBe("日本…");
    expect(truncateText("日本語", 4, "…")).toBe("日…");
    expect(truncateText("日本語", 6, "…")).toBe("日本語");
    expect(truncateText("abcdef", 4, "..")).toBe("ab..");
    expect(truncateText("abcdef", 1, "..")).toBe("a");
    expect(truncateText("abcdef", 0, "…")).toBe("");
  });

  test("text is wrapped at blanks where one is near, else anywhere", () => {
    expect(wrap("the quick brown fox", 10)).toEqual(["the quick", "brown fox"]);
    expect(wrap("abcdefghij klm", 6)).toEqual(["abcdef", "ghij", "klm"]);
    expect(wrap("日本語日本語", 5)).toEqual(["日本", "語日", "本語"]);
    expect(wrap("日本", 1)).toEqual(["日", "本"]);
    expect(wrap("", 5)).toEqual([""]);
  });
});

describe("rows", () => {
  const row = [segment("abc", { bold: true }), segment("defgh")];

  test("are cut with an ellipsis, across pieces", () => {
    expect(rowText(truncateRow(row, 8, "…"))).toBe("abcdefgh");
    expect(rowText(truncateRow(row, 6, "…"))).toBe("abcde…");
    expect(rowText(truncateRow(row, 3, "…"))).toBe("ab…");
    expect(rowText(truncateRow(row, 0, "…"))).toBe("");
  });

  test.each([0, 1, 2, 3, 5, 8, 20])("fitted to %i columns take exactly as many", (columns) => {
    expect(rowWidth(fitRow(row, columns, "…"))).toBe(columns);
    expect(rowWidth(fitRow(line("日本語"), columns, "…"))).toBe(columns);
  });

  test("are spread to both ends, the left one giving way", () => {
    expect(rowText(spread(line("left"), line("right"), 14, "…"))).toBe("left     right");
    expect(rowText(spread(line("left"), line("right"), 9, "…"))).toBe("le… right");
  });

  test("are painted with SGR codes, or with none at all", () => {
    expect(paintRow([segment("a", { color: "red", bold: true }), segment("b ")], true)).toBe(
      "\x1b[1;31ma\x1b[0mb",
    );
    expect(paintRow([segment("a", { color: "red", bold: true }), segment("b ")], false)).toBe("ab");
  });
});
