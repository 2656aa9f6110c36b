import { mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { followLinks, linkTarget, missingDirectories, parentOf } from "../../../src/actions/shared/paths.ts";
import { makeSandbox, type Sandbox } from "../harness.ts";

let sandbox: Sandbox;
beforeEach(() => {
  sandbox = makeSandbox();
  mkdirSync(join(sandbox.root, "srv"));
});
afterEach(() => sandbox[Symbol.dispose]());

it.each([
  ["/a/b", "/a"],
  ["/a", "/"],
  ["~/a/b", "~/a"],
  ["~/a", "~/"],
])("the directory %s is in is %s", (path, parent) => {
  expect(parentOf(path)).toBe(parent);
});

it.each([
  ["/a/link", "../b", "/b"],
  ["/a/link", "/b", "/b"],
  ["~/link", "b", "~/b"],
  ["~/a/link", "b", "~/a/b"],
])("%s -> %s leads to %s", (path, target, expected) => {
  expect(linkTarget(path, target)).toBe(expected);
});

it("follows links one after the other, to where nothing is yet", async () => {
  symlinkSync("two", join(sandbox.root, "srv/one"));
  symlinkSync("../none", join(sandbox.root, "srv/two"));
  expect(await followLinks(sandbox.system, "/srv/one")).toBe("/none");
  expect(await followLinks(sandbox.system, "/srv/three")).toBe("/srv/three");
});

it("lists the directories that are missing, outermost first", async () => {
  expect(await missingDirectories(sandbox.system, "/srv/a//b/c/")).toEqual([
    "/srv/a",
    "/srv/a/b",
    "/srv/a/b/c",
  ]);
  expect(await missingDirectories(sandbox.system, "/srv")).toEqual([]);
});
