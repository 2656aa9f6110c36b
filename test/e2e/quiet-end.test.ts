import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { listRuns, readSummary, runsDirectory } from "../../src/controller/records/records.ts";
import { bundleProject, runBundle } from "../agent/bundle-fixture.ts";
import { builtCli, volley } from "./lib/cli.ts";
import { makeProject, playbookText, scratchDirectory } from "./lib/project.ts";

const scratch = scratchDirectory();
beforeAll(async () => void (await builtCli()), 600_000);

const LOCAL = "all:\n  vars: { ansible_connection: local }\n  hosts: { one: {}, two: {} }\n";

/** A role whose vars are judged by something that never answers. */
const NEVER = `import { debug, defineRole, definePlaybook } from "volley";
const vars = { "~standard": { version: 1, vendor: "test", validate: () => new Promise(() => {}) } };
const role = defineRole({ name: "web", vars, tasks({ task }) { task("x", debug({ msg: "x" })); } });
export default definePlaybook([{ name: "One", hosts: "all", roles: [role()] }]);\n`;

test.each([["run"], ["check", "--no-types"]])(
  "%s ends although a role has left a timer behind",
  async (...command) => {
    const project = makeProject(scratch(), {
      "site.ts": playbookText(
        `{ name: "One", hosts: "all", tasks: ({ task }) => { setInterval(() => {}, 1000); task("x", debug({ msg: "x" })); } }`,
      ),
      "inventory.yaml": LOCAL,
    });
    const end = await volley([...command, "site.ts", "-i", "inventory.yaml"], { cwd: project.directory });
    expect(end).toMatchObject({ code: 0, stderr: "" });
  },
);

// Most of what code leaves uncaught comes from asking what only a host knows. A process of its own shows what an
// error does that nothing catches.
test.each([
  ["a fact behind no await", "void (async () => facts.hostname)();"],
  ["a rejection", 'void Promise.reject(new Error("stray"));'],
  ["a rejection that is no error", 'void Promise.reject("stray");'],
  ["an exception in a timer", 'setTimeout(() => { throw new Error("stray"); }, 1);'],
])("check foresees a role that leaves uncaught: %s", async (_what, code) => {
  const project = makeProject(scratch(), {
    "site.ts": playbookText(
      `{ name: "One", hosts: "all", tasks: ({ task, facts }) => { void facts; ${code} task("x", debug({ msg: "x" })); } }`,
    ),
    "inventory.yaml": LOCAL,
  });
  const end = await volley(["check", "--no-types", "site.ts", "-i", "inventory.yaml"], {
    cwd: project.directory,
  });
  expect(end).toMatchObject({ code: 0, stderr: "" });
});

test.each([
  ["a rejection", 'void Promise.reject(new Error("stray"));', ":3:21: Error: stray"],
  [
    "an exception in a timer",
    'setTimeout(() => { throw new TypeError("stray"); });',
    ":3:26: TypeError: stray",
  ],
  ["a rejection that is no error", 'void Promise.reject("stray");', ': .*"stray"\\.'],
  [
    "what has no text",
    "setTimeout(() => { throw Object.create(null); });",
    ": an object without a text was thrown",
  ],
])("a playbook that leaves uncaught: %s: ends each command with its place", async (_what, code, told) => {
  const project = makeProject(scratch(), {
    "site.ts": playbookText(`{ name: "One", hosts: "all", tasks: () => {} }`).replace("\n", `\n\n${code}\n`),
    "inventory.yaml": LOCAL,
  });
  for (const command of [
    ["run"],
    ["run", "--via", "direct"],
    ["check", "--no-types"],
    ["bundle", "-o", "x.run"],
  ]) {
    const end = await volley([...command, "site.ts", "-i", "inventory.yaml"], { cwd: project.directory });
    expect(end.stderr).toMatch(new RegExp(`^volley: site\\.ts${told} \\(nothing catches this error\\)\\n$`));
    expect(end.code).toBe(1);
  }
});

test.each([["run"], ["run", "--via", "direct"], ["check", "--no-types"]])(
  "%s %s does not pass for a success where a playbook ends the process",
  async (...command) => {
    const project = makeProject(scratch(), {
      "site.ts": `${playbookText(`{ name: "One", hosts: "all", tasks: () => {} }`)}process.exit();\n`,
      "inventory.yaml": LOCAL,
    });
    const end = await volley([...command, "site.ts", "-i", "inventory.yaml"], { cwd: project.directory });
    expect(end.stderr).toMatch(/^volley: process\.exit\(\) was called before the command had ended/);
    expect(end.code).toBe(1);
  },
);

test("an error that the code of a vars schema leaves uncaught ends nothing while it is only foreseen", async () => {
  const project = makeProject(scratch(), {
    "site.ts": `import { debug, defineRole, definePlaybook } from "volley";
const vars = { "~standard": { version: 1, vendor: "test", validate: (value) => {
  setTimeout(() => { throw new Error("stray"); }, 1);
  return { value };
} } };
const role = defineRole({ name: "web", vars, tasks({ task }) { task("x", debug({ msg: "x" })); } });
export default definePlaybook([{ name: "One", hosts: "all", roles: [role()] }]);\n`,
    "inventory.yaml": LOCAL,
  });
  const end = await volley(["check", "--no-types", "site.ts", "-i", "inventory.yaml"], {
    cwd: project.directory,
  });
  expect(end).toMatchObject({ code: 0, stderr: "" });
});

test("local hosts whose process is killed are lost, and the run ends with its summary", async () => {
  const killing = `shell("kill -9 $PPID; sleep 1")`;
  const project = makeProject(scratch(), {
    "site.ts": playbookText(
      `{ name: "One", hosts: "all", tasks: ({ task }) => { task("kill", ${killing}); task("after", debug({ msg: "x" })); } }`,
    ),
    "inventory.yaml": LOCAL,
  });
  const end = await volley(["run", "site.ts", "-i", "inventory.yaml"], { cwd: project.directory });
  expect(end.code).toBe(4);
  for (const host of ["one", "two"])
    expect(end.stdout).toContain(
      `${host}: the run ended without saying how: the process that carried it out was killed`,
    );
  expect(readSummary(runsDirectory(), listRuns(runsDirectory())[0]!)).toMatchObject({
    exitCode: 4,
    outcomes: { lost: 2 },
    tally: { failed: 2, notExecuted: 2 },
  });
});

test.each([
  ["run", "-i", "inventory.yaml"],
  ["check", "-i", "inventory.yaml"],
  ["bundle", "-o", "x.run", "-i", "inventory.yaml"],
])("volley %s says when nothing is left that it waits for, and exits 70", async (command, ...args) => {
  const project = makeProject(scratch(), { "site.ts": NEVER, "inventory.yaml": LOCAL });
  const end = await volley([command!, "site.ts", ...args], { cwd: project.directory });
  expect(end.stderr).toMatch(
    /^volley: the (run|command) has not ended, and nothing is left that it waits for \(.*please report it\)\n$/,
  );
  expect(end.stderr).not.toMatch(/ at .*:\d+:\d+/);
  expect(end.code).toBe(70);
});

test("run() rejects, where a program's event loop runs dry before the run has ended", async () => {
  const project = makeProject(scratch(), { "site.ts": NEVER, "inventory.yaml": LOCAL });
  const controller = join(await builtCli(), "../../controller.js");
  const program = project.write(
    "program.mjs",
    `import { run } from ${JSON.stringify(controller)};
try { await run({ playbook: "site.ts", inventory: "inventory.yaml" }).summary; } catch (thrown) { console.log(thrown.code); }\n`,
  );
  const { status, stdout } = spawnSync(process.execPath, [program], {
    cwd: project.directory,
    encoding: "utf8",
  });
  expect({ status, stdout }).toEqual({ status: 0, stdout: "STARVED\n" });
});

test("a host whose role waits for nothing fails and says so, while its controller listens", async () => {
  const project = makeProject(scratch(), {
    "site.ts": playbookText(
      `{ name: "One", hosts: "one", tasks: async ({ task }) => { task("x", debug({ msg: "x" })); await new Promise(() => {}); } }`,
    ),
    "inventory.yaml": LOCAL,
  });
  const end = await volley(["run", "site.ts", "-i", "inventory.yaml", "--via", "bundle"], {
    cwd: project.directory,
  });
  expect(end.stdout).toMatch(/the run has not ended, and nothing is left that it waits for/);
  expect(end.code).toBe(2);
});

test("a carried bundle whose role waits for nothing says so, and exits 70", async () => {
  using project = await bundleProject({
    "site.ts": `import { debug, definePlaybook } from "volley";
export default definePlaybook([{ name: "One", hosts: "all", tasks: async ({ task }) => { task("x", debug({ msg: "x" })); await new Promise(() => {}); } }]);\n`,
  });
  const end = await runBundle(project.file, ["--local", "web1"]);
  expect(end.stderr).toMatch(
    /^volley: the run has not ended, and nothing is left that it waits for \(.*please report it\)\n$/,
  );
  expect(end.code).toBe(70);
});
