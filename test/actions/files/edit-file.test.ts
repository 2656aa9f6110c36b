import { expect, it } from "vitest";
import { lineEnding, lineText, splitLines } from "../../../src/actions/files/edit-file.ts";
import { backupPath } from "../../../src/actions/shared/write-file.ts";

it.each([
  ["", []],
  ["a", ["a"]],
  ["a\n\nb\r\n", ["a\n", "\n", "b\r\n"]],
  ["\n", ["\n"]],
])("splits %j into lines with their endings", (text, lines) => {
  expect(splitLines(text)).toEqual(lines);
  expect(lines.map((line) => lineText(line) + lineEnding(line)).join("")).toBe(text);
});

it("names backups as Ansible does", () => {
  expect(backupPath("/etc/f", new Date(2026, 0, 2, 3, 4, 5), 17)).toBe("/etc/f.17.2026-01-02@03:04:05~");
});
