import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { listRuns, readEvents, runsDirectory } from "../../src/controller/records/records.ts";
import type { Event } from "../../src/core/events.ts";
import type { EmbeddedFleet } from "../../src/embedded/options.ts";
import { until } from "../lib/patience.ts";
import { volley } from "./lib/cli.ts";
import { fleetStarter, follow, hostOf, letGo, ofType, provision, start } from "./lib/drive.ts";
import { volleyHere } from "./lib/here.ts";
import {
  makeProject,
  type Project,
  play,
  playbookText,
  scratchDirectory,
  TWO_FILES,
  waitFor,
} from "./lib/project.ts";
import { watchTold } from "./lib/told.ts";

const scratch = scratchDirectory();
const startFleet = fleetStarter();

/** A project of one play or several. */
function projectOf(...plays: readonly string[]): Project {
  return makeProject(scratch(), { "site.ts": playbookText(...plays) });
}

/** Leaves a trace of every host that did it, and tells something only it knows. */
const ONCE = `const once = task("Migrate", shell(\`echo x >> "\${facts.env.HOME}/done"; echo "done by \${host.name}"\`), { runOnce: true, notify: "restart" });
  task("Use it", copy({ content: "", dest: \`\${facts.env.HOME}/used\` }), { when: () => once.changed });
  task("Tell", () => copy({ content: once.data.stdout, dest: \`\${facts.env.HOME}/told\` }));`;
const ONCE_KEYS = `handlers: { restart: debug({ msg: "restarted" }) }`;

function doneBy(fleet: EmbeddedFleet): readonly string[] {
  return fleet.hosts.filter(({ home }) => existsSync(join(home, "done"))).map(({ name }) => name);
}

function toldTo(fleet: EmbeddedFleet, index: number): string {
  return readFileSync(join(fleet.hosts[index]!.home, "told"), "utf8").trim();
}

test.each([50, 1])(
  "runOnce: the first host does it, the others know what came of it (%i at a time)",
  async (concurrency) => {
    const fleet = await startFleet({ count: 3 });
    const ran = await provision(projectOf(play(ONCE_KEYS, ONCE)), fleet, { concurrency });
    expect(ran.summary).toMatchObject({ exitCode: 0, outcomes: { ok: 3 } });
    expect(doneBy(fleet)).toEqual(["web01"]);
    expect(readFileSync(join(fleet.hosts[0]!.home, "done"), "utf8")).toBe("x\n");
    expect([0, 1, 2].map((index) => toldTo(fleet, index))).toEqual(Array(3).fill("done by web01"));
    const ends = ofType(ran.events, "task:end");
    const others = ends.filter(({ name, host }) => name === "Migrate" && host !== "web01");
    expect(others.map(({ result }) => result)).toEqual(
      Array(2).fill({ state: "skipped", from: "web01", message: "done once, on web01: changed" }),
    );
    expect(ends.filter(({ handler }) => handler === true).map(({ host }) => host)).toEqual(["web01"]);
  },
);

test("runOnce: once in every batch, by the first of its order that is there", async () => {
  const fleet = await startFleet({
    count: 5,
    faults: (index) => (index === 4 ? { kind: "refuse" } : undefined),
  });
  const project = projectOf(play(`serial: [3, 2], order: "reverse_inventory", ${ONCE_KEYS}`, ONCE));
  const ran = await provision(project, fleet, { connectRetries: 0 });
  expect(ran.summary.outcomes).toMatchObject({ ok: 4, unreachable: 1 });
  expect(doneBy(fleet)).toEqual(["web02", "web04"]);
  expect([0, 2].map((index) => toldTo(fleet, index))).toEqual(["done by web02", "done by web04"]);
});

test("runOnce: when it fails it has failed for all; where that is ignored, for none", async () => {
  const fleet = await startFleet({ count: 2 });
  const failing = `task("Migrate", fail({ msg: "no" }), { runOnce: true });`;
  const ran = await provision(projectOf(play("tags: []", failing), TWO_FILES), fleet);
  expect(ran.summary).toMatchObject({ exitCode: 2, outcomes: { failed: 2 } });
  expect(hostOf(ran, "web02").failures).toMatchObject([{ name: "Migrate", error: { message: "web01: no" } }]);
  expect(hostOf(ran, "web02").tally).toMatchObject({ failed: 1, notExecuted: 2 });
  const ignoring = failing.replace("runOnce: true", "runOnce: true, ignoreErrors: true");
  const gone = await provision(projectOf(play("tags: []", ignoring), TWO_FILES), fleet);
  expect(gone.summary).toMatchObject({ exitCode: 0, outcomes: { ok: 2 } });
});

test("runOnce: what is secret, long or looks masked comes whole to the others' code, and is not told", async () => {
  const fleet = await startFleet({ count: 2 });
  const line = "printf '%s%s ********' hu sh; head -c 90000 /dev/zero | tr '\\0' x";
  const secret = `const made = task("Make", shell(${JSON.stringify(line)}), { runOnce: true, noLog: true });
    task("Use", () => copy({ content: made.data.stdout, dest: \`\${facts.env.HOME}/seen\` }), { noLog: true });`;
  const ran = await provision(projectOf(play("tags: []", secret)), fleet);
  expect(ran.summary).toMatchObject({ exitCode: 0 });
  for (const { home } of fleet.hosts)
    expect(readFileSync(join(home, "seen"), "utf8")).toBe(`hush ********${"x".repeat(90_000)}`);
  expect(JSON.stringify(ran.events)).not.toContain("hush");
  const log = readFileSync(ran.summary.logFile!, "utf8");
  expect(log).not.toContain("hush");
  // All of it was well: nothing is left of what was not to be told.
  const left = [...fleet.hosts.map(({ home }) => home), runsDirectory()].map(
    (directory) => spawnSync("grep", ["-rl", "hush", directory], { encoding: "utf8" }).stdout,
  );
  expect(
    left.map((text) => text.split("\n").filter((file) => file !== "" && !file.endsWith("/seen"))),
  ).toEqual([[], [], []]);
});

const SLOW_ONCE = `const once = task("Migrate", ${waitFor("go")}, { runOnce: true });
  task("After", copy({ content: "", dest: \`\${facts.env.HOME}/after\` }), { when: () => once.changed });`;

test("runOnce: whoever waits and is lost meanwhile is told when it is back", async () => {
  const fleet = await startFleet({ count: 2 });
  let waits = 0;
  const ran = await follow(start(projectOf(play("tags: []", SLOW_ONCE)), fleet), (event) => {
    if ((event.type === "task:once" && event.host === "web02") || event.type === "task:output") waits++;
    if (waits === 2) {
      waits++;
      fleet.hosts[1]!.dropConnections();
    }
    if (event.type === "host:lost") letGo(fleet);
  });
  expect(ran.summary).toMatchObject({ exitCode: 0, outcomes: { ok: 2 } });
  expect(existsSync(join(fleet.hosts[1]!.home, "after"))).toBe(true);
});

test("runOnce: cancelled, those that wait end, and the task counts as not executed there", async () => {
  const fleet = await startFleet({ count: 2 });
  const running = start(projectOf(play("tags: []", SLOW_ONCE)), fleet);
  const told = watchTold();
  let waits = 0;
  const ran = await follow(running, (event) => {
    told.see(event);
    if ((event.type === "task:once" && event.host === "web02") || event.type === "task:output") waits++;
    if (waits === 2) {
      waits++;
      running.cancel();
      void told.next().then(() => letGo(fleet));
    }
  });
  expect(ran.summary).toMatchObject({ exitCode: 130, outcomes: { cancelled: 2 } });
  expect(hostOf(ran, "web02").tally).toMatchObject({ changed: 0, skipped: 0, notExecuted: 2 });
  expect(hostOf(ran, "web01").tally).toMatchObject({ changed: 1, notExecuted: 1 });
});

test("runOnce: what the host was told to do is not done by another when it ends amid it", async () => {
  const fleet = await startFleet({ count: 2 });
  const hangs = `task("Migrate", shell(\`echo x >> "\${facts.env.HOME}/done"; echo waiting; sleep 1000\`), { runOnce: true });`;
  let cut = false;
  const running = start(projectOf(play("tags: []", hangs)), fleet, { returnTimeoutMs: 1 });
  const ran = await follow(running, (event) => {
    if (event.type !== "task:output" || cut) return;
    cut = true;
    fleet.hosts[0]!.dropConnections();
  });
  expect(hostOf(ran, "web01").outcome).toBe("lost");
  expect(hostOf(ran, "web02").failures).toMatchObject([
    { name: "Migrate", error: { code: "OTHERS_FAILED", message: "web01: ended before this was done there" } },
  ]);
  expect(doneBy(fleet)).toEqual(["web01"]);
});

test("a controller killed amid a batch: another one keeps to the batches, and relays what was done once", async () => {
  const fleet = await startFleet({ count: 3 });
  const project = projectOf(play("serial: [2, 1]", SLOW_ONCE));
  const inventory = project.write("inventory.yaml", fleet.inventoryYaml());
  const args = ["run", "site.ts", "-i", inventory, "--known-hosts", fleet.knownHostsPath, "-o", "json"];
  const isWritten = (): boolean => {
    const types = [...readEvents(runsDirectory(), listRuns(runsDirectory())[0]!)].map(({ type }) => type);
    return types.filter((type) => type === "task:once").length === 2 && types.includes("task:output");
  };
  const killed = await volley(args, {
    cwd: project.directory,
    on: (child) => {
      let seen = "";
      child.stdout!.on("data", (text: string) => {
        seen += text;
        const waits =
          /"type":"task:once"[^\n]*"host":"web02"/.test(seen) && seen.includes('"type":"task:output"');
        // Its log is written every now and then.
        if (waits) void until(isWritten).then(() => child.kill("SIGKILL"));
      });
    },
  });
  expect(killed.code).toBeNull();
  letGo(fleet);
  const [name] = listRuns(runsDirectory());
  const attached = await volleyHere(["attach", name!, "-o", "json"], { cwd: project.directory });
  const events = attached.stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Event);
  const [end] = ofType(events, "run:end");
  expect(end?.summary).toMatchObject({ exitCode: 0, outcomes: { ok: 3 } });
  const done = ofType(events, "task:end").filter((event) => event.name === "Migrate");
  expect(done.map(({ host, result }) => [host, result.state, result.from ?? ""]).sort()).toEqual([
    ["web01", "changed", ""],
    ["web02", "skipped", "web01"],
    ["web03", "changed", ""],
  ]);
  const begun = events.findIndex((event) => event.type === "host:connect" && event.host === "web03");
  for (const host of ["web01", "web02"])
    expect(events.findIndex((event) => event.type === "play:end" && event.host === host)).toBeLessThan(begun);
});
