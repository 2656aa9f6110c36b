import { expect, it } from "vitest";
import { lineEnding, lineText, splitLines } from "../../../src/actions/edit/edit-file.ts";

it.each([
  ["", []],
  ["a", ["a"]],
  ["a\n\nb\r\n", ["a\n", "\n", "b\r\n"]],
  ["\n", ["\n"]],
])("splits %j into lines with their endings", (text, lines) => {
  expect(splitLines(text)).toEqual(lines);
  expect(lines.map((line) => lineText(line) + lineEnding(line)).join("")).toBe(text);
});
