import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import type { EmbeddedFleet } from "../../src/embedded/options.ts";
import { PATIENT } from "../lib/patience.ts";
import { fleetStarter, follow, hostOf, keptBundles, ofType, start } from "./lib/drive.ts";
import { makeProject, playbookText, scratchDirectory, TWO_FILES, waitFor } from "./lib/project.ts";
import { type Told, watchTold } from "./lib/told.ts";

const scratch = scratchDirectory();
const startFleet = fleetStarter();

const WAITS = `{ name: "Waits", hosts: "all", tasks: ({ task, facts }) => {
  task("Wait", ${waitFor("go")});
  task("After", copy({ content: "after\\n", dest: \`\${facts.env.HOME}/after\` }));
} }`;
/** Does not end by itself, and says which process it is. */
const HANGS = `{ name: "Hangs", hosts: "all", tasks: ({ task, facts }) => {
  task("Hang", shell(\`echo $$ > "\${facts.env.HOME}/pid"; echo waiting; sleep 1000\`));
  task("After", debug({ msg: "after" }));
} }`;

/** Lets the waiting hosts go on, but not before they have read what they are being sent. */
async function letGoOnceTold(fleet: EmbeddedFleet, told: Told): Promise<void> {
  await told.next();
  for (const { home } of fleet.hosts) writeFileSync(join(home, "go"), "");
}

function isRunning(pid: number): boolean {
  try {
    // A zombie, which nobody has waited for yet, has ended.
    return !/^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

test("cancelled once: the action at work is finished, nothing is begun", async () => {
  const project = makeProject(scratch(), { "site.ts": playbookText(WAITS, TWO_FILES) });
  const fleet = await startFleet({ count: 3 });
  const running = start(project, fleet);
  const told = watchTold();
  let waiting = 0;
  const ran = await follow(running, (event) => {
    told.see(event);
    if (event.type !== "task:output" || ++waiting < 3) return;
    running.cancel();
    void letGoOnceTold(fleet, told);
  });
  expect(ran.summary).toMatchObject({ exitCode: 130, outcomes: { cancelled: 3 } });
  expect(ran.summary.tally).toMatchObject({ changed: 3, notExecuted: 9 });
  expect(ofType(ran.events, "task:end").map(({ name }) => name)).toEqual(["Wait", "Wait", "Wait"]);
  expect(fleet.hosts.some(({ home }) => existsSync(join(home, "after")))).toBe(false);
  expect(ofType(ran.events, "run:cancel").map(({ how }) => how)).toEqual(["clean"]);
  expect(ran.events.at(-1)?.type).toBe("run:end");
});

test("cancelled twice: the action at work ends, with its processes", async () => {
  const project = makeProject(scratch(), { "site.ts": playbookText(HANGS) });
  const fleet = await startFleet({ count: 2 });
  const running = start(project, fleet);
  let waiting = 0;
  const ran = await follow(running, (event) => {
    if (event.type !== "task:output" || ++waiting < 2) return;
    running.cancel();
    running.cancel();
  });
  expect(ran.summary).toMatchObject({ exitCode: 130, outcomes: { cancelled: 2 } });
  expect(ofType(ran.events, "run:cancel").map(({ how }) => how)).toEqual(["clean", "now"]);
  const pids = fleet.hosts.map(({ home }) => Number(readFileSync(join(home, "pid"), "utf8")));
  await vi.waitFor(() => expect(pids.filter(isRunning)).toEqual([]), PATIENT);
  await vi.waitFor(
    () => expect(fleet.hosts.map(({ stats }) => stats.openConnections)).toEqual([0, 0]),
    PATIENT,
  );
});

test("cancelled at a barrier: those that wait end too", async () => {
  const project = makeProject(scratch(), {
    "site.ts": playbookText(
      `{ name: "First", hosts: "all", tasks: ({ task, facts, host }) => {
        task("Wait", ${waitFor("go")}, { when: () => host.name === "web01" });
      } }`,
      TWO_FILES,
    ),
  });
  const fleet = await startFleet({ count: 3 });
  const running = start(project, fleet);
  const told = watchTold();
  // Two at the barrier, and the third at its task: before that the task would not be executed either.
  const wanted = new Set(["web01 task:start", "web02 play:end", "web03 play:end"]);
  const ran = await follow(running, (event) => {
    told.see(event);
    if (!("host" in event) || !wanted.delete(`${event.host} ${event.type}`) || wanted.size > 0) return;
    running.cancel();
    void letGoOnceTold(fleet, told);
  });
  expect(ran.summary).toMatchObject({ exitCode: 130, outcomes: { cancelled: 3 } });
  expect(ran.summary.tally.notExecuted).toBe(6);
});

test("an AbortSignal stops as one cancel does; one aborted before stops before anything is touched", async () => {
  const project = makeProject(scratch(), { "site.ts": playbookText(WAITS) });
  const fleet = await startFleet({ count: 1 });
  const already = await follow(start(project, fleet, { signal: AbortSignal.abort() }));
  expect(already.summary).toMatchObject({ exitCode: 130, outcomes: { cancelled: 1 } });
  expect(fleet.hosts[0]!.stats.connections).toBe(0);
  const controller = new AbortController();
  const told = watchTold();
  const ran = await follow(start(project, fleet, { signal: controller.signal }), (event) => {
    told.see(event);
    if (event.type !== "task:output") return;
    controller.abort();
    void letGoOnceTold(fleet, told);
  });
  expect(ran.summary.exitCode).toBe(130);
  expect(ofType(ran.events, "run:cancel").map(({ how }) => how)).toEqual(["clean"]);
});

test.each([1, 2])("cancelled (%i times) while connecting: no host is waited for", async (times) => {
  const project = makeProject(scratch(), { "site.ts": playbookText(TWO_FILES) });
  const fleet = await startFleet({ count: 3, faults: () => ({ kind: "hang" }) });
  const running = start(project, fleet, { concurrency: 2, connectTimeoutMs: 600_000 });
  let connecting = 0;
  const ran = await follow(running, (event) => {
    if (event.type !== "host:connect" || ++connecting < 2) return;
    for (let time = 0; time < times; time++) running.cancel();
  });
  expect(ran.summary).toMatchObject({ exitCode: 130, outcomes: { cancelled: 3 } });
  expect(hostOf(ran, "web01").error).toBeUndefined();
  await vi.waitFor(
    () => expect(fleet.hosts.map(({ stats }) => stats.openConnections)).toEqual([0, 0, 0]),
    PATIENT,
  );
});

test.each([1, 2])("cancelled (%i times) while sending: what was sent in part is removed", async (times) => {
  const project = makeProject(scratch(), { "site.ts": playbookText(TWO_FILES) });
  const fleet = await startFleet({ count: 2, faults: () => ({ kind: "slow", delayMs: 20 }) });
  const running = start(project, fleet);
  let sending = 0;
  const ran = await follow(running, (event) => {
    if (event.type !== "host:upload" || event.bytes > 0 || ++sending < 2) return;
    // Not before the host has the file: then there is something to remove.
    void vi
      .waitFor(() => expect(fleet.hosts.map((host) => keptBundles(host).temporary.length)).toEqual([1, 1]), {
        ...PATIENT,
        interval: 1,
      })
      .then(() => {
        for (let time = 0; time < times; time++) running.cancel();
      });
  });
  expect(ran.summary).toMatchObject({ exitCode: 130, outcomes: { cancelled: 2 } });
  expect(fleet.hosts.map(keptBundles)).toEqual([
    { bundles: [], temporary: [] },
    { bundles: [], temporary: [] },
  ]);
  expect(ofType(ran.events, "hello")).toEqual([]);
});
