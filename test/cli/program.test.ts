import { chmodSync } from "node:fs";
import { expect, it } from "vitest";
import { volley } from "../e2e/lib/cli.ts";
import { volleyHere } from "../e2e/lib/here.ts";
import { makeProject, scratchDirectory } from "../e2e/lib/project.ts";

const scratch = scratchDirectory();

/** Tells which of its own modules Node has loaded since its start. */
const TELLS_LOADED = `
const before = new Set(process.moduleLoadList);
process.once("exit", () => {
  process.stderr.write(JSON.stringify(process.moduleLoadList.filter((name) => !before.has(name))));
});
`;

/** The commands that the help lists. */
const commands = async (cwd: string): Promise<readonly string[]> => {
  const { stdout } = await volleyHere(["--help"], { cwd });
  const list = stdout.slice(stdout.indexOf("\nCommands:\n"));
  return [...list.matchAll(/^ {2}([a-z-]+)\b/gm)].map(([, name]) => name!).filter((name) => name !== "help");
};

it("knows each command of the help by its name", async () => {
  const cwd = scratch();
  const names = await commands(cwd);
  expect(names).toContain("run");
  for (const name of names) {
    const { code, stdout } = await volleyHere([name, "--help"], { cwd });
    expect([name, code, stdout.split("\n")[0]]).toEqual([name, 0, expect.stringContaining(`volley ${name}`)]);
  }
});

it("takes its own options before a command only", async () => {
  const cwd = scratch();
  expect(await volleyHere(["--version"], { cwd })).toMatchObject({ code: 0 });
  for (const name of await commands(cwd)) {
    const { code } = await volleyHere([name, "--version"], { cwd });
    // The option of `run` is its own, as that of ansible-playbook.
    expect([name, code]).toEqual([name, name === "run" ? 0 : 1]);
  }
});

it("loads modules of Node's that most commands never use when a command uses them", async () => {
  const project = makeProject(scratch(), {
    "tell.cjs": TELLS_LOADED,
    "hosts.ini": "web01\n",
    "script.sh": `#!/bin/sh\necho '{"all": {"hosts": ["web02"]}}'\n`,
  });
  chmodSync(project.path("script.sh"), 0o755);
  const env = { NODE_OPTIONS: `--require=${project.path("tell.cjs")}` };
  const listed = async (inventory: string): Promise<readonly [string, readonly string[]]> => {
    const { stdout, stderr } = await volley(["ls", "-i", inventory], { cwd: project.directory, env });
    return [stdout, JSON.parse(stderr) as readonly string[]];
  };
  const [plain, before] = await listed("hosts.ini");
  expect(plain).toContain("web01");
  for (const name of ["child_process", "https", "tls", "worker_threads", "zlib"])
    expect(before).not.toContain(`NativeModule ${name}`);
  // The program imports `{ execFile }` for inventory scripts.
  const [scripted, after] = await listed("script.sh");
  expect(scripted).toContain("web02");
  expect(after).toContain("NativeModule child_process");
  expect(after).not.toContain("NativeModule zlib");
});
