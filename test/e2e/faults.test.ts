import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { EmbeddedFleet, HostFault } from "../../src/embedded/options.ts";
import { PATIENCE_MS } from "../lib/patience.ts";
import {
  fleetStarter,
  follow,
  givenUpSoon,
  hostOf,
  keptBundles,
  ofType,
  provision,
  type Ran,
  start,
} from "./lib/drive.ts";
import { makeProject, type Project, playbookText, scratchDirectory, TWO_FILES } from "./lib/project.ts";

const scratch = scratchDirectory();
const startFleet = fleetStarter();

interface Tried extends Ran {
  readonly project: Project;
  readonly fleet: EmbeddedFleet;
}

/** Run two hosts, the first with these faults, which must not affect the second. */
async function tryWith(...faults: HostFault[]): Promise<Tried> {
  const project = makeProject(scratch(), { "site.ts": playbookText(TWO_FILES) });
  const fleet = await startFleet({ count: 2, faults: (index) => (index === 0 ? faults : undefined) });
  // Only one that hangs is given up soon: on a loaded machine the others take their time.
  const all = fleet.inventoryYaml();
  const isHanging = faults.some(({ kind }) => kind === "hang");
  const inventory = project.write(
    "limited.yaml",
    isHanging ? givenUpSoon(all, fleet.hosts[0]!.port, 4) : all,
  );
  const sshConfig = project.write("ssh_config", `ConnectTimeout ${PATIENCE_MS / 1_000}\n`);
  const ran = await provision(project, fleet, { inventory, sshConfig, via: "bundle" });
  expect(hostOf(ran, "web02")).toMatchObject({ outcome: "ok", tally: { changed: 2 } });
  expect(keptBundles(fleet.hosts[1]!)).toMatchObject({ bundles: [expect.any(String)], temporary: [] });
  return { ...ran, project, fleet };
}

/** Runs one host that has these faults. */
async function tryAlone(...faults: HostFault[]): Promise<Ran> {
  const project = makeProject(scratch(), { "site.ts": playbookText(TWO_FILES) });
  const fleet = await startFleet({ count: 1, faults: () => faults });
  return provision(project, fleet, { connectTimeoutMs: PATIENCE_MS, via: "bundle" });
}

test("refused: unreachable", async () => {
  const tried = await tryWith({ kind: "refuse" });
  expect(hostOf(tried, "web01")).toMatchObject({
    outcome: "unreachable",
    error: {
      code: "CONNECT_FAILED",
      message: expect.stringMatching(
        /^web01 \(127\.0\.0\.1:\d+\) refused the connection: no SSH server listens there$/,
      ),
    },
  });
  expect(tried.summary.exitCode).toBe(4);
  expect((await tryAlone({ kind: "refuse" })).summary.exitCode).toBe(4);
});

test("accepted and never answered: unreachable within the time limit", async () => {
  const tried = await tryWith({ kind: "hang" });
  expect(hostOf(tried, "web01")).toMatchObject({
    outcome: "unreachable",
    error: { code: "CONNECT_FAILED", message: expect.stringMatching(/did not answer within 4 s$/) },
  });
  expect(tried.summary.exitCode).toBe(4);
});

test("slow: works all the same", async () => {
  const tried = await tryWith({ kind: "slow", delayMs: 30 });
  expect(hostOf(tried, "web01")).toMatchObject({ outcome: "ok", tally: { changed: 2 } });
});

test.each([1, 2, 3])(
  "%i sessions a connection: commands and upload wait for each other",
  async (sessions) => {
    const tried = await tryWith({ kind: "maxSessions", sessions });
    expect(hostOf(tried, "web01")).toMatchObject({ outcome: "ok", tally: { changed: 2 } });
    expect(keptBundles(tried.fleet.hosts[0]!)).toMatchObject({
      bundles: [expect.any(String)],
      temporary: [],
    });
  },
);

test("a banner and a shell that prints: works, and what they said is an event", async () => {
  const tried = await tryWith({ kind: "noisyBanner" });
  expect(hostOf(tried, "web01").outcome).toBe("ok");
  const noise = ofType(tried.events, "host:noise")
    .filter(({ host }) => host === "web01")
    .map(({ text }) => text);
  expect(noise).toContain("Welcome to this host!");
  expect(tried.summary.exitCode).toBe(0);
});

test("a shell that prints without ending its line, and something that looks like an event: works", async () => {
  const tried = await tryWith({ kind: "noisyBanner", stdout: '{"type":"bye"}\nmotd without an end' });
  expect(hostOf(tried, "web01").outcome).toBe("ok");
  expect(ofType(tried.events, "host:noise").map(({ text }) => text)).toContain("motd without an end");
});

interface HostFaultCase {
  readonly what: string;
  readonly fault: HostFault;
  readonly code: string;
  readonly message: RegExp;
  readonly hint?: RegExp;
  readonly outcome: "failed" | "unreachable";
}

const setupFaults: readonly HostFaultCase[] = [
  {
    what: "a read-only home",
    fault: { kind: "readOnlyHome" },
    code: "UPLOAD_FAILED",
    message:
      /cannot keep the bundle in .*home.*(Permission denied|Read-only|Operation not permitted|No such file)/,
    outcome: "failed",
  },
  {
    what: "a full disk",
    fault: { kind: "diskFull", afterBytes: 40_000 },
    code: "UPLOAD_FAILED",
    message: /^web01: cannot write in ~\/\.cache\/volley\/bundles: No space left on device$/,
    outcome: "failed",
  },
  {
    what: "a disk full from the start",
    fault: { kind: "diskFull", afterBytes: 0 },
    code: "UPLOAD_FAILED",
    message: /^web01: cannot write in ~\/\.cache\/volley\/bundles: No space left on device$/,
    outcome: "failed",
  },
  {
    what: "a bundle that arrives changed",
    fault: { kind: "corruptUpload" },
    code: "UPLOAD_FAILED",
    message: /arrived damaged 2 times/,
    hint: /changes data/,
    outcome: "failed",
  },
  {
    what: "no SFTP",
    fault: { kind: "noSftp" },
    code: "UPLOAD_FAILED",
    message: /no SFTP/,
    hint: /Subsystem sftp/,
    outcome: "failed",
  },
  {
    what: "no Node",
    fault: { kind: "noNode" },
    code: "NODE_MISSING",
    message: /^web01: no Node found on this machine .*install Node 18 or newer/,
    outcome: "failed",
  },
  {
    what: "a Node too old",
    fault: { kind: "oldNode" },
    code: "NODE_MISSING",
    message: /Node v12\.22\.0 .*is too old; Node 18 or newer is needed/,
    outcome: "failed",
  },
  {
    what: "no key accepted",
    fault: { kind: "rejectAuth" },
    code: "AUTH_FAILED",
    message: /accepted none of the keys for user/,
    hint: /authorized_keys/,
    outcome: "unreachable",
  },
  {
    what: "another host key",
    fault: { kind: "wrongHostKey" },
    code: "HOST_KEY_CHANGED",
    message: /host key has changed.*known_hosts:1$/,
    hint: /ssh-keygen -R '\[127\.0\.0\.1\]:\d+' -f .*known_hosts/,
    outcome: "unreachable",
  },
  {
    what: "no session granted",
    fault: { kind: "maxSessions", sessions: 0 },
    code: "SESSION_REFUSED",
    message: /^web01 grants no further session on this connection/,
    hint: /MaxSessions/,
    outcome: "failed",
  },
];

test.each(setupFaults)(
  "$what: said clearly, nothing is left behind",
  async ({ fault, code, message, hint, outcome }) => {
    const tried = await tryWith(fault);
    const { error, ...web01 } = hostOf(tried, "web01");
    expect(error).toMatchObject({ code, message: expect.stringMatching(message) });
    if (hint !== undefined) expect(error?.hint).toMatch(hint);
    expect(web01.outcome).toBe(outcome);
    expect(tried.summary.exitCode).toBe(outcome === "failed" ? 2 : 4);
    expect(keptBundles(tried.fleet.hosts[0]!).temporary).toEqual([]);
  },
);

test.each(setupFaults)("$what, on every host: nothing was run, the set-up is at fault", async ({ fault }) => {
  expect((await tryAlone(fault)).summary.exitCode).toBe(1);
});

/** Measure the bytes of a connection in a run without faults. They depend on the bundle's size. */
async function measureTraffic(): Promise<{ readonly in: number; readonly out: number }> {
  const project = makeProject(scratch(), { "site.ts": playbookText(TWO_FILES) });
  const fleet = await startFleet({ count: 1 });
  await provision(project, fleet);
  const { bytesIn, bytesOut } = fleet.hosts[0]!.stats;
  await fleet.stop();
  return { in: bytesIn, out: bytesOut };
}

test.each(["in", "out"] as const)(
  "severed after any number of bytes %s: it ends, and no bundle is kept in part",
  async (direction) => {
    const total = (await measureTraffic())[direction];
    const early = [0, 20, 200, 1_000, 2_000, 3_000, 5_000, 8_000];
    const spread = Array.from({ length: 8 }, (_none, index) => Math.round((total * (index + 1)) / 8));
    const late = [1, 2, 4].map((index) => total - index * 150);
    const points = [...new Set([...early, ...spread, ...late])].filter((bytes) => bytes >= 0);
    const project = makeProject(scratch(), { "site.ts": playbookText(TWO_FILES) });
    const fleet = await startFleet({
      count: points.length,
      faults: (index) => ({ kind: "dropAfterBytes", bytes: points[index]!, direction }),
    });
    const { summary, events } = await provision(project, fleet, {
      concurrency: points.length,
      returnTimeoutMs: 500,
    });
    expect(events.at(-1)?.type).toBe("run:end");
    const id = ofType(events, "run:build")[0]!.bundle;
    for (const [index, { host, outcome, error }] of summary.hosts.entries()) {
      const where = `${host}, severed after ${points[index]} bytes`;
      expect(["ok", "lost", "unreachable"], `${where}: ${outcome}, ${error?.message}`).toContain(outcome);
      if (outcome !== "ok") expect(error?.message, where).toContain(host);
      for (const name of keptBundles(fleet.hosts[index]!).bundles) {
        const bytes = readFileSync(`${fleet.hosts[index]!.home}/.cache/volley/bundles/${name}`);
        expect(createHash("sha256").update(bytes).digest("hex"), where).toBe(id);
      }
    }
    expect(summary.outcomes.unreachable).toBeGreaterThan(0);
    expect(summary.outcomes.lost).toBeGreaterThan(0);
  },
);

test("severed while sending, the first time only: it is sent again and all is well", async () => {
  const project = makeProject(scratch(), { "site.ts": playbookText(TWO_FILES) });
  const fleet = await startFleet({
    count: 1,
    faults: () => ({ kind: "dropAfterBytes", bytes: 30_000, times: 1 }),
  });
  const ran = await provision(project, fleet);
  expect(ran.summary).toMatchObject({ exitCode: 0, tally: { changed: 2 } });
  expect(ofType(ran.events, "host:lost")).toHaveLength(1);
  expect(keptBundles(fleet.hosts[0]!)).toMatchObject({ bundles: [expect.any(String)], temporary: [] });
});

test("a host severed amid its tasks is lost, and says so", async () => {
  const project = makeProject(scratch(), {
    "site.ts": playbookText(`{ name: "One", hosts: "all", tasks: ({ task, facts }) => {
      task("Before", debug({ msg: "before" }));
      task("Hang", shell("echo waiting; sleep 1000"));
      task("After", debug({ msg: "after" }));
    } }`),
  });
  const fleet = await startFleet({ count: 1 });
  let gone = false;
  const ran = await follow(start(project, fleet, { returnTimeoutMs: 1_000 }), (event) => {
    // For good: also those that would look what became of it.
    gone ||= event.type === "task:output";
    if (gone) fleet.hosts[0]!.dropConnections();
  });
  expect(hostOf(ran, "web01")).toMatchObject({
    outcome: "lost",
    tally: { unchanged: 1, failed: 1, notExecuted: 1 },
    error: { code: "CONNECTION_LOST" },
  });
  expect(ran.summary.exitCode).toBe(4);
});

test.each([true, false])(
  "a bundle that was damaged on the host is sent again, once (compiled code kept: %j)",
  async (isKept) => {
    const project = makeProject(scratch(), { "site.ts": playbookText(TWO_FILES) });
    const fleet = await startFleet({ count: 1 });
    const sent = async (): Promise<number> => {
      const ran = await provision(project, fleet);
      expect(ran.summary).toMatchObject({ exitCode: 0 });
      return hostOf(ran, "web01").uploadedBytes;
    };
    expect(await sent()).toBeGreaterThan(0);
    const cache = join(fleet.hosts[0]!.home, ".cache/volley");
    const [name = ""] = readdirSync(join(cache, "bundles"));
    if (!isKept) rmSync(join(cache, "compiled"), { recursive: true });
    truncateSync(join(cache, "bundles", name), isKept ? 5_000 : 0);
    expect(await sent()).toBeGreaterThan(0);
    expect(await sent()).toBe(0);
  },
);

test.each(["SEGV", "KILL"])(
  "a bundle that SIG%s ends before its first word: the signal is named",
  async (signal) => {
    const project = makeProject(scratch(), { "site.ts": playbookText(TWO_FILES) });
    const fleet = await startFleet({ count: 1 });
    const directory = join(fleet.hosts[0]!.home, ".cache/volley/node/bin");
    mkdirSync(directory, { recursive: true });
    writeFileSync(join(directory, "node"), `#!/bin/sh\nkill -${signal} $$\n`, { mode: 0o755 });
    const ran = await provision(project, fleet, { via: "bundle" });
    expect(hostOf(ran, "web01").error).toMatchObject({
      code: "PROCESS_FAILED",
      message: `web01: the bundle could not be started: SIG${signal} ended it`,
      hint: expect.stringContaining("node --version"),
    });
  },
);
