import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeEach, describe, expect, test } from "vitest";
import { makeDirectories } from "../../src/system/directories.ts";
import { builtCli } from "../e2e/lib/cli.ts";
import { scratchDirectory } from "../e2e/lib/project.ts";
import { PATIENCE_MS } from "../lib/patience.ts";

const scratch = scratchDirectory();
/** In a file system that takes no directories; Node's own recursive mkdir never ends there. */
const NOWHERE = "/proc/nowhere";

let place: string;
beforeEach(() => {
  place = mkdtempSync(join(scratch(), "place-"));
});

test("directories are made as far as they are missing, all with the mode", () => {
  const paths = ["a", "a/b", "a/b/c"].map((path) => join(place, path));
  makeDirectories(paths[2]!, 0o700);
  expect(paths.map((path) => statSync(path).mode & 0o777)).toEqual([0o700, 0o700, 0o700]);
  makeDirectories(paths[2]!, 0o755);
  makeDirectories(`${place}/d//e/`);
  expect(statSync(paths[2]!).mode & 0o777).toBe(0o700);
  expect(statSync(join(place, "d/e")).isDirectory()).toBe(true);
});

test("a link to a directory is one; a file, and a link to nothing, are none", () => {
  mkdirSync(join(place, "real"));
  symlinkSync("real", join(place, "link"));
  makeDirectories(join(place, "link/below"));
  expect(existsSync(join(place, "real/below"))).toBe(true);
  symlinkSync("missing", join(place, "dangling"));
  writeFileSync(join(place, "file"), "");
  for (const [path, code] of [
    ["file", "EEXIST"],
    ["file/below", "ENOTDIR"],
    ["dangling", "EEXIST"],
    ["dangling/below", "EEXIST"],
  ] as const)
    expect(() => makeDirectories(join(place, path))).toThrow(expect.objectContaining({ code }));
});

test("no other code makes directories above another one", () => {
  const src = fileURLToPath(new URL("../../src", import.meta.url));
  const sources = readdirSync(src, { recursive: true, encoding: "utf8" })
    .filter((name) => /\.tsx?$/.test(name))
    .map((name) => join(src, name));
  const recursive = /mkdir(?:Sync)?\([^;]*?\brecursive:/;
  const found = sources.filter((file) => recursive.test(readFileSync(file, "utf8")));
  expect(found.map((file) => relative(src, file))).toEqual([]);
});

describe.skipIf(!existsSync("/proc/self"))("a home in a file system without directories", () => {
  test.each([NOWHERE, `${NOWHERE}/below`])("%s is refused in words", (path) => {
    expect(() => makeDirectories(path)).toThrow("no directory can be made in /proc");
  });

  test("is told of by a command that keeps something there, and nothing else minds", async () => {
    const { HOME: _home, XDG_CACHE_HOME: _cache, XDG_STATE_HOME: _state, ...env } = process.env;
    const cli = await builtCli();
    const run = (...args: readonly string[]) =>
      spawnSync(process.execPath, [cli, ...args], {
        ...{ cwd: place, encoding: "utf8", timeout: PATIENCE_MS },
        env: { ...env, HOME: NOWHERE },
      });
    expect(run("--version")).toMatchObject({ status: 0, stderr: "" });
    writeFileSync(join(place, "signers"), "", { mode: 0o600 });
    expect(run("pull", "site.run", "--signers", "signers")).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(
        /^volley: cannot make \/proc\/nowhere\/\S+: no directory can be made in \/proc\n$/,
      ),
    });
  });
});
