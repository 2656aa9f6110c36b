import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { volley } from "../e2e/lib/cli.ts";
import { makeProject, scratchDirectory } from "../e2e/lib/project.ts";

const scratch = scratchDirectory();

/** Tells for each script whether V8 took the code that was given to it: `undefined` where none was given. */
const TELLS_REJECTED = `
const vm = require("node:vm");
const { Script } = vm;
vm.Script = class extends Script {
  constructor(...given) {
    super(...given);
    process.stderr.write("rejected: " + this.cachedDataRejected + "\\n");
  }
};
`;

test("a first start of a command takes the code kept of the help, and later ones the command's own", async () => {
  const project = makeProject(scratch(), {
    "tell.cjs": TELLS_REJECTED,
    "hosts.ini": "box1\n",
    "hosts.yml": "all: { hosts: { box1: } }\n",
  });
  // With a cache that nothing is lent to.
  const env = {
    XDG_CACHE_HOME: project.path("cache"),
    NODE_OPTIONS: `--require=${project.path("tell.cjs")}`,
  };
  const start = async (...args: readonly string[]): Promise<readonly string[]> => {
    const { stderr } = await volley(args, { cwd: project.directory, env });
    return [...new Set(stderr.trimEnd().split("\n"))].sort();
  };
  const [taken, none] = ["rejected: false", "rejected: undefined"];
  expect(await start("--help")).toEqual([none]);
  expect(await start("runs")).toEqual([taken]);
  const directory = project.path("cache/volley/code");
  const kept = readdirSync(directory);
  expect(kept.map((name) => name.split("-").at(-1)).sort()).toEqual(["help", "runs"]);
  rmSync(join(directory, kept.find((name) => name.endsWith("-help"))!));
  expect(await start("runs")).toEqual([taken]);
  expect(await start("report", "--help")).toEqual([none]);
  // Another way through a command needs another script, which joins those that were kept.
  expect(await start("ls", "-i", "hosts.ini")).toContain(none);
  expect(await start("ls", "-i", "hosts.ini")).toEqual([taken]);
  expect(await start("ls", "-i", "hosts.yml")).toEqual([taken, none]);
  expect(await start("ls", "-i", "hosts.yml")).toEqual([taken]);
  expect(await start("ls", "-i", "hosts.ini")).toEqual([taken]);
});

test("code of which a crash has left a gap is not given to V8, which it would end", async () => {
  const project = makeProject(scratch(), { "tell.cjs": TELLS_REJECTED });
  const env = {
    XDG_CACHE_HOME: project.path("cache"),
    NODE_OPTIONS: `--require=${project.path("tell.cjs")}`,
  };
  const start = () => volley(["--help"], { cwd: project.directory, env });
  await start();
  const directory = project.path("cache/volley/code");
  const [file] = readdirSync(directory).map((name) => join(directory, name));
  const kept = readFileSync(file!);
  writeFileSync(file!, Buffer.from(kept).fill(0, 8_192, 12_288));
  expect(await start()).toMatchObject({ code: 0, stderr: expect.not.stringContaining("false") });
  expect(await start()).toMatchObject({ stderr: expect.not.stringContaining("undefined") });
});
