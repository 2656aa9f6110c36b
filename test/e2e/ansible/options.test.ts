import { writeFileSync } from "node:fs";
import { beforeAll, describe, expect, test } from "vitest";
import { builtCli, type CliEnd } from "../lib/cli.ts";
import { volleyHere } from "../lib/here.ts";
import { makeProject, type Project, scratchDirectory } from "../lib/project.ts";
import { openTerminal, tmuxAvailable } from "../lib/tmux.ts";

const scratch = scratchDirectory();
beforeAll(async () => void (await builtCli()), 600_000);

const playbook = (
  name: string,
  tasks: string,
): string => `import { debug, defineRole, definePlaybook, fail, noop } from "volley";
void [fail];
const web = defineRole({ name: "web", tasks: ({ task, handler, vars }) => {
  handler("restart", debug("restarted"));
  ${tasks}
} });
export default definePlaybook([{ name: "${name}", hosts: "all", tags: ["all-of-it"], vars: { x: "play" }, roles: [web({ x: "role" })] }]);
`;

const project = (): Project =>
  makeProject(scratch(), {
    "site.ts": playbook(
      "Site",
      `task("Install", noop({ changed: true }), { tags: "pkg", notify: "restart" });
  task("Say", debug("x is " + (vars as { readonly x?: string }).x));`,
    ),
    "bad.ts": playbook(
      "Bad",
      'task("Change", noop({ changed: true }), { notify: "restart" }); task("Break", fail("no"));',
    ),
    "vars.yml": "x: from a file\n",
  });

const LOCAL = ["-i", "web1,", "-c", "local"];

function run(at: Project, ...args: readonly string[]): Promise<CliEnd> {
  return volleyHere(["run", ...LOCAL, ...args], { cwd: at.directory });
}

/** The lines of plain output about tasks, without their times. */
const tasksOf = ({ stdout }: CliEnd): readonly string[] =>
  [...stdout.matchAll(/^web1 +(\w+) +(web : .*?) {2}\d/gm)].map(([, state, task]) => `${state} ${task}`);

test("extra vars win over the play and the role, the last one over all", async () => {
  const at = project();
  expect((await run(at, "site.ts", "-v")).stdout).toContain("x is role");
  expect((await run(at, "-e", "x=extra", "site.ts", "-v")).stdout).toContain("x is extra");
  const both = await run(at, "site.ts", "-e", "x=extra", "-e", "@vars.yml", "-v");
  expect(both.stdout).toContain("x is from a file");
  expect((await run(at, "site.ts", "-e", "{x: '{{ inventory_hostname }}!'}", "-v")).stdout).toContain(
    "x is web1!",
  );
  expect(await run(at, "site.ts", "-e", "@none.yml")).toMatchObject({
    code: 1,
    stderr: "volley: --extra-vars @none.yml cannot be read: there is no such file\n",
  });
});

test("several playbooks are carried out in turn, up to the first that fails", async () => {
  const at = project();
  const all = await run(at, "site.ts", "site.ts", "-v");
  expect(all.code).toBe(0);
  expect(tasksOf(all).filter((task) => task === "unchanged web : Say")).toHaveLength(2);
  const some = await run(at, "bad.ts", "site.ts", "-v");
  expect(some.code).toBe(2);
  expect(tasksOf(some)).toEqual(["changed web : Change", "failed web : Break"]);
  const none = await run(at, "site.ts", "nowhere.ts");
  expect(none).toMatchObject({
    code: 1,
    stdout: "",
    stderr: expect.stringContaining("there is no playbook nowhere.ts"),
  });
});

test("--start-at-task, and --force-handlers", async () => {
  const at = project();
  expect(tasksOf(await run(at, "site.ts", "-v", "--start-at-task", "web : S*"))).toEqual([
    "unchanged web : Say",
  ]);
  const forced = await run(at, "bad.ts", "-v", "--force-handlers");
  expect(forced.code).toBe(2);
  expect(tasksOf(forced)).toEqual([
    "changed web : Change",
    "failed web : Break",
    "unchanged web : restart (handler)",
  ]);
});

test("listings are ansible-playbook's", async () => {
  const at = project();
  expect(await run(at, "site.ts", "--list-hosts", "--list-tasks", "--list-tags")).toEqual({
    code: 0,
    stderr: "",
    stdout: `
playbook: site.ts

  play #1 (all): Site\tTAGS: [all-of-it]
    pattern: ['all']
    hosts (1):
      web1
    tasks:
      web : Install\tTAGS: [all-of-it, pkg]
      web : Say\tTAGS: [all-of-it]
      TASK TAGS: [all-of-it, pkg]
`,
  });
  expect((await run(at, "site.ts", "bad.ts", "--list-tags", "-t", "pkg")).stdout).toBe(`
playbook: site.ts

  play #1 (all): Site\tTAGS: [all-of-it]
      TASK TAGS: [all-of-it, pkg]

playbook: bad.ts

  play #1 (all): Bad\tTAGS: [all-of-it]
      TASK TAGS: []
`);
  expect(await volleyHere(["run", "--syntax-check", "site.ts"], { cwd: at.directory })).toEqual({
    code: 0,
    stderr: "",
    stdout: "\nplaybook: site.ts\n",
  });
});

test("ansible.cfg concerns TypeScript where ANSIBLE_CONFIG names it, and what is not heeded is said once", async () => {
  const at = project();
  writeFileSync(
    at.path("ansible.cfg"),
    "[defaults]\ninventory = web1,\ntransport = local\nlog_path = /x\n[tags]\nskip = pkg\n",
  );
  const unnamed = await volleyHere(["run", "site.ts"], { cwd: at.directory });
  expect(unnamed).toMatchObject({ code: 1, stderr: expect.stringContaining("there is no inventory here") });
  const named = await volleyHere(["run", "site.ts", "-v", "--sftp-extra-args=-l5"], {
    cwd: at.directory,
    env: { ANSIBLE_CONFIG: "ansible.cfg" },
  });
  expect(named.code).toBe(0);
  expect(named.stderr).toBe(
    `volley: warning: set for Ansible, but not heeded here: log_path (${at.path("ansible.cfg")}:4)
volley: warning: without a meaning here, and not heeded: --sftp-extra-args
`,
  );
  expect(tasksOf(named)).toEqual(["unchanged web : Say"]);
});

test("--step needs a terminal", async () => {
  expect(await run(project(), "site.ts", "--step")).toMatchObject({
    code: 1,
    stdout: "",
    stderr: expect.stringContaining("--step asks at a terminal, and there is none"),
  });
});

describe.skipIf(!tmuxAvailable())("--step at a terminal", () => {
  async function open(at: Project) {
    const command = [process.execPath, await builtCli(), "run", ...LOCAL, "site.ts", "--step", "-v"];
    return openTerminal(command, { cwd: at.directory, columns: 100, rows: 30 });
  }

  test("asks before each task, and does what it is told", async () => {
    const terminal = await open(project());
    try {
      await terminal.see("Perform task web : Install? (N)o/(y)es/(c)ontinue:");
      terminal.type("y");
      terminal.press("Enter");
      await terminal.see("Perform task web : Say?");
      terminal.press("Enter");
      await terminal.see("Perform handler web : restart?");
      terminal.type("c");
      terminal.press("Enter");
      const end = await terminal.see("exit 0");
      expect(end).toMatch(/changed +web : Install/);
      expect(end).not.toMatch(/web : Say {2}/);
      expect(end).toMatch(/unchanged +web : restart \(handler\)/);
    } finally {
      await terminal.close();
    }
  });

  test("Ctrl-C cancels the run", async () => {
    const terminal = await open(project());
    try {
      await terminal.see("Perform task web : Install?");
      terminal.press("C-c");
      expect(await terminal.see("exit 130")).not.toMatch(/web : Install {2}/);
    } finally {
      await terminal.close();
    }
  });
});
