import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, it } from "vitest";
import {
  hostsOfRuns,
  listRuns,
  readEvents,
  readSummary,
  runsDirectory,
} from "../../src/controller/records/records.ts";
import type { Event, Summary } from "../../src/core/events.ts";
import { until } from "../lib/patience.ts";
import { volley } from "./lib/cli.ts";
import { fleetStarter, ofType } from "./lib/drive.ts";
import { volleyHere } from "./lib/here.ts";
import { makeProject, play, playbookText, scratchDirectory, waitFor } from "./lib/project.ts";
import { killInFirstPlay, SLOW, SLOW_TASKS } from "./lib/slow.ts";

const scratch = scratchDirectory();
const startFleet = fleetStarter();

/** Attaches with the same `volley` that started the run: its bundle is the one the hosts know. */
async function attach(
  name: string,
  cwd: string,
): Promise<{ readonly events: readonly Event[]; readonly summary: Summary }> {
  const { stdout, stderr } = await volleyHere(["attach", name, "-o", "json"], { cwd });
  expect(stderr).toBe("");
  const events = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Event);
  const end = events.at(-1);
  if (end?.type !== "run:end") throw new Error(`the last event is ${end?.type}`);
  return { events, summary: end.summary };
}

it("a controller killed in mid-run: another attaches, goes on, and reports everything once", async () => {
  const fleet = await startFleet({ count: 3 });
  const project = makeProject(scratch(), { "site.ts": SLOW });
  const inventory = project.write("inventory.yaml", fleet.inventoryYaml());
  const args = ["run", "site.ts", "-i", inventory, "--known-hosts", fleet.knownHostsPath, "-o", "json"];
  const killed = volley(args, {
    cwd: project.directory,
    on: killInFirstPlay,
  });
  expect((await killed).code).toBeNull();
  const [name] = listRuns(runsDirectory());
  expect(readSummary(runsDirectory(), name!)).toBeUndefined();

  const listed = await volleyHere(["runs"], { cwd: project.directory });
  expect(listed.stdout).toContain(`volley attach ${name}`);

  const attached = await attach(name!, project.directory);
  expect(attached.summary.hosts.map(({ host, outcome, tally }) => [host, outcome, tally.changed])).toEqual(
    fleet.hosts.map((host) => [host.name, "ok", SLOW_TASKS.length]),
  );
  for (const { name: host, home } of fleet.hosts) {
    const ends = ofType(attached.events, "task:end").filter((event) => event.host === host);
    expect(ends.map((event) => event.name)).toEqual(SLOW_TASKS);
    expect(readFileSync(join(home, "done"), "utf8").trim().split("\n")).toEqual(SLOW_TASKS);
  }
  expect(ofType(attached.events, "run:start")).toHaveLength(1);
  const seqs = attached.events.map(({ seq }) => seq);
  expect(seqs).toEqual([...seqs].sort((a, b) => a - b));

  // The run is recorded as any other, and can be looked at again.
  expect(readSummary(runsDirectory(), name!)?.exitCode).toBe(0);
  expect(ofType([...readEvents(runsDirectory(), name!)], "task:end")).toHaveLength(3 * SLOW_TASKS.length);
  const shown = await volleyHere(["attach", name!, "-o", "plain"], { cwd: project.directory });
  expect(shown).toMatchObject({ code: 0 });
  expect(shown.stdout).toContain("3 hosts: 3 ok");
});

it("hosts that went to the end meanwhile are read from their journals", async () => {
  const fleet = await startFleet({ count: 2 });
  const project = makeProject(scratch(), {
    "site.ts": playbookText(`{ name: "Only", hosts: "all", tasks: ({ task }) => {
  for (let index = 0; index < 3; index++) task("Task " + index, shell("sleep 0.2; echo " + index + " >> ~/done"));
} }`),
  });
  const inventory = project.write("inventory.yaml", fleet.inventoryYaml());
  const args = ["run", "site.ts", "-i", inventory, "--known-hosts", fleet.knownHostsPath, "-o", "json"];
  await volley(args, {
    cwd: project.directory,
    on: (child) => {
      let seen = "";
      child.stdout!.on("data", (text: string) => {
        seen += text;
        // Both are at work.
        if (seen.split('"type":"task:start"').length > 2) child.kill("SIGKILL");
      });
    },
  });
  const lines = (home: string): readonly string[] =>
    existsSync(join(home, "done")) ? readFileSync(join(home, "done"), "utf8").trim().split("\n") : [];
  while (!fleet.hosts.every(({ home }) => lines(home).length === 3)) await sleep(50);
  const [name] = listRuns(runsDirectory());
  const { summary } = await attach(name!, project.directory);
  expect(summary.hosts.map(({ outcome, tally }) => [outcome, tally.changed])).toEqual([
    ["ok", 3],
    ["ok", 3],
  ]);
  for (const { home } of fleet.hosts) expect(lines(home)).toEqual(["0", "1", "2"]);
});

it("a host that waited for its turn when the controller was killed begins anew", async () => {
  const fleet = await startFleet({ count: 1 });
  const { home } = fleet.hosts[0]!;
  const project = makeProject(scratch(), {
    "site.ts": playbookText(play("throttle: 2", `task("Wait", ${waitFor("go")});`)),
  });
  const [, , ...host] = fleet.inventoryYaml().split("\n");
  const names = ["one", "two"].map((name) => host.join("\n").replace(/^ {4}.*:/, `    ${name}:`));
  const inventory = project.write("inventory.yaml", `all:\n  hosts:\n${names.join("")}`);
  const args = ["run", "site.ts", "-i", inventory, "--known-hosts", fleet.knownHostsPath, "-o", "json"];
  let told: readonly Event[] = [];
  const waits = () => ofType(told, "log").find(({ text }) => text.startsWith("waiting for"));
  const isOneWaiting = (): boolean => {
    const [name] = listRuns(runsDirectory());
    told = name === undefined ? [] : [...readEvents(runsDirectory(), name)];
    return ofType(told, "task:start").length > 0 && waits() !== undefined;
  };
  await volley(args, {
    cwd: project.directory,
    on: (child) => void until(isOneWaiting).finally(() => child.kill("SIGKILL")),
  });
  const waiting = waits()!.host;
  const pidOf = (of: (host: string) => boolean): number =>
    ofType(told, "hello").find((hello) => of(hello.host))!.pid;
  await until(() => !isRunning(pidOf((name) => name === waiting)));
  writeFileSync(join(home, "go"), "");
  await until(() => !isRunning(pidOf((name) => name !== waiting)));
  const { summary } = await attach(listRuns(runsDirectory())[0]!, project.directory);
  expect(summary.hosts.map(({ outcome, tally }) => [outcome, tally.changed])).toEqual([
    ["ok", 1],
    ["ok", 1],
  ]);
});

function isRunning(pid: number): boolean {
  return existsSync(`/proc/${pid}`);
}

it("resumes where a run of the playbook failed, whatever ran since: what succeeded is not repeated, a handler that was notified still runs", async () => {
  const fleet = await startFleet({ count: 1 });
  const home = fleet.hosts[0]!.home;
  const project = makeProject(scratch(), {
    "site.ts":
      playbookText(`{ name: "Only", hosts: "all", handlers: { reload: shell("echo handler >> ~/done") }, tasks: ({ task }) => {
  task("Before", shell("echo before >> ~/done"), { notify: "reload" });
  task("Fail once", shell("test -e ~/mended && echo mended >> ~/done"));
  task("After", shell("echo after >> ~/done"));
} }`),
    "other.ts": playbookText(
      `{ name: "Other", hosts: "all", tasks: ({ task }) => void task("Fail", shell("false")) }`,
    ),
  });
  const inventory = project.write("inventory.yaml", fleet.inventoryYaml());
  const flags = ["-i", inventory, "--known-hosts", fleet.knownHostsPath, "-o", "plain"];
  const args = ["run", "site.ts", ...flags];
  expect((await volleyHere(args, { cwd: project.directory })).code).toBe(2);
  expect((await volleyHere([...args, "--check"], { cwd: project.directory })).code).toBe(0);
  expect((await volleyHere(["run", "other.ts", ...flags], { cwd: project.directory })).code).toBe(2);
  expect(hostsOfRuns(runsDirectory(), "failed")).toEqual(fleet.hosts.map(({ name }) => name));
  writeFileSync(join(home, "mended"), "");
  const resumed = await volleyHere([...args, "--resume", "--limit", "@failed"], { cwd: project.directory });
  expect(resumed).toMatchObject({ code: 0, stderr: "" });
  expect(readFileSync(join(home, "done"), "utf8")).toBe("before\nmended\nafter\nhandler\n");
});
