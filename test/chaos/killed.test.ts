import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { LOCK_PREFIX } from "../../src/agent/lock.ts";
import type { RunOptions } from "../../src/controller/prepare/options.ts";
import { run } from "../../src/controller/run.ts";
import type { Event } from "../../src/core/events.ts";
import type { EmbeddedHost } from "../../src/embedded/options.ts";
import { machineId } from "../../src/system/this-process.ts";
import { follow, hostOf, ofType, type Ran } from "../e2e/lib/drive.ts";
import { makeProject, type Project, playbookText, scratchDirectory, waitFor } from "../e2e/lib/project.ts";
import type { Fault } from "./proxy.ts";
import { linesOf, litter, type Rig, startRig } from "./rig.ts";

const scratch = scratchDirectory();
const LOCK = `${LOCK_PREFIX}${machineId()}`;
const rigs: Rig[] = [];
afterEach(async () => {
  await Promise.all(rigs.splice(0).map((rig) => rig.stop()));
});

async function oneHost(project: Project, faultOf?: (connection: number) => Fault | undefined): Promise<Rig> {
  const rig = await startRig(project, { count: 1 }, (_host, connection) => faultOf?.(connection));
  rigs.push(rig);
  return rig;
}

const optionsOf = (project: Project, rig: Rig, options: Partial<RunOptions>): RunOptions => ({
  ...rig.reach,
  playbook: project.path("site.ts"),
  cwd: project.directory,
  ...options,
});

const hostOfRig = (rig: Rig): EmbeddedHost => rig.fleet.hosts[0]!;

const mark = (name: string): string => `shell(\`echo ${name} >> \${facts.env.HOME}/marks\`)`;

/** A task that waits for the test, between two that leave marks; the first notifies a handler. */
const WAITING =
  playbookText(`{ name: "One", hosts: "all", handlers: ({ facts }) => ({ notified: ${mark("notified")} }),
  tasks: ({ task, facts }) => {
    task("before", ${mark("before")}, { notify: "notified" });
    task("wait", ${waitFor("go")});
    task("after", ${mark("after")});
  } }`);

const go = (host: EmbeddedHost): void => writeFileSync(join(host.home, "go"), "");

/** Runs until the waiting task says so, then does something to the host. */
function untilWaiting(options: RunOptions, then: (events: readonly Event[]) => void): Promise<Ran> {
  const seen: Event[] = [];
  let done = false;
  return follow(run(options), (event) => {
    seen.push(event);
    if (done || event.type !== "task:output") return;
    done = true;
    then(seen);
  });
}

const pidOf = (events: readonly Event[]): number => ofType(events, "hello").at(-1)!.pid;

/** A keep-alive that notices within two seconds that nobody answers. */
function impatient(project: Project): Partial<RunOptions> {
  return { sshConfig: project.write("ssh_config", "ServerAliveInterval 1\nServerAliveCountMax 1\n") };
}

test("a connection that says nothing more is given up, and the run is found again", async () => {
  const project = makeProject(scratch(), { "site.ts": WAITING });
  // In the middle of what is sent while the task waits: the first word of the task itself.
  const rig = await oneHost(project, (connection) =>
    connection === 0 ? { direction: "out", bytes: 4_800, what: { kind: "stall" } } : undefined,
  );
  go(hostOfRig(rig));
  const ran = await follow(run(optionsOf(project, rig, impatient(project))));
  expect(rig.proxies[0]!.struck).toBe(1);
  expect(hostOf(ran, "web01")).toMatchObject({ outcome: "ok", tally: { changed: 4 } });
  expect(linesOf(hostOfRig(rig), "marks")).toEqual(["before", "after", "notified"]);
  expect(ofType(ran.events, "host:lost")).toHaveLength(1);
  expect(ofType(ran.events, "host:back")).toHaveLength(1);
});

test("a host behind a line that is dead for ever is lost when its time is up", async () => {
  const project = makeProject(scratch(), { "site.ts": WAITING });
  const rig = await oneHost(project, (connection) => ({
    direction: "out",
    bytes: connection === 0 ? 4_800 : 0,
    what: { kind: "stall" },
  }));
  go(hostOfRig(rig));
  const ran = await follow(
    run(optionsOf(project, rig, { ...impatient(project), returnTimeoutMs: 1_500, connectTimeoutMs: 1_000 })),
  );
  expect(hostOf(ran, "web01")).toMatchObject({
    outcome: "lost",
    error: {
      code: "CONNECTION_LOST",
      message: expect.stringMatching(/^web01: .+, and it did not come back within 1\.5 s/),
    },
  });
  expect(ran.summary.exitCode).toBe(4);
});

test("killed on the host: lost, said so, and resumed where it was", async () => {
  const project = makeProject(scratch(), { "site.ts": WAITING });
  const rig = await oneHost(project);
  const host = hostOfRig(rig);
  const first = await untilWaiting(optionsOf(project, rig, {}), (events) =>
    process.kill(pidOf(events), "SIGKILL"),
  );
  expect(hostOf(first, "web01")).toMatchObject({
    outcome: "lost",
    tally: { changed: 1, failed: 1, notExecuted: 2 },
    error: {
      code: "CONNECTION_LOST",
      message: expect.stringMatching(/the process that carried it out was killed/),
    },
  });
  expect(existsSync(join(host.home, ".cache/volley", LOCK))).toBe(true);
  go(host);
  const resumed = await follow(run(optionsOf(project, rig, { resume: first.summary.run })));
  expect(hostOf(resumed, "web01")).toMatchObject({ outcome: "ok", tally: { changed: 4 } });
  expect(linesOf(host, "marks")).toEqual(["before", "after", "notified"]);
  expect(
    ofType(resumed.events, "task:end").map(({ name, result }) => [name, result.resumed === true]),
  ).toEqual([
    ["before", true],
    ["wait", false],
    ["after", false],
    ["notified", false],
  ]);
  // A socket nobody listens on stays until the run's journal goes.
  expect(litter(host)).toEqual([`.cache/volley/runs/${first.summary.run}/web01/control`]);
});

test("resumed after the playbook has changed: everything is looked at again, and said so", async () => {
  const project = makeProject(scratch(), { "site.ts": WAITING });
  const rig = await oneHost(project);
  const first = await untilWaiting(optionsOf(project, rig, {}), (events) =>
    process.kill(pidOf(events), "SIGKILL"),
  );
  go(hostOfRig(rig));
  project.write("site.ts", WAITING.replace('"after"', '"afterwards"'));
  const again = await follow(run(optionsOf(project, rig, { resume: first.summary.run })));
  expect(hostOf(again, "web01")).toMatchObject({ outcome: "ok", tally: { changed: 4 } });
  expect(linesOf(hostOfRig(rig), "marks")).toEqual(["before", "before", "after", "notified"]);
  expect(ofType(again.events, "log").map(({ text }) => text)).toContainEqual(
    expect.stringMatching(/cannot be resumed, everything is looked at again: the bundle has changed since/),
  );
});

test("a second run waits for the first, and goes on after it", async () => {
  const project = makeProject(scratch(), { "site.ts": WAITING });
  const rig = await oneHost(project);
  const host = hostOfRig(rig);
  let second: Promise<Ran> | undefined;
  const first = await untilWaiting(optionsOf(project, rig, {}), () => {
    second = follow(run(optionsOf(project, rig, { lockWaitMs: 20_000 })), (event) => {
      if (event.type === "log" && /^waiting for run .* \(process \d+, since /.test(event.text)) go(host);
    });
  });
  expect(hostOf(first, "web01").outcome).toBe("ok");
  expect(hostOf((await second)!, "web01").outcome).toBe("ok");
  expect(linesOf(host, "marks")).toEqual(["before", "after", "notified", "before", "after", "notified"]);
});

test("a second run that may not wait is refused, and told by whom", async () => {
  const project = makeProject(scratch(), { "site.ts": WAITING });
  const rig = await oneHost(project);
  let second: Ran | undefined;
  const first = await untilWaiting(optionsOf(project, rig, {}), () => {
    void follow(run(optionsOf(project, rig, { lockWaitMs: 0 }))).then((ran) => {
      second = ran;
      go(hostOfRig(rig));
    });
  });
  expect(hostOf(first, "web01").outcome).toBe("ok");
  expect(hostOf(second!, "web01")).toMatchObject({
    outcome: "failed",
    error: {
      code: "LOCKED",
      message: expect.stringMatching(
        new RegExp(
          `^the host is being worked on by run ${first.summary.run} of .+@.+ \\(process \\d+, since 20`,
        ),
      ),
    },
  });
  expect(linesOf(hostOfRig(rig), "marks")).toEqual(["before", "after", "notified"]);
});

test.each([
  ["empty", ""],
  ["cut off", '{"run":"x","contr'],
  [
    "of a process that is gone",
    JSON.stringify({ run: "x", controller: "a@b", pid: 1, start: "0", boot: "" }),
  ],
])("a lock that is %s does not count", async (_what, text) => {
  const project = makeProject(scratch(), { "site.ts": WAITING });
  const rig = await oneHost(project);
  const host = hostOfRig(rig);
  const directory = join(host.home, ".cache/volley");
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, LOCK), text);
  go(host);
  const ran = await follow(run(optionsOf(project, rig, { lockWaitMs: 0 })));
  expect(hostOf(ran, "web01").outcome).toBe("ok");
  expect(litter(host)).toEqual([]);
});

test("a run that fails leaves its pending handlers to the next one", async () => {
  const text = (command: string): string =>
    playbookText(`{ name: "One", hosts: "all", handlers: ({ facts }) => ({ notified: ${mark("notified")} }),
      tasks: ({ task, facts }) => {
        task("before", copy({ content: "x", dest: \`\${facts.env.HOME}/x\` }), { notify: "notified" });
        task("breaks", ${command});
      } }`);
  const project = makeProject(scratch(), { "site.ts": text('shell("exit 1")') });
  const rig = await oneHost(project);
  const failed = await follow(run(optionsOf(project, rig, {})));
  expect(hostOf(failed, "web01")).toMatchObject({ outcome: "failed", tally: { notExecuted: 1 } });
  expect(linesOf(hostOfRig(rig), "marks")).toEqual([]);
  project.write("site.ts", text('shell("true")'));
  const mended = await follow(run(optionsOf(project, rig, {})));
  expect(hostOf(mended, "web01")).toMatchObject({ outcome: "ok", tally: { unchanged: 1, changed: 2 } });
  expect(linesOf(hostOfRig(rig), "marks")).toEqual(["notified"]);
  await follow(run(optionsOf(project, rig, {})));
  expect(linesOf(hostOfRig(rig), "marks")).toEqual(["notified"]);
});

test("cancelled while the line is down: the host is told when it is back", async () => {
  // Ends by being cancelled, and not otherwise.
  const tried = 'shell("echo waiting; false"), { retries: 1_000_000, delay: 0.05 }';
  const project = makeProject(scratch(), { "site.ts": WAITING.replace(waitFor("go"), tried) });
  const rig = await oneHost(project);
  const host = hostOfRig(rig);
  const running = run(optionsOf(project, rig, {}));
  let dropped = false;
  const ran = await follow(running, (event) => {
    if (event.type === "task:output" && !dropped) {
      dropped = true;
      host.dropConnections();
    }
    if (event.type === "host:lost") running.cancel();
  });
  expect(hostOf(ran, "web01")).toMatchObject({ outcome: "cancelled" });
  const journal = join(host.home, ".cache/volley/runs", ran.summary.run, "web01/journal.ndjson");
  expect(JSON.parse(readFileSync(journal, "utf8").trimEnd().split("\n").at(-1)!)).toMatchObject({
    type: "bye",
    cancelled: true,
  });
  expect(linesOf(host, "marks")).toEqual(["before"]);
});
