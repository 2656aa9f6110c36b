import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { PATIENT, underLimit } from "../lib/patience.ts";
import { fleetStarter, follow, hostOf, letGo, mostAtOnce, ofType, provision, start } from "./lib/drive.ts";
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

const FAIL_ON_WEB01 = `task("Fail", fail({ msg: "broken" }), { when: () => host.name === "web01" });`;
const WAIT = `task("Wait", ${waitFor("go")}); task("After", debug({ msg: "after" }));`;

function isRunning(pid: number): boolean {
  try {
    // A zombie, which nobody has waited for yet, has ended.
    return !/^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

test("serial: a batch goes through the whole play, handlers included, before the next begins", async () => {
  const project = projectOf(
    `{ name: "Deploy", hosts: "all", serial: [1, "50%"],
       handlers: { reload: debug({ msg: "reloaded" }) },
       tasks: ({ task, facts }) => {
         task("Write", copy({ content: "x", dest: \`\${facts.env.HOME}/x\` }), { notify: "reload" });
       } }`,
    `{ name: "Then", hosts: "all", tasks: ({ task }) => { task("Say", debug({ msg: "then" })); } }`,
  );
  const fleet = await startFleet({ count: 4 });
  const ran = await provision(project, fleet);
  expect(ran.summary).toMatchObject({ exitCode: 0, outcomes: { ok: 4 } });
  expect(
    ofType(ran.events, "play:batch").map(({ hosts, batch, batches }) => [batch, batches, hosts]),
  ).toEqual([
    [1, 3, ["web01"]],
    [2, 3, ["web02", "web03"]],
    [3, 3, ["web04"]],
  ]);
  const atOf = (host: string, type: "play:start" | "play:end"): number =>
    ran.events.findIndex((event) => event.type === type && event.index === 0 && event.host === host);
  for (const [before, after] of [
    ["web01", "web02"],
    ["web01", "web03"],
    ["web02", "web04"],
    ["web03", "web04"],
  ] as const)
    expect(atOf(before, "play:end")).toBeLessThan(atOf(after, "play:start"));
  const handlers = ofType(ran.events, "task:end").filter(({ handler }) => handler === true);
  expect(handlers.map(({ host }) => host).sort()).toEqual(["web01", "web02", "web03", "web04"]);
  for (const event of handlers) expect(ran.events.indexOf(event)).toBeLessThan(atOf(event.host, "play:end"));
  // The next play is none of a batch's business.
  const lastDeployed = Math.max(...fleet.hosts.map(({ name }) => atOf(name, "play:end")));
  const then = ran.events.findIndex((event) => event.type === "play:start" && event.index === 1);
  expect(lastDeployed).toBeLessThan(then);
});

test("a batch in which every host failed ends the run: the others are not touched, and the summary says why", async () => {
  const project = projectOf(play("serial: [1, 2]", FAIL_ON_WEB01), TWO_FILES);
  const fleet = await startFleet({ count: 3 });
  const ran = await provision(project, fleet);
  expect(ran.summary).toMatchObject({ exitCode: 2, outcomes: { failed: 1, cancelled: 2 } });
  expect(hostOf(ran, "web03").error).toEqual({
    code: "OTHERS_FAILED",
    message: 'web01 failed in play "Deploy": all of batch 1',
  });
  expect(fleet.hosts.map(({ stats }) => stats.connections)).toEqual([1, 0, 0]);
  expect(ofType(ran.events, "play:batch")).toHaveLength(1);
  expect(ofType(ran.events, "play:stop").map(({ index }) => index)).toEqual([0]);
});

test("a batch with one host left is enough to go on; hosts that failed before are in no batch", async () => {
  const project = projectOf(
    play("anyErrorsFatal: false", FAIL_ON_WEB01),
    `{ name: "Rolling", hosts: "all", serial: 2, tasks: ({ task, host }) => {
       task("Fail", fail({ msg: "broken" }), { when: () => host.name === "web02" });
     } }`,
  );
  const fleet = await startFleet({ count: 4 });
  const ran = await provision(project, fleet);
  expect(ofType(ran.events, "play:batch").map(({ hosts }) => hosts)).toEqual([["web02", "web03"], ["web04"]]);
  expect(ran.summary.outcomes).toMatchObject({ failed: 2, ok: 2 });
});

test("any error is fatal: the others finish the task they are at, those that wait end too", async () => {
  const project = projectOf(
    play(
      "anyErrorsFatal: true",
      `task("Fail", ${waitFor("fail")}, { when: () => host.name === "web01", failedWhen: true });
       task("Wait", ${waitFor("go")}, { when: () => host.name === "web02" });
       task("After", debug({ msg: "after" }), { when: () => host.name !== "web03" });`,
    ),
    TWO_FILES,
  );
  const fleet = await startFleet({ count: 3 });
  const told = watchTold();
  let ready = 0;
  const ran = await follow(start(project, fleet), (event) => {
    told.see(event);
    const arrived = event.type === "task:output" || (event.type === "play:end" && event.host === "web03");
    if (arrived && ++ready === 3) writeFileSync(join(fleet.hosts[0]!.home, "fail"), "");
    // Of the three web01 has ended by then, and is not waited for.
    if (event.type === "play:stop") void told.next().then(() => letGo(fleet));
  });
  expect(ran.summary).toMatchObject({ exitCode: 2, outcomes: { failed: 1, cancelled: 2 } });
  const reason = {
    code: "OTHERS_FAILED",
    message: 'web01 failed in play "Deploy": any error is fatal there',
  };
  expect(hostOf(ran, "web02")).toMatchObject({
    error: reason,
    tally: { changed: 1, skipped: 1, notExecuted: 3 },
  });
  expect(hostOf(ran, "web03")).toMatchObject({ error: reason, tally: { skipped: 3, notExecuted: 2 } });
  expect(hostOf(ran, "web01").error).toBeUndefined();
  expect(fleet.hosts.some(({ home }) => existsSync(join(home, "a")))).toBe(false);
});

test("the share of failures is of the batch, and must be exceeded; a host that is unreachable has failed", async () => {
  const project = projectOf(play("serial: 2, maxFailPercentage: 50", FAIL_ON_WEB01), TWO_FILES);
  const fleet = await startFleet({
    count: 6,
    faults: (index) => (index === 2 || index === 3 ? { kind: "refuse" } : undefined),
  });
  const ran = await provision(project, fleet, { connectRetries: 0 });
  expect(ofType(ran.events, "play:batch").map(({ hosts }) => hosts)).toEqual([
    ["web01", "web02"],
    ["web03", "web04"],
  ]);
  expect(ran.summary).toMatchObject({ exitCode: 4, outcomes: { failed: 1, unreachable: 2, cancelled: 3 } });
  expect(hostOf(ran, "web05").error?.message).toContain("more than 50 % of 2 hosts");
  expect(hostOf(ran, "web02")).toMatchObject({ outcome: "cancelled", tally: { notExecuted: 2 } });
});

test("hosts begin in the order a play says; a shuffled one says its seed, and is the same for the same", async () => {
  const fleet = await startFleet({ count: 4 });
  const connected = async (order: string, seed?: string) => {
    const project = projectOf(play(`order: "${order}"`, `task("Say", debug({ msg: "hi" }));`));
    const { events } = await provision(project, fleet, {
      concurrency: 1,
      ...(seed === undefined ? {} : { seed }),
    });
    return { events, names: ofType(events, "host:connect").map(({ host }) => host) };
  };
  const names = fleet.hosts.map(({ name }) => name);
  expect((await connected("reverse_sorted")).names).toEqual([...names].reverse());
  const shuffled = await connected("shuffle");
  const [batch] = ofType(shuffled.events, "play:batch");
  expect(shuffled.names).toEqual(batch?.hosts);
  expect([...shuffled.names].sort()).toEqual(names);
  expect((await connected("shuffle", batch?.seed)).names).toEqual(shuffled.names);
});

test("throttle: so many hosts at a time, in that play only", async () => {
  // Long enough for all to be there at a time, were they let in.
  const both = `task("Work", shell("sleep 0.3"));`;
  const project = projectOf(
    play('strategy: "free"', `task("Ready", command({ argv: ["true"] }));`),
    play('throttle: 2, strategy: "free"', both),
    play("tags: []", `task("Wait", ${waitFor("go")});`),
  );
  const fleet = await startFleet({ count: 5 });
  let waiting = 0;
  const ran = await follow(start(project, fleet), (event) => {
    // All of them get there, though it is a free play they come from.
    if (event.type === "task:output" && event.text.includes("waiting") && ++waiting === 5) letGo(fleet);
  });
  expect(ran.summary).toMatchObject({ exitCode: 0, outcomes: { ok: 5 } });
  const throttled = ran.events.filter((event) => "index" in event && event.index === 1);
  expect(mostAtOnce(throttled)).toBeLessThanOrEqual(2);
  expect(ofType(throttled, "play:end")).toHaveLength(5);
});

// The hosts are connected by a play before, so that the time is that of a task alone.
test("a host that takes too long for a play finishes its task and has failed", async () => {
  const { ran, limit } = await underLimit(1, async (seconds) => {
    const project = projectOf(TWO_FILES, play(`timeout: ${seconds}`, WAIT), TWO_FILES);
    const fleet = await startFleet({ count: 1 });
    const told = watchTold();
    let isBegun = false;
    const tried = await follow(
      start(project, fleet, { hostTimeoutMs: 600_000, graceMs: 600_000 }),
      (event) => {
        told.see(event);
        if (event.type !== "task:output") return;
        isBegun = true;
        void told.next().then(() => letGo(fleet));
      },
    );
    return isBegun ? { ran: tried, limit: seconds } : undefined;
  });
  expect(hostOf(ran, "web01")).toMatchObject({
    outcome: "failed",
    error: { code: "TIMEOUT", message: `web01: play "Deploy" took longer than ${limit} s` },
    tally: { changed: 3, notExecuted: 3 },
  });
  expect(ran.summary.exitCode).toBe(2);
});

test("what does not end by itself is ended by force; others are none the worse", async () => {
  const limited = TWO_FILES.replace("hosts:", "timeout: 600, hosts:");
  const hang = play("tags: []", `task("Hang", shell(\`echo $$ > "\${facts.env.HOME}/pid"; sleep 1000\`));`);
  const project = projectOf(limited, hang.replace('"all"', '"web01"'), limited);
  const pid = await underLimit(1, async (seconds) => {
    const fleet = await startFleet({ count: 2 });
    const ran = await provision(project, fleet, { hostTimeoutMs: seconds * 1_000, graceMs: 100 });
    expect(hostOf(ran, "web01")).toMatchObject({ outcome: "failed", error: { code: "TIMEOUT" } });
    expect(hostOf(ran, "web02")).toMatchObject({ outcome: "ok", tally: { notExecuted: 0 } });
    const file = join(fleet.hosts[0]!.home, "pid");
    return existsSync(file) ? Number(readFileSync(file, "utf8")) : undefined;
  });
  await vi.waitFor(() => expect(isRunning(pid)).toBe(false), PATIENT);
});

test("a host that cannot be connected in time has failed, and counts as one that did", async () => {
  const project = projectOf(play("timeout: 0.5, serial: 1", `task("Say", debug({ msg: "hi" }));`));
  const fleet = await startFleet({
    count: 2,
    faults: (index) => (index === 0 ? { kind: "hang" } : undefined),
  });
  const ran = await provision(project, fleet, { connectTimeoutMs: 600_000, graceMs: 100 });
  expect(hostOf(ran, "web01")).toMatchObject({ outcome: "failed", error: { code: "TIMEOUT" } });
  expect(hostOf(ran, "web02").error?.code).toBe("OTHERS_FAILED");
});

test("cancelled amid a batch: later ones do not begin", async () => {
  const fleet = await startFleet({ count: 3 });
  const running = start(projectOf(play("serial: 1, maxFailPercentage: 0", WAIT)), fleet);
  const told = watchTold();
  const ran = await follow(running, (event) => {
    told.see(event);
    if (event.type !== "task:output") return;
    running.cancel();
    void told.next().then(() => letGo(fleet));
  });
  expect(ran.summary).toMatchObject({ exitCode: 130, outcomes: { cancelled: 3 } });
  expect(fleet.hosts.map(({ stats }) => stats.connections)).toEqual([1, 0, 0]);
  expect(ofType(ran.events, "play:batch")).toHaveLength(1);
  expect(ofType(ran.events, "play:stop")).toEqual([]);
});
