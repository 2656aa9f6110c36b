import { expect, test } from "vitest";
import type { Diff } from "../../../src/core/result.ts";
import { diffRows } from "../../../src/reporter/rows/details.ts";
import { rowText } from "../../../src/reporter/rows/row.ts";

const texts = (...diffs: Diff[]): readonly string[] => diffRows(diffs).map(rowText);

import { CONTROL } from "../lib/play.ts";

test("a text that changes is a unified diff", () => {
  expect(texts({ path: "/etc/motd", before: "one\ntwo\nthree\n", after: "one\n2\nthree\n" })).toEqual([
    "--- /etc/motd",
    "+++ /etc/motd",
    "@@ -1,3 +1,3 @@",
    " one",
    "-two",
    "+2",
    " three",
  ]);
});

test("what appears and what goes away is told from an empty text", () => {
  expect(texts({ path: "/a", before: null, after: "x\n" })).toEqual([
    "--- (nothing)",
    "+++ /a",
    "@@ -0,0 +1,1 @@",
    "+x",
  ]);
  expect(texts({ path: "/a", before: "x\n", after: null })).toEqual([
    "--- /a",
    "+++ (nothing)",
    "@@ -1,1 +0,0 @@",
    "-x",
  ]);
});

test("a missing newline at the end is told", () => {
  expect(texts({ path: "/a", before: "x", after: "x\n" })).toContain("\\ No newline at end of file");
});

test("attributes are one line each, binaries one line", () => {
  expect(
    texts({ path: "/a", attributes: { mode: ["0644", "0600"], owner: ["root", "www\x1b[2J"] } }),
  ).toEqual(["/a", "mode: 0644 -> 0600", "owner: root -> www"]);
  expect(texts({ path: "/bin/x", binary: true })).toEqual(["/bin/x: differs (binary, or too long to show)"]);
});

test("long diffs are bounded, and how much was left out is told", () => {
  const after = Array.from({ length: 1_000 }, (_, index) => `line ${index}`).join("\n");
  const rows = texts({ path: "/a", before: "", after });
  expect(rows).toHaveLength(60);
  expect(rows.at(-1)).toBe("(945 more lines)");
});

test("texts too long to compare are not compared", () => {
  const rows = texts({ path: "/a", before: "a\n".repeat(400_000), after: "b\n".repeat(400_000) });
  expect(rows.at(-1)).toBe("(too long to compare: 800000 -> 800000 characters)");
});

test("escape sequences in files do not reach the terminal", () => {
  expect(texts({ path: "/a\x1b[2J", before: "", after: "\x1b]0;x\x07hello\n" }).join("\n")).not.toMatch(
    CONTROL,
  );
});
