import { expect, test } from "vitest";
import {
  describeError,
  didYouMean,
  formatLocation,
  isVolleyError,
  nearest,
  printable,
  serializeError,
  VolleyError,
} from "../../src/core/errors.ts";

test("an error crosses the wire with its code, message, hint and place", () => {
  const error = new VolleyError("ASSET_MISSING", "no file", {
    hint: "look again",
    location: { file: "site.ts", line: 3, column: 5 },
  });
  expect(JSON.parse(JSON.stringify(serializeError(error)))).toEqual({
    code: "ASSET_MISSING",
    message: "no file",
    hint: "look again",
    location: { file: "site.ts", line: 3, column: 5 },
  });
});

test("one without a place takes its stack along, from which a place can be made", () => {
  expect(serializeError(new VolleyError("ACTION_FAILED", "no")).stack).toContain("errors.test");
});

test.each([
  [new TypeError("broken"), "TypeError: broken"],
  [new Error("plain"), "plain"],
  ["a text", "a text"],
  [undefined, "undefined"],
  [{ toString: (): string => "odd" }, "odd"],
])("anything else thrown is INTERNAL: %j", (thrown, message) => {
  expect(serializeError(thrown)).toMatchObject({ code: "INTERNAL", message });
});

test("messages and stacks are bounded", () => {
  const error = new Error("x".repeat(100_000));
  expect(JSON.stringify(serializeError(error)).length).toBeLessThan(20_000);
});

test("an error made by another copy of the module is known all the same; one of Node's own is not", () => {
  const foreign = Object.assign(new Error("m"), { name: "VolleyError", code: "TIMEOUT" });
  expect(isVolleyError(foreign)).toBe(true);
  expect(isVolleyError(Object.assign(new Error("m"), { code: "ENOENT" }))).toBe(false);
});

test.each([
  ["caf\u00e9 \u{1f600}", "caf\u00e9 \u{1f600}"],
  ["\x1b[2J\ta\nb\u2028", "\\u001b[2J\\u0009a\\u000ab\\u2028"],
  ["exe.\u202egpj\u200b\ufeff", "exe.\\u202egpj\\u200b\\ufeff"],
  ["tag \u{e0041}, half \ud83d", "tag \\u{e0041}, half \\ud83d"],
])("characters that no terminal may get are shown by their numbers: %j", (text, shown) => {
  expect(printable(text)).toBe(shown);
});

test("a long text is cut", () => {
  expect(printable("abcdef", 4)).toBe("abcd…");
  expect(printable("\u202eabc", 4)).toBe("\\u20…");
});

test("a place is told with as much of it as is known", () => {
  expect(formatLocation({ file: "a" })).toBe("a");
  expect(formatLocation({ file: "a", line: 1 })).toBe("a:1");
  expect(formatLocation({ file: "a", line: 1, column: 2 })).toBe("a:1:2");
});

test("for a person: where, what, and what to do", () => {
  const error = new VolleyError("USAGE", "wrong", { hint: "do right", location: { file: "a", line: 1 } });
  expect(describeError(error)).toBe("a:1: wrong (do right)");
  expect(describeError(new Error("plain"))).toBe("plain");
  expect(describeError("text")).toBe("text");
});

test.each([
  ["sate", ["state", "path"], "state"],
  ["ptah", ["state", "path"], "path"],
  ["Path", ["state", "path"], "path"],
  ["recursive", ["recurse"], "recurse"],
  ["x", ["path"], undefined],
  ["completely", ["different"], undefined],
  ["web", [], undefined],
  ["wb", ["web", "db"], "web"],
])("%j among %j means %j", (word, candidates, expected) => {
  expect(nearest(word, candidates)).toBe(expected);
});

test("an exact match is nearer than any other", () => {
  expect(nearest("web2", ["web1", "web2", "web3"])).toBe("web2");
});

test("it is said as the end of a sentence, or not at all", () => {
  expect(didYouMean("wbe", ["web"])).toBe('; did you mean "web"?');
  expect(didYouMean("xyz", ["web"])).toBe("");
});
