import { describe, expect, test } from "vitest";
import { colorsWanted, type Environment, isWatched, unicodeWanted } from "../../src/reporter/reporter.ts";

describe("colours", () => {
  test.each<[boolean, Environment, boolean]>([
    [true, {}, true],
    [false, {}, false],
    [true, { TERM: "dumb" }, false],
    [true, { NO_COLOR: "1" }, false],
    [true, { NO_COLOR: "" }, true],
    [false, { FORCE_COLOR: "1" }, true],
    [false, { FORCE_COLOR: "" }, true],
    [true, { FORCE_COLOR: "0" }, false],
    [false, { FORCE_COLOR: "1", NO_COLOR: "1" }, false],
  ])("terminal %s, %j: %s", (isTTY, env, expected) => {
    expect(colorsWanted({ isTTY }, env)).toBe(expected);
  });
});

describe("UTF-8", () => {
  test.each<[Environment, boolean]>([
    [{ LANG: "C.UTF-8" }, true],
    [{ LANG: "de_DE.utf8" }, true],
    [{}, false],
    [{ LANG: "C" }, false],
    [{ LANG: "en_US.UTF-8", LC_ALL: "C" }, false],
    [{ LANG: "C", LC_CTYPE: "en_US.UTF-8", LC_ALL: "" }, true],
    [{ LANG: "en_US.UTF-8", TERM: "linux" }, false],
  ])("%j: %s", (env, expected) => {
    expect(unicodeWanted(env)).toBe(expected);
  });
});

describe("a person watching", () => {
  test.each<[boolean, Environment, boolean]>([
    [true, {}, true],
    [false, {}, false],
    [true, { CI: "true" }, false],
    [true, { CI: "false" }, true],
    [true, { TERM: "dumb" }, false],
    [true, { INK_SCREEN_READER: "true" }, false],
  ])("terminal %s, %j: %s", (isTTY, env, expected) => {
    expect(isWatched({ isTTY }, env)).toBe(expected);
  });
});
