import { describe, expect, it } from "vitest";
import { satisfies } from "../../../src/actions/packages/pep440.ts";

describe("versions of Python packages", () => {
  it.each([
    ["1.0", "==1", true],
    ["1.0.0", "==1.0", true],
    ["1.0.1", "==1.0", false],
    ["1.0+deb1", "==1.0", true],
    ["1.0", "==1.0+deb1", false],
    ["1.4.2", "==1.4.*", true],
    ["1.5a1", "==1.4.*", false],
    ["1.4.2", "!=1.4.*", false],
    ["2.0", "<100,!=1.0,>0.0.0", true],
    ["2.0rc1", "<2.0", false],
    ["2.0rc1", "<2.0rc2", true],
    ["1.9.post1", ">1.9", false],
    ["1.10", ">1.9", true],
    ["1.0.dev1", ">=1.0", false],
    ["1.0.dev1", "<1.0a1", true],
    ["1.0a1.dev1", "<1.0a1", true],
    ["1.0.post2.dev1", ">=1.0.post1", true],
    ["1!1.0", ">2.0", true],
    ["2.2.3", "~=2.2", true],
    ["3.0", "~=2.2", false],
    ["2.2.3", "~=2.2.0", true],
    ["2.3", "~=2.2.0", false],
    ["V1.0-RC.1", "==1.0rc1", true],
    ["1.0-1", "==1.0.post1", true],
    ["2004d", "===2004D", true],
    ["1.0", "", true],
    ["2004d", ">=1.0", null],
    ["1.0", "@ file:///x", null],
  ])("%s with %j: %s", (version, specifiers, expected) => {
    expect(satisfies(version, specifiers)).toBe(expected);
  });
});
