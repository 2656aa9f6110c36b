import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { EMPTY_TALLY } from "../../src/core/result.ts";
import { PATIENT } from "../lib/patience.ts";
import type { CliEnd } from "./lib/cli.ts";
import { fleetStarter, follow, ofType, provision, start } from "./lib/drive.ts";
import { volleyHere } from "./lib/here.ts";
import { makeProject, playbookText, scratchDirectory } from "./lib/project.ts";
import { watchTold } from "./lib/told.ts";

const scratch = scratchDirectory();
const startFleet = fleetStarter();

const RESCUES = `{ name: "Rescues", hosts: "all", serial: 1, maxFailPercentage: 0, tasks: async ({ task, facts, host }) => {
  const note = (word) => shell(\`echo \${word} >> "\${facts.env.HOME}/notes"\`);
  try {
    task("Break", shell("exit 3"));
    await task("Never", debug({ msg: "never" }));
  } catch (error) {
    await task("Repair", note(error.result.data.rc));
    if (host.name === "web02") throw error;
  } finally {
    await task("Always", note("always"));
  }
} }`;

test.each(["bundle", "direct"] as const)(
  "a failure that the role's code caught is rescued: the host is ok, and no limit of failures counts it (%s)",
  PATIENT,
  async (via) => {
    const project = makeProject(scratch(), { "site.ts": playbookText(RESCUES) });
    const fleet = await startFleet({ count: 1 });
    const ran = await provision(project, fleet, { via });
    expect(ran.summary).toMatchObject({ exitCode: 0, outcomes: { ok: 1, failed: 0 } });
    expect(ran.summary.tally).toMatchObject({ changed: 2, failed: 0, rescued: 1, notExecuted: 1 });
    expect(ran.summary.hosts[0]).toMatchObject({ outcome: "ok", failures: [] });
    expect(ofType(ran.events, "host:end")[0]?.tally).toMatchObject({ rescued: 1 });
    expect(ofType(ran.events, "task:rescued").map(({ name }) => name)).toEqual(["Break"]);
    expect(readFileSync(join(fleet.hosts[0]!.home, "notes"), "utf8")).toBe("3\nalways\n");
  },
);

test("a failure that is ignored counts as ignored, and as nothing else", async () => {
  const project = makeProject(scratch(), {
    "site.ts": playbookText(`{ name: "Ignores", hosts: "all", tasks: ({ task }) => {
      task("Break", shell("exit 3"), { ignoreErrors: true });
    } }`),
  });
  const fleet = await startFleet({ count: 1 });
  const ran = await provision(project, fleet);
  expect(ran.summary).toMatchObject({ exitCode: 0, outcomes: { ok: 1, failed: 0 } });
  expect(ran.summary.tally).toEqual({ ...EMPTY_TALLY, ignored: 1 });
  expect(ofType(ran.events, "host:end")[0]?.tally).toEqual(ran.summary.tally);
});

test("a failure that is thrown on is not rescued: the batch that follows is not begun", async () => {
  const project = makeProject(scratch(), { "site.ts": playbookText(RESCUES) });
  const fleet = await startFleet({ count: 3 });
  const ran = await provision(project, fleet);
  expect(ran.summary.hosts.map(({ outcome }) => outcome)).toEqual(["ok", "failed", "cancelled"]);
  expect(ran.summary.exitCode).toBe(2);
  expect(ran.summary.tally).toMatchObject({ failed: 1, rescued: 1 });
  expect(ran.summary.hosts[1]?.failures.map(({ name }) => name)).toEqual(["Break"]);
});

test.each(["bundle", "direct"] as const)(
  "cancelled once, a role's finally block cleans up on the host (%s)",
  PATIENT,
  async (via) => {
    const project = makeProject(scratch(), {
      "site.ts": playbookText(`{ name: "Cleans up", hosts: "all", tasks: async ({ task, facts }) => {
        const { HOME } = facts.env;
        try {
          await task("Mount", shell(\`touch "\${HOME}/mounted"; echo mounted; until [ -e "\${HOME}/go" ]; do sleep 0.02; done\`));
          await task("Work", shell(\`touch "\${HOME}/worked"\`));
        } finally {
          await task("Unmount", shell(\`rm "\${HOME}/mounted"; echo done > "\${HOME}/unmounted"\`));
        }
        await task("Never", debug({ msg: "never" }));
      } }`),
    });
    const fleet = await startFleet({ count: 1 });
    const { home } = fleet.hosts[0]!;
    const running = start(project, fleet, { via });
    const told = watchTold();
    const ran = await follow(running, (event) => {
      told.see(event);
      if (event.type !== "task:output" || !event.text.includes("mounted")) return;
      running.cancel();
      void told.next().then(() => writeFileSync(join(home, "go"), ""));
    });
    expect(ran.summary).toMatchObject({ exitCode: 130, outcomes: { cancelled: 1 } });
    expect(ofType(ran.events, "task:end").map(({ name }) => name)).toEqual(["Mount", "Unmount"]);
    expect(readFileSync(join(home, "unmounted"), "utf8")).toBe("done\n");
    expect(ran.summary.tally).toMatchObject({ changed: 2, failed: 0, notExecuted: 1 });
  },
);

describe.each(["bundle", "direct"] as const)("errors of a role's code that nothing awaits (%s)", (via) => {
  const run = async (tasks: string): Promise<{ readonly end: CliEnd; readonly outcomes: object }> => {
    const play = `{ name: "Play", hosts: "all", tasks: async ({ task, host }) => { ${tasks} } }`;
    const project = makeProject(scratch(), {
      "site.ts": playbookText(play),
      hosts: "web01 ansible_connection=local\nweb02 ansible_connection=local\n",
    });
    // In a process of its own: the test runner counts stray errors too.
    const end = await volleyHere(["run", "site.ts", "-i", "hosts", "--via", via, "-o", "json"], {
      cwd: project.directory,
    });
    const events = end.stdout.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line)]));
    const ends = events.filter(({ type }) => type === "host:end");
    return { end, outcomes: Object.fromEntries(ends.map(({ host, outcome }) => [host, outcome])) };
  };

  test("the failure of a task ends nothing but the task", async () => {
    const { end, outcomes } = await run(`
      const make = async (name) => { await task(name, fail("no")); };
      const first = make("first");
      const second = make("second");
      try { await first; await second; } catch { await task("Repair", debug({ msg: "" })); }`);
    expect(end).toMatchObject({ code: 0 });
    expect(outcomes).toEqual({ web01: "ok", web02: "ok" });
  });

  test.each([
    ["a rejection", 'void Promise.reject(new Error("astray"))'],
    ["an exception", 'throw new Error("astray")'],
  ])("%s fails its own host, with the error", async (_what, code) => {
    const { end, outcomes } = await run(`
      if (host.name === "web02") await new Promise((resolve) => { setTimeout(() => { resolve(); ${code}; }, 1); });
      await task("Work", debug({ msg: "" }));`);
    expect(outcomes).toEqual({ web01: "ok", web02: "failed" });
    expect(end.code).toBe(2);
    expect(end.stdout).toContain("astray");
  });
});
