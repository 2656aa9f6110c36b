import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { volley } from "../e2e/lib/cli.ts";
import { makeProject, scratchDirectory } from "../e2e/lib/project.ts";

const scratch = scratchDirectory();

/** Tells whether V8 took the code that was given to it: `undefined` where none was given. */
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
  const project = makeProject(scratch(), { "tell.cjs": TELLS_REJECTED });
  // With a cache that nothing is lent to.
  const env = {
    XDG_CACHE_HOME: project.path("cache"),
    NODE_OPTIONS: `--require=${project.path("tell.cjs")}`,
  };
  const start = async (...args: readonly string[]): Promise<string> =>
    (await volley(args, { cwd: project.directory, env })).stderr;
  expect(await start("--help")).toBe("rejected: undefined\n");
  expect(await start("runs")).toBe("rejected: false\n");
  const directory = project.path("cache/volley/code");
  const kept = readdirSync(directory);
  expect(kept.map((name) => name.split("-").at(-1)).sort()).toEqual(["help", "runs"]);
  rmSync(join(directory, kept.find((name) => name.endsWith("-help"))!));
  expect(await start("runs")).toBe("rejected: false\n");
  expect(await start("report", "--help")).toBe("rejected: undefined\n");
});
