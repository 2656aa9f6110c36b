import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { LOCK_PREFIX } from "../../src/agent/lock.ts";
import type { RunOptions } from "../../src/controller/prepare/options.ts";
import type { EmbeddedFleet, EmbeddedHost } from "../../src/embedded/options.ts";
import { until } from "../lib/patience.ts";
import { fleetStarter, follow, hostOf, letGo, provision, type Ran, start } from "./lib/drive.ts";
import { makeProject, type Project, play, playbookText, scratchDirectory } from "./lib/project.ts";

const scratch = scratchDirectory();
const startFleet = fleetStarter();
const VIAS = ["bundle", "direct"] as const;

/** Several names for the one host of a fleet. */
function aliases(fleet: EmbeddedFleet, names: readonly string[]): string {
  const [, , ...host] = fleet.inventoryYaml().split("\n");
  return `all:\n  hosts:\n${names.map((name) => host.join("\n").replace(/^ {4}.*:/, `    ${name}:`)).join("")}`;
}

const local = (names: readonly string[]): string =>
  `all:\n  vars: { ansible_connection: local }\n  hosts: { ${names.map((name) => `${name}: {}`).join(", ")} }\n`;

const trace = (what: string): string => `shell("echo ${what} " + host.name + " >> ~/trace")`;

/** Names each name's own work; two that work at once would be seen in the trace. */
const WORK = `task("begin", ${trace("begin")}); task("end", ${trace("end")});`;

function traceOf(home: string): readonly string[] {
  const file = join(home, "trace");
  return existsSync(file) ? readFileSync(file, "utf8").trim().split("\n") : [];
}

/** Begin and end of each name, none between those of another. */
function takeTurns(lines: readonly string[]): boolean {
  return lines.every((line, at) =>
    at % 2 === 0 ? line.startsWith("begin") : line === lines[at - 1]!.replace("begin", "end"),
  );
}

/** The embedded host, or this machine's account, that all names are. */
async function oneAccount(
  reach: "ssh" | "local",
  names: readonly string[],
  project: Project,
): Promise<{ home: string; go(options?: Partial<RunOptions>): Promise<Ran> }> {
  const fleet = await startFleet({ count: reach === "ssh" ? 1 : 0 });
  const text = reach === "ssh" ? aliases(fleet, names) : local(names);
  const inventory = project.write("aliases.yaml", text);
  const home = reach === "ssh" ? fleet.hosts[0]!.home : homedir();
  writeFileSync(join(home, "trace"), "");
  return { home, go: (options) => provision(project, fleet, { inventory, ...options }) };
}

describe.each(VIAS)("several names of one account, by %s", (via) => {
  test.each([
    ["ssh", "throttle: 5"],
    ["ssh", "serial: 1"],
    ["local", "throttle: 5"],
    ["local", "serial: 1"],
  ] as const)("over %s with %s: each does its own work, one at a time", async (reach, keys) => {
    const names = ["app1", "App1", "app2", "Äpp"];
    const project = makeProject(scratch(), { "site.ts": playbookText(play(keys, WORK)) });
    const { home, go } = await oneAccount(reach, names, project);
    const ran = await go({ via, lockWaitMs: 0 });
    expect(ran.summary).toMatchObject({ exitCode: 0, outcomes: { ok: 4 }, tally: { changed: 8 } });
    const lines = traceOf(home);
    expect(lines).toHaveLength(8);
    expect(takeTurns(lines)).toBe(true);
    expect(readdirSync(join(home, ".cache/volley")).filter((name) => name.startsWith("lock"))).toEqual([]);
  });

  test("the others go on while one waits for them: between plays, and for what is done once", async () => {
    const once = `task("once", ${trace("once")}, { runOnce: true }); ${WORK}`;
    const project = makeProject(scratch(), {
      "site.ts": playbookText(
        play("order: 'reverse_inventory'", once),
        play("order: 'inventory'", once),
        play("serial: 1", WORK),
      ),
    });
    const { home, go } = await oneAccount("local", ["app1", "app2"], project);
    const ran = await go({ via, lockWaitMs: 0 });
    expect(ran.summary).toMatchObject({ exitCode: 0, outcomes: { ok: 2 }, tally: { failed: 0, skipped: 2 } });
    const lines = traceOf(home);
    expect(lines.filter((line) => line.startsWith("once"))).toEqual(["once app2", "once app1"]);
    expect(takeTurns(lines.filter((line) => !line.startsWith("once")))).toBe(true);
    expect(lines).toHaveLength(14);
  });

  test("cancelled while one waits for the other: both end", async () => {
    const waiting = `shell("echo waiting; while [ ! -e ~/go ]; do sleep 0.02; done")`;
    const project = makeProject(scratch(), {
      "site.ts": playbookText(play("throttle: 5", `task("wait", ${waiting}); ${WORK}`)),
    });
    const fleet = await startFleet({ count: 1 });
    const inventory = project.write("aliases.yaml", aliases(fleet, ["app1", "app2"]));
    const running = start(project, fleet, { inventory, via });
    let seen = 0;
    const ran = await follow(running, (event) => {
      const works = event.type === "task:output";
      const waits =
        event.type === "log" && /^waiting for app[12], which is the same account/.test(event.text);
      if ((works || waits) && ++seen === 2) {
        running.cancel();
        letGo(fleet);
      }
    });
    expect(ran.summary).toMatchObject({ exitCode: 130, outcomes: { cancelled: 2 } });
    // The word to end may come behind the file that the one at work waits for; the other has not begun.
    expect(new Set(traceOf(fleet.hosts[0]!.home)).size).toBeLessThanOrEqual(1);
    await until(() => locksOf(fleet.hosts[0]!).length === 0);
  });
});

function locksOf({ home }: EmbeddedHost): readonly string[] {
  return readdirSync(join(home, ".cache/volley")).filter((name) => name.startsWith(LOCK_PREFIX));
}

test.each([VIAS, ["direct", "bundle"] as const])(
  "another run is refused as long as one works on the account, the first by %s, the other by %s",
  async (first, second) => {
    const wait = `shell("echo waiting; while [ ! -e ~/go ]; do sleep 0.02; done")`;
    const project = makeProject(scratch(), {
      "site.ts": playbookText(play("throttle: 5", `task("wait", ${wait}); ${WORK}`)),
    });
    const fleet = await startFleet({ count: 1 });
    const [one, two] = ["app1", "app2"].map((name) => project.write(`${name}.yaml`, aliases(fleet, [name])));
    let refused: Ran | undefined;
    const ran = await follow(start(project, fleet, { inventory: one!, via: first }), (event) => {
      if (event.type !== "task:output") return;
      void follow(start(project, fleet, { inventory: two!, via: second, lockWaitMs: 0 })).then((other) => {
        refused = other;
        letGo(fleet);
      });
    });
    expect(hostOf(ran, "app1").outcome).toBe("ok");
    expect(hostOf(refused!, "app2")).toMatchObject({
      outcome: "failed",
      error: {
        code: "LOCKED",
        message: expect.stringMatching(`^the host is being worked on by run ${ran.summary.run} of `),
      },
    });
    await until(() => locksOf(fleet.hosts[0]!).length === 0);
  },
);

test("a line that is cut while one name waits for the other: both do their work once", async () => {
  const wait = `shell("echo waiting; while [ ! -e ~/go ]; do sleep 0.02; done")`;
  const project = makeProject(scratch(), {
    "site.ts": playbookText(play("throttle: 5", `task("wait", ${wait}); ${WORK}`)),
  });
  const fleet = await startFleet({ count: 1 });
  const inventory = project.write("aliases.yaml", aliases(fleet, ["app1", "app2"]));
  let seen = 0;
  const back = new Set<string>();
  const ran = await follow(start(project, fleet, { inventory, via: "bundle" }), (event) => {
    const works = event.type === "task:output";
    const waits = event.type === "log" && /^waiting for app[12],/.test(event.text);
    if ((works || waits) && ++seen === 2) fleet.hosts[0]!.dropConnections();
    if (event.type === "host:back" && back.add(event.host).size === 2) letGo(fleet);
  });
  expect(ran.summary).toMatchObject({ exitCode: 0, outcomes: { ok: 2 }, tally: { changed: 6 } });
  const lines = traceOf(fleet.hosts[0]!.home);
  expect(lines).toHaveLength(4);
  expect(takeTurns(lines)).toBe(true);
});

test("resumed, each name goes on with its own part", async () => {
  const tasks = `task("first", ${trace("first")}); task("fails where told", shell("[ ! -e ~/broken ] || [ " + host.name + " = app1 ]"));`;
  const project = makeProject(scratch(), { "site.ts": playbookText(play("throttle: 5", tasks)) });
  const { home, go } = await oneAccount("local", ["app1", "app2"], project);
  writeFileSync(join(home, "broken"), "");
  const failed = await go({ via: "bundle" });
  expect(failed.summary.outcomes).toMatchObject({ ok: 1, failed: 1 });
  rmSync(join(home, "broken"));
  const resumed = await go({ via: "bundle", resume: failed.summary.run });
  expect(resumed.summary).toMatchObject({ exitCode: 0, outcomes: { ok: 2 } });
  expect([...traceOf(home)].sort()).toEqual(["first app1", "first app2"]);
});

describe.each(VIAS)("handlers that a failed run leaves, by %s", (via) => {
  const site = (command: string): string =>
    playbookText(`{ name: "One", hosts: "all", handlers: ({ host }) => ({ notified: ${trace("handled")} }),
      tasks: ({ task, host }) => { task("first", ${trace("did")}, { notify: "notified" }); task("second", ${command}); } }`);
  const BREAKS = site(`shell('[ "$0" = x ]; ! [ ' + JSON.stringify(host.name) + ' = app1 ]')`);

  test("are run for the name that left them, and for no other of the account", async () => {
    const project = makeProject(scratch(), { "site.ts": BREAKS });
    const { home, go } = await oneAccount("local", ["app1", "app2"], project);
    const handled = (): readonly string[] => traceOf(home).filter((line) => line.startsWith("handled"));
    expect(hostOf(await go({ via, limit: "app1" }), "app1").outcome).toBe("failed");
    project.write(
      "site.ts",
      BREAKS.replaceAll(trace("did"), 'debug({ msg: "x" })').replace(', { notify: "notified" }', ""),
    );
    expect((await go({ via, limit: "app2" })).summary.exitCode).toBe(0);
    expect(handled()).toEqual([]);
    project.write("site.ts", site('shell("true")').replaceAll(trace("did"), 'debug({ msg: "x" })'));
    expect((await go({ via })).summary.exitCode).toBe(0);
    expect(handled()).toEqual(["handled app1"]);
    expect((await go({ via })).summary.exitCode).toBe(0);
    expect(handled()).toEqual(["handled app1"]);
    expect(readdirSync(join(home, ".cache/volley")).filter((name) => name.startsWith("handlers"))).toEqual(
      [],
    );
  });

  test("are not run by another project whose playbook has the same name", async () => {
    const [mine, other] = [
      makeProject(scratch(), { "site.ts": BREAKS }),
      makeProject(scratch(), { "site.ts": BREAKS }),
    ];
    const { home, go } = await oneAccount("local", ["app1"], mine);
    expect(hostOf(await go({ via }), "app1").outcome).toBe("failed");
    const fine = site('shell("true")').replaceAll(trace("did"), 'debug({ msg: "x" })');
    other.write("site.ts", fine);
    const elsewhere = await oneAccount("local", ["app1"], other);
    expect((await elsewhere.go({ via })).summary.exitCode).toBe(0);
    expect(traceOf(home)).toEqual([""]);
    mine.write("site.ts", fine);
    expect((await go({ via })).summary.exitCode).toBe(0);
    expect(traceOf(home)).toEqual(["handled app1"]);
  });
});
