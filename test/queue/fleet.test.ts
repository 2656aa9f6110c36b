import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Queue } from "bullmq";
import type { Redis } from "ioredis";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { fleetRows } from "../../src/cli/queue/fleet-rows.ts";
import { openQueueServer, type QueueConnections } from "../../src/queue/connect.ts";
import { makeQueueKey, readQueueKeys } from "../../src/queue/keys.ts";
import { queueName, runKeys, runsKey } from "../../src/queue/names.ts";
import { createSeal, type Seal } from "../../src/queue/seal.ts";
import { type FleetView, watchFleet } from "../../src/queue/status/fleet.ts";
import {
  type Announcement,
  type AnnounceOptions,
  announce,
  listWorkers,
} from "../../src/queue/status/registry.ts";
import type { WorkerStatus } from "../../src/queue/status/worker-status.ts";
import { textWidth } from "../../src/reporter/rows/layout.ts";
import { rowText } from "../../src/reporter/rows/row.ts";
import { builtCli, type CliEnd, volley } from "../e2e/lib/cli.ts";
import { volleyHere } from "../e2e/lib/here.ts";
import { scratchDirectory } from "../e2e/lib/project.ts";
import { openTerminal, tmuxAvailable } from "../e2e/lib/tmux.ts";
import { PATIENT, until } from "../lib/patience.ts";
import { describeQueue, type RedisServer, startRedis } from "./lib/redis.ts";

/** An account of a worker that has done nothing yet. */
function statusOf(given: Partial<WorkerStatus>): WorkerStatus {
  return {
    ...{ id: "w1", name: "alpha", labels: ["default"], version: "1.0.0", pid: 1, machine: "build-01" },
    ...{ startedAt: Date.now() - 7_384_000, at: Date.now(), concurrency: 50, rssBytes: 88_000_000 },
    ...{
      offered: 0,
      inFlight: 0,
      waiting: 0,
      done: 0,
      failed: 0,
      handedBack: 0,
      refused: 0,
      ratePerMinute: 0,
    },
    ...{ isStopping: false, isQueueAway: false, runs: [] },
    ...given,
  };
}

const scratch = scratchDirectory();
const PREFIX = "volley";

describeQueue("workers of a queue", () => {
  let server: RedisServer;
  let connections: QueueConnections;
  let redis: Redis;
  let seal: Seal;
  let keyFile: string;
  const announced: Announcement[] = [];

  beforeAll(async () => {
    // Building would hold this process, and its workers, up for longer than the server remembers them.
    await builtCli();
    server = await startRedis();
    keyFile = join(scratch(), "queue.key");
    writeFileSync(keyFile, `${makeQueueKey()}\n`, { mode: 0o600 });
    seal = createSeal(await readQueueKeys({ file: keyFile }));
    connections = await openQueueServer({ url: server.url }, new AbortController().signal);
    redis = connections.open("test");
  });
  beforeEach(() => redis.flushall());
  afterEach(async () => {
    for (const each of announced.splice(0)) await each.close();
  });
  afterAll(async () => {
    await connections?.close();
    await server?.stop();
  });

  /** Tries until it holds: where this process was held up, the server has forgotten its workers until they write again. */
  const eventually = (holds: () => Promise<void>): Promise<void> => vi.waitFor(holds, PATIENT);
  const announceWorker = (
    given: Partial<WorkerStatus> | (() => WorkerStatus),
    options: Partial<AnnounceOptions> = {},
  ): Announcement => {
    const status = typeof given === "function" ? given : () => statusOf(given);
    const announcement = announce({ redis, prefix: PREFIX, seal, status, ...options });
    announced.push(announcement);
    return announcement;
  };
  const list = (): ReturnType<typeof listWorkers> => listWorkers({ redis, prefix: PREFIX, seal });

  describe("the registry", () => {
    it("has a worker from its beginning to its end", async () => {
      expect(await list()).toEqual({ workers: [], refused: 0 });
      const first = announceWorker({ id: "w10", name: "worker10", labels: ["eu", "dmz"], inFlight: 3 });
      announceWorker({ id: "w9", name: "worker9" });
      await eventually(async () => expect((await list()).workers).toHaveLength(2));
      await eventually(async () =>
        expect(await list()).toMatchObject({
          workers: [{ name: "worker9" }, { name: "worker10", labels: ["eu", "dmz"], inFlight: 3 }],
          refused: 0,
        }),
      );
      await first.close();
      await eventually(async () =>
        expect(await list()).toMatchObject({ workers: [{ name: "worker9" }], refused: 0 }),
      );
      expect(await redis.keys("*w10*")).toEqual([]);
    });

    it("forgets a worker that no longer writes, and shows nothing to the server", async () => {
      await redis.zadd(`${PREFIX}:workers`, 1, "killed");
      announceWorker({ name: "secretly-named" });
      await eventually(async () => expect((await list()).workers).toHaveLength(1));
      await eventually(async () => {
        expect(await redis.zrange(`${PREFIX}:workers`, 0, -1)).toEqual(["w1"]);
        const leftMs = await redis.pttl(`${PREFIX}:worker:w1`);
        expect(leftMs).toBeGreaterThan(0);
        expect(leftMs).toBeLessThanOrEqual(10_000);
        expect(`${await redis.getBuffer(`${PREFIX}:worker:w1`)}`).not.toContain("secretly");
      });
    });

    it("renews the account", async () => {
      let done = 0;
      announceWorker(() => statusOf({ done: ++done }), { everyMs: 5 });
      await eventually(async () => expect((await list()).workers[0]?.done).toBeGreaterThan(3));
    });

    it("refuses what no worker with the key has written, or not lately", async () => {
      const write = async (id: string, bytes: Uint8Array): Promise<void> => {
        await redis.set(`${PREFIX}:worker:${id}`, Buffer.from(bytes));
        await redis.zadd(`${PREFIX}:workers`, 1, id);
      };
      const sealed = (by: Seal, id: string, status: WorkerStatus): Buffer =>
        by.seal(`worker ${id}`, Buffer.from(JSON.stringify(status)));
      const other = createSeal([{ secret: Buffer.alloc(32, 7) }]);
      await write("w1", sealed(seal, "w1", statusOf({})));
      await write("forged", Buffer.from(JSON.stringify(statusOf({ id: "forged" }))));
      await write("other", sealed(other, "other", statusOf({ id: "other" })));
      await write("copied", sealed(seal, "w1", statusOf({})));
      await write("replayed", sealed(seal, "replayed", statusOf({ at: Date.now() - 3_600_000 })));
      await write("ahead", sealed(seal, "ahead", statusOf({ at: Date.now() + 3_600_000 })));
      await redis.zadd(`${PREFIX}:workers`, 1, "list");
      await redis.lpush(`${PREFIX}:worker:list`, "x");
      expect(await list()).toMatchObject({ workers: [{ id: "w1" }], refused: 5 });
    });

    it("tells once why the server refuses accounts, and goes on", async () => {
      await redis.set(`${PREFIX}:workers`, "of another type");
      const reasons: unknown[] = [];
      announceWorker({}, { everyMs: 5, onRefused: (thrown) => reasons.push(thrown) });
      await until(() => reasons.length > 0);
      await redis.del(`${PREFIX}:workers`);
      await eventually(async () => expect((await list()).workers).toHaveLength(1));
      expect(reasons).toEqual([expect.objectContaining({ message: expect.stringContaining("WRONGTYPE") })]);
    });

    it("waits for a server that is away, and then writes the account of that time", async () => {
      let done = 0;
      const worker = announceWorker(() => statusOf({ done }), { everyMs: 5 });
      await eventually(async () => expect((await list()).workers).toHaveLength(1));
      await server.kill();
      worker.renew();
      done = 7;
      await server.restart();
      await eventually(async () => expect((await list()).workers[0]?.done).toBe(7));
      await server.kill();
      // Ends though nothing can be removed.
      await worker.close();
      await server.restart();
    });
  });

  const nowSeconds = (): string => String(Math.floor(Date.now() / 1_000));

  /** Three workers, jobs of three labels, and two runs that go on. */
  const fillQueue = async (): Promise<void> => {
    announceWorker({
      ...{ id: "w1", name: "alpha", labels: ["default", "eu"], inFlight: 12, done: 1_034, failed: 2 },
      ...{
        ratePerMinute: 118,
        runs: [
          { run: "r-old", hosts: 4 },
          { run: "r-new", hosts: 8 },
        ],
      },
    });
    announceWorker({ id: "w2", name: "beta", inFlight: 5, runs: [{ run: "r-new", hosts: 5 }] });
    announceWorker({ id: "w3", name: "gamma", labels: ["dmz"], isStopping: true });
    for (const [label, jobs, delay] of [
      ["default", 3, 0],
      ["dmz", 2, 60_000],
      ["apac", 4, 0],
    ] as const) {
      const queue = new Queue(queueName(label), { connection: redis, prefix: PREFIX });
      await queue.addBulk(
        Array.from({ length: jobs }, (_, at) => ({
          name: "host",
          data: {},
          opts: { delay, priority: at % 2 },
        })),
      );
      await queue.close();
    }
    for (const [run, startedAt, control] of [
      ["r-old", Date.now() - 600_000, { owner: "c1", beat: "1000000" }],
      ["r-new", Date.now() - 60_000, { owner: "c2", beat: nowSeconds() }],
      ["r-ended", Date.now() - 30_000, { owner: "c3", ended: "1" }],
      ["r-forgotten", Date.now() - 20_000, undefined],
    ] as const) {
      await redis.zadd(runsKey(PREFIX), startedAt, run);
      if (control !== undefined) await redis.hset(runKeys(PREFIX, run).control, control);
    }
    // The sign of life of the controller, however long the test takes.
    const { control } = runKeys(PREFIX, "r-new");
    const beating = setInterval(() => void redis.hset(control, "beat", nowSeconds()).catch(() => {}), 1_000);
    onTestFinished(() => clearInterval(beating));
    await eventually(async () => expect((await list()).workers).toHaveLength(3));
  };

  it("are seen with their queues and runs, and nothing is written", async () => {
    await fillQueue();
    const own = await openQueueServer({ url: server.url }, new AbortController().signal);
    const keysBefore = (await redis.keys("*")).sort();
    try {
      const look = watchFleet(own, seal);
      let seen: FleetView | undefined;
      await eventually(async () => {
        seen = await look();
        expect(seen.workers).toHaveLength(3);
      });
      expect(seen).toMatchObject({
        workers: [{ name: "alpha" }, { name: "beta" }, { name: "gamma" }],
        queues: [
          { label: "apac", waiting: 4, active: 0, delayed: 0, failed: 0, workers: 0 },
          { label: "default", waiting: 3, active: 0, delayed: 0, failed: 0, workers: 2 },
          { label: "dmz", waiting: 0, active: 0, delayed: 2, failed: 0, workers: 0 },
          { label: "eu", waiting: 0, active: 0, delayed: 0, failed: 0, workers: 1 },
        ],
        runs: [
          { run: "r-new", hasController: true, inFlight: 13, workers: 2 },
          { run: "r-old", hasController: false, inFlight: 4, workers: 1 },
        ],
        refused: 0,
      });
      expect((await look()).queues).toEqual(seen!.queues);
    } finally {
      await own.close();
    }
    expect((await redis.keys("*")).sort()).toEqual(keysBefore);
  });

  describe("volley fleet", () => {
    const queue = (): readonly string[] => ["--queue", server.url, "--queue-key", keyFile];

    /** Carry out a command until its output has a text. */
    const shown = async (text: string | RegExp, args: readonly string[]): Promise<CliEnd> => {
      let end: CliEnd | undefined;
      await eventually(async () => {
        end = await volleyHere(args, { cwd: scratch() });
        expect(`${end.stdout}${end.stderr}`).toMatch(text);
      });
      return end!;
    };

    it("prints workers, queues and runs", async () => {
      await fillQueue();
      const { code, stdout, stderr } = await shown("3 workers", ["fleet", ...queue()]);
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      expect(stdout).toMatch(/^WORKER +MACHINE +LABELS +HOSTS +DONE +FAILED +\/MIN +MEMORY +UP$/m);
      expect(stdout).toMatch(/^alpha +build-01 +default,eu +12\/50 +1034 +2 +118 +84 MB +2:[\d:]+$/m);
      expect(stdout).toMatch(/^gamma +build-01 +dmz .* stopping$/m);
      expect(stdout).toMatch(/^3 workers: 17 of 150 hosts in flight, 118 done in the last minute$/m);
      expect(stdout).toMatch(/^default +3 +0 +0 +0 +2$/m);
      expect(stdout).toMatch(/^r-new +[\d-]+ [\d:]+ +at work +13 +2 +[\d:]+$/m);
      expect(stdout).toMatch(/^r-old +[\d-]+ [\d:]+ +gone +4 +1 +[\d:]+$/m);
      expect(stdout).not.toMatch(/r-ended|r-forgotten/);
      expect(stdout).toContain("warning: 4 hosts of label apac: no worker takes them");
      expect(stdout).toContain("warning: 2 hosts of label dmz: no worker takes them");
      expect(stdout).not.toContain("label default: no worker");
    });

    it("prints an object with --json", async () => {
      await fillQueue();
      const { code, stdout } = await shown(/alpha.*beta.*gamma/s, ["fleet", "--json", ...queue()]);
      expect(code).toBe(0);
      expect(JSON.parse(stdout)).toMatchObject({
        queue: server.url,
        at: expect.any(Number),
        workers: [{ name: "alpha", done: 1_034 }, { name: "beta" }, { name: "gamma" }],
        queues: [{ label: "apac", waiting: 4 }, {}, {}, {}],
        runs: [{ run: "r-new" }, { run: "r-old" }],
        refused: 0,
        warnings: [expect.stringContaining("apac"), expect.stringContaining("dmz")],
      });
    });

    it("says that there is no worker, no queue, no key, or the wrong one", async () => {
      const told = async (...args: readonly string[]): Promise<string> => {
        const { code, stderr } = await volleyHere(["fleet", ...args], { cwd: scratch() });
        expect(code).toBe(1);
        expect(stderr.trimEnd().split("\n")).toHaveLength(1);
        return stderr;
      };
      expect(await volleyHere(["fleet", ...queue()], { cwd: scratch() })).toMatchObject({
        code: 0,
        stdout: "No worker is at work for this queue; volley worker starts one.\n",
      });
      announceWorker({});
      const wrong = join(scratch(), "wrong.key");
      writeFileSync(wrong, `${makeQueueKey()}\n`, { mode: 0o600 });
      const refusal = "no worker's status could be opened: is it the same key?";
      await shown(refusal, ["fleet", "--queue", server.url, "--queue-key", wrong]);
      expect(await told("--queue", server.url, "--queue-key", wrong)).toContain(refusal);
      expect(await told()).toContain("which queue?");
      expect(await told("--queue", server.url, "--queue-key", join(scratch(), "none"))).toContain(
        "no such file",
      );
      expect(await told("--queue", "redis://127.0.0.1:1", "--queue-key", keyFile)).toContain(
        "nothing listens there",
      );
    });

    it("takes the queue from the environment", async () => {
      const env = { VOLLEY_QUEUE: server.url, VOLLEY_QUEUE_KEY_FILE: keyFile };
      expect(await volleyHere(["fleet"], { cwd: scratch(), env })).toMatchObject({ code: 0 });
    });

    it("prints look after look with --watch, and ends with code 0 on Ctrl-C", async () => {
      announceWorker({});
      let output = "";
      const { code, stdout, stderr } = await volley(["fleet", "--watch", "--json", ...queue()], {
        cwd: scratch(),
        on: (child) => {
          child.stdout?.on("data", (text: string) => {
            output += text;
            if (output.split("\n").length > 2) child.kill("SIGINT");
          });
        },
      });
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      const lines = stdout.trimEnd().split("\n");
      expect(lines.length).toBeGreaterThanOrEqual(2);
      for (const line of lines) expect(JSON.parse(line)).toMatchObject({ queue: server.url });
    });

    it.skipIf(!tmuxAvailable())("draws a screen with --watch, also while the server is away", async () => {
      announceWorker({ name: "first" });
      const pidFile = join(scratch(), "pid");
      const start = ["sh", "-c", `echo $$ > ${pidFile}; exec "$@"`, "sh"];
      const command = [...start, process.execPath, await builtCli(), "fleet", "--watch", ...queue()];
      const terminal = openTerminal(command, { columns: 80, rows: 20, cwd: scratch() });
      try {
        await terminal.see(/first +build-01/);
        announceWorker({ id: "w2", name: "second" });
        await terminal.see(/second +build-01/);
        terminal.resize(80, 6);
        await terminal.see(/…$/m);
        terminal.resize(80, 20);
        await terminal.see(/second +build-01/);
        const isAway = (screen: string): boolean => screen.includes("The queue's server does not answer");
        await server.kill();
        await terminal.see((screen) => isAway(screen) && /second +build-01/.test(screen));
        await server.restart();
        await terminal.see((screen) => !isAway(screen));
        await server.kill();
        await terminal.see(isAway);
        // The key would end the shell around the command as well.
        process.kill(Number(readFileSync(pidFile, "utf8")), "SIGINT");
        const end = await terminal.see("exit 0");
        expect(end).not.toContain("WORKER");
      } finally {
        await terminal.close();
        await server.restart();
      }
    });
  });
});

describe("the tables of a fleet", () => {
  const view: FleetView = {
    workers: [
      statusOf({
        ...{
          name: "worker-of-the-second-data-centre",
          machine: "build-01.internal.example",
          labels: ["eu", "dmz"],
        },
        ...{ inFlight: 1_000, concurrency: 1_000, done: 1_234_567, failed: 4_321, ratePerMinute: 12_345 },
      }),
      statusOf({ name: "\u001b[31mred\u202e", labels: ["東京"], isStopping: true }),
    ],
    queues: [
      {
        label: "a-label-with-a-very-long-name".repeat(3),
        waiting: 1,
        active: 0,
        delayed: 0,
        failed: 0,
        workers: 0,
      },
    ],
    runs: [
      {
        run: "2026-12-01-long-run-name-of-somebody".repeat(2),
        startedAt: 0,
        hasController: false,
        inFlight: 3,
        workers: 1,
      },
    ],
    refused: 2,
  };

  it.each([40, 60, 80, 200, Number.POSITIVE_INFINITY])("fit into %d columns", (columns) => {
    const rows = fleetRows(view, { columns, ellipsis: "…", nowMs: Date.now() }).map(rowText);
    for (const row of rows) expect(textWidth(row), row).toBeLessThanOrEqual(columns);
    for (const unsafe of ["\u001b", "\u202e"]) expect(rows.join("\n")).not.toContain(unsafe);
    if (columns >= 80) {
      // Numbers are whole.
      for (const text of ["1000/1000", "1234567", "4321", "12345", "stopping"])
        expect(rows.join("\n")).toContain(text);
    }
  });

  it("warns of what was refused", () => {
    const rows = fleetRows(view, { columns: 200, ellipsis: "…", nowMs: Date.now() }).map(rowText);
    expect(rows).toContainEqual(expect.stringMatching(/^warning: the status of 2 workers was refused/));
  });
});
