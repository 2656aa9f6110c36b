import { expect, it } from "vitest";
import { volleyHere } from "../e2e/lib/here.ts";
import { scratchDirectory } from "../e2e/lib/project.ts";

const scratch = scratchDirectory();

/** The commands that the help lists. */
const commands = async (cwd: string): Promise<readonly string[]> => {
  const { stdout } = await volleyHere(["--help"], { cwd });
  const list = stdout.slice(stdout.indexOf("\nCommands:\n"));
  return [...list.matchAll(/^ {2}([a-z]+)\b/gm)].map(([, name]) => name!).filter((name) => name !== "help");
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
