import { describe, expect, test } from "vitest";
import { safeLine, safeLines } from "../../../src/reporter/rows/sanitize.ts";

describe("safeLine", () => {
  test.each([
    ["colours", "\x1b[1;31mred\x1b[0m", "red"],
    ["colours with colons", "\x1b[38:2::255:0:0mred\x1b[m", "red"],
    ["cursor movement", "a\x1b[2J\x1b[Hb", "ab"],
    ["a window title ended by BEL", "\x1b]0;pwned\x07ok", "ok"],
    ["a hyperlink ended by ST", "\x1b]8;;http://example.org\x1b\\text\x1b]8;;\x1b\\", "text"],
    ["a device control string", "\x1bPq#0;2;0;0;0\x1b\\ok", "ok"],
    ["8-bit CSI", "\x9b31mred", "red"],
    ["charset selection", "\x1b(0lqk\x1b(B", "lqk"],
    ["a full reset", "\x1bcok", "ok"],
    ["mouse and alternate screen modes", "\x1b[?1000h\x1b[?1049lok", "ok"],
  ])("removes %s", (_, text, expected) => {
    expect(safeLine(text)).toBe(expected);
  });

  test.each([
    ["a bell", "ding\x07", "ding^G"],
    ["backspaces", "ab\b\bcd", "ab^H^Hcd"],
    ["an escape that leads nowhere", "a\x1b", "a^["],
    ["an unfinished control string", "\x1b]0;title", "^[]0;title"],
    ["NUL and DEL", "a\0b\x7fc", "a^@b^?c"],
    ["reversed text", "user\u202egpj.exe", "user<202e>gpj.exe"],
    ["invisible text", "a\u200bb\u{e0041}", "a<200b>b<e0041>"],
    ["line separators", "a\u2028b\u0085c", "a<2028>b<0085>c"],
    ["half a surrogate pair", "a\ud800b", "a<d800>b"],
  ])("shows %s", (_, text, expected) => {
    expect(safeLine(text)).toBe(expected);
  });

  test("leaves other scripts and emoji alone, and widens tabs", () => {
    expect(safeLine("größe 日本語 🚀 é\tz")).toBe("größe 日本語 🚀 é    z");
  });

  test("removing one sequence never makes another", () => {
    const nested = "\x1b\x1b[31m[2J";
    expect(safeLine(nested)).not.toContain("\x1b");
    expect(safeLine("\x1b]0;\x1b[2J\x07x")).not.toContain("\x1b");
  });

  test("bounds a line of ten million characters and says so", () => {
    const safe = safeLine("x".repeat(10_000_000));
    expect(safe).toHaveLength(2_000 + " [9998000 more]".length);
    expect(safe.endsWith(" [9998000 more]")).toBe(true);
  });
});

test("safeLines keeps the last state of a progress line, and takes CRLF for one end of line", () => {
  expect(safeLines("10%\r50%\r100%\ndone\r\nnext\r\n")).toEqual(["100%", "done", "next"]);
  expect(safeLines("")).toEqual([""]);
  expect(safeLines("a\n\nb\n")).toEqual(["a", "", "b"]);
});
