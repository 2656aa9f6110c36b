import { expect, test } from "vitest";
import { cacheDirectory, stateDirectory } from "../../src/system/own-files.ts";

test("relative directories of the environment are ignored, as the XDG Base Directory Specification asks", () => {
  const HOME = "/home/me";
  expect(cacheDirectory({ HOME, XDG_CACHE_HOME: "cache" })).toBe("/home/me/.cache/volley");
  expect(stateDirectory({ HOME, XDG_STATE_HOME: "./state" })).toBe("/home/me/.local/state/volley");
  expect(cacheDirectory({ HOME, XDG_CACHE_HOME: "/cache" })).toBe("/cache/volley");
  expect(stateDirectory({ HOME, XDG_STATE_HOME: "" })).toBe("/home/me/.local/state/volley");
});
