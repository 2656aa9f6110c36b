import { spawnSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Queue, type Job as QueueJob, Worker as QueueWorker } from "bullmq";
import type { Redis } from "ioredis";
import { afterAll, beforeAll, describe, expect, it, test, vi } from "vitest";
import type { Event } from "../../src/core/events.ts";
import type { EmbeddedFleet } from "../../src/embedded/options.ts";
import { openBundleStore } from "../../src/queue/bundles/store.ts";
import { lookAtServer, openQueueServer, type QueueConnections } from "../../src/queue/connect.ts";
import { createSeal } from "../../src/queue/seal.ts";
import { announce, listWorkers } from "../../src/queue/status/registry.ts";
import type { WorkerStatus } from "../../src/queue/status/worker-status.ts";
import { faultOfLine } from "../docs/commands.ts";
import { fleetStarter, follow, type Ran, start } from "../e2e/lib/drive.ts";
import { makeProject, play, playbookText, scratchDirectory, waitFor } from "../e2e/lib/project.ts";
import { PATIENT, until } from "../lib/patience.ts";
import { queueStarter, reachTo, type TestQueue, type TestWorker } from "./lib/queue.ts";
import { describeQueue, type RedisServer, startRedis } from "./lib/redis.ts";

// The lines and files that docs/queue.md and contrib/ give to operators.

const STATUS: WorkerStatus = {
  ...{ id: "w1", name: "one", labels: ["default"], version: "0", pid: 1, machine: "m", startedAt: 0, at: 0 },
  ...{ concurrency: 1, offered: 0, inFlight: 0, waiting: 0, done: 0, failed: 0, handedBack: 0, refused: 0 },
  ...{ ratePerMinute: 0, rssBytes: 0, isStopping: false, isQueueAway: false, runs: [] },
};

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");

const ACL = /^```acl\n(.*?)^```/ms.exec(read("docs/queue.md"))![1]!;
const usersOf = (acl: string): string =>
  acl.replace("CONTROLLER-PASSWORD", "one").replace("WORKER-PASSWORD", "other");
const never = new AbortController().signal;

/** The options that BullMQ's queues and workers have in common. */
interface Closable {
  on(event: "error", tell: (error: Error) => void): unknown;
  close(): Promise<unknown>;
}

describeQueue("the ACL lines of docs/queue.md", () => {
  let server: RedisServer;
  let controller: QueueConnections;
  let worker: QueueConnections;
  const closing: (() => Promise<unknown>)[] = [];

  const openAs = async (user: string, password: string): Promise<QueueConnections> => {
    const connections = await openQueueServer(
      { url: server.url.replace("//", `//${user}@`), password },
      never,
    );
    closing.unshift(() => connections.close());
    return connections;
  };
  /** A queue or a worker, with the faults that it tells of. */
  const watched = <T extends Closable>(one: T): T => {
    one.on("error", (error) => faults.push(error.message));
    closing.unshift(() => one.close());
    return one;
  };
  const faults: string[] = [];
  const admin = (...args: string[]): Promise<string> =>
    server.cli("--user", "test-admin", "--pass", "test", ...args);

  beforeAll(async () => {
    server = await startRedis({ users: `${usersOf(ACL)}user test-admin on >test ~* &* +@all\n` });
    controller = await openAs("volley-controller", "one");
    worker = await openAs("volley-worker", "other");
  });
  afterAll(async () => {
    for (const close of closing) await close();
    await server.stop();
  });

  it("let BullMQ bring jobs to workers, from a worker that is gone, too", async () => {
    const options = { prefix: "volley", skipVersionCheck: true };
    const queue = watched(
      new Queue("hosts.default", { connection: controller.open("controller"), ...options }),
    );
    await queue.addBulk(
      ["a", "b", "c"].map((id) => ({
        name: "host",
        data: { id },
        opts: { jobId: id, removeOnComplete: true, removeOnFail: true },
      })),
    );
    await queue.remove("c");
    expect(await queue.getJobCounts("waiting", "active")).toEqual({ waiting: 2, active: 0 });

    const [gone, other] = ["gone", "other"].map((name) =>
      watched(
        new QueueWorker("hosts.default", null, {
          connection: worker.open(name),
          ...options,
          name,
          // The lock of the worker that is gone expires soon.
          lockDuration: name === "gone" ? 500 : 60_000,
          stalledInterval: 200,
          drainDelay: 1,
          maxStalledCount: 1_000,
        }),
      ),
    ) as [QueueWorker, QueueWorker];
    const lost = (await gone.getNextJob("gone:1")) as QueueJob;
    expect(lost.id).toBe("a");
    const second = (await other.getNextJob("other:1")) as QueueJob;
    expect(second.id).toBe("b");
    await other.extendJobLocks(["b"], ["other:1"], 60_000);
    await second.moveToWait("other:1");
    // Nothing renews the lock of `a`.
    void other.startStalledCheckTimer();
    const taken = new Set<string>();
    while (taken.size < 2) {
      const job = (await other.getNextJob("other:2")) as QueueJob | undefined;
      if (job === undefined) continue;
      taken.add(job.id!);
      await job.moveToCompleted(null, "other:2", false);
    }
    expect([...taken].sort()).toEqual(["a", "b"]);
    expect(await queue.getJobCounts("waiting", "active", "completed")).toEqual({
      waiting: 0,
      active: 0,
      completed: 0,
    });
    expect(faults).toEqual([]);
  });

  it("let controller and worker exchange messages", async () => {
    const [one, other] = [controller.open("controller"), worker.open("worker")];
    const run = (name: string): string => `volley:run:20261201:${name}`;
    await one.multi().hset(run("control"), "owner", "x").set(run("record"), "r").exec();
    await one.xadd(run("down"), "*", "m", "grant");
    expect(await other.xread("COUNT", 1, "BLOCK", 1, "STREAMS", run("down"), "0")).toHaveLength(1);
    expect(await other.xrevrange(run("down"), "+", "-", "COUNT", 1)).toHaveLength(1);
    expect(await other.get(run("record"))).toBe("r");
    expect(await other.hmget(run("control"), "owner", "ended")).toEqual(["x", null]);
    await other.xadd(run("up"), "*", "m", "event");
    expect(await one.xread("COUNT", 1, "BLOCK", 1, "STREAMS", run("up"), "0")).toHaveLength(1);
    expect(await one.xtrim(run("up"), "MINID", "9999999999999")).toBeGreaterThan(0);
  });

  it("let workers have bundles, and tell of themselves", async () => {
    const keys = [{ secret: randomBytes(32) }];
    const [one, other] = [controller.open("controller"), worker.open("worker")];
    const bundle = randomBytes(1_000);
    const id = createHash("sha256").update(bundle).digest("hex");
    await openBundleStore(undefined, { redis: one, prefix: "volley", keys }).put(id, bundle);
    const store = openBundleStore(undefined, { redis: other, prefix: "volley", keys });
    expect((await store.get(id)).equals(bundle)).toBe(true);

    const seal = createSeal(keys);
    const access = { prefix: "volley", seal };
    const refused: unknown[] = [];
    const status = (): WorkerStatus => ({ ...STATUS, at: Date.now() });
    const announced = announce({ ...access, redis: other, status, onRefused: (why) => refused.push(why) });
    await vi.waitFor(
      async () => expect((await listWorkers({ ...access, redis: one })).workers).toHaveLength(1),
      PATIENT,
    );
    await announced.close();
    expect((await listWorkers({ ...access, redis: one })).workers).toEqual([]);
    expect(refused).toEqual([]);
  });

  it("give no warning about a server with the settings that the document names", async () => {
    expect(await lookAtServer(worker.open("look"))).toEqual([]);
  });

  test.each([
    ["write for the controller", ["xadd", "volley:run:x:down", "*", "m", "forged"]],
    ["write the log", ["xadd", "volley:run:x:log", "*", "m", "forged"]],
    ["replace a run", ["set", "volley:run:x:record", "forged"]],
    ["read other workers' messages", ["xrange", "volley:run:x:up", "-", "+"]],
    ["replace a bundle", ["set", "volley:bundle:x", "forged"]],
    ["use other keys", ["get", "other"]],
    ["list keys", ["keys", "*"]],
    ["list keys slowly", ["scan", "0"]],
    ["empty the server", ["flushall"]],
    ["read the settings", ["config", "get", "*"]],
    ["see others that are connected", ["client", "list"]],
    ["give itself rights", ["acl", "setuser", "volley-worker", "+@all"]],
    ["listen to channels", ["subscribe", "other"]],
  ])("let no worker %s", async (_what, [command, ...args]) => {
    const redis: Redis = worker.open("worker");
    await expect(redis.call(command!, ...args)).rejects.toThrow("NOPERM");
    redis.disconnect();
  });

  it("forbid nothing that was tried", async () => {
    const log = await admin("acl", "log");
    // The tests above are refused on purpose; a script, which nothing here tries in vain, is told of as `lua`.
    expect(log).not.toMatch(/\nlua\n/);
    expect(log).not.toContain("volley-controller");
  });
});

describeQueue("a whole run", () => {
  const scratch = scratchDirectory();
  const startFleet = fleetStarter();
  const startQueue = queueStarter();

  /** Carry a playbook out with one worker, both under the ACL lines. */
  const carryOut = async (
    plays: readonly string[],
    on?: (event: Event, fleet: EmbeddedFleet, queue: TestQueue, worker: TestWorker) => void,
  ): Promise<Ran & { readonly queue: TestQueue; readonly worker: TestWorker }> => {
    const project = makeProject(scratch(), { "site.ts": playbookText(...plays) });
    const fleet = await startFleet({ count: 3 });
    // The user `default` is the test's own.
    const queue = await startQueue({ users: usersOf(ACL.replace(/^user default.*\n/, "")) });
    const opened: QueueConnections[] = [];
    const openAs = async (user: string, password: string): Promise<QueueConnections> => {
      const url = queue.server.url.replace("//", `//${user}@`);
      const connections = await openQueueServer({ url, password }, never);
      opened.push(connections);
      return connections;
    };
    const reach = reachTo(fleet);
    const worker = await queue.work({ reach, connections: await openAs("volley-worker", "other") });
    const hosts = await queue.open({ connections: await openAs("volley-controller", "one") });
    const ran = await follow(start(project, fleet, {}, hosts), (event) => on?.(event, fleet, queue, worker));
    await worker.stop();
    await Promise.all(opened.map((connections) => connections.close()));
    return { ...ran, queue, worker };
  };

  it("works under the ACL lines of docs/queue.md", async () => {
    const { summary, queue, worker } = await carryOut([
      `{ hosts: "all", tasks: ({ task }) => { task("once", command({ argv: ["echo", "a"] }), { runOnce: true }); } }`,
      `{ hosts: "all", serial: 2, tasks: ({ task, facts }) => {
        task("each", copy({ dest: \`\${facts.env.HOME}/b.txt\`, content: "b" })); } }`,
    ]);
    expect(summary).toMatchObject({ exitCode: 0, tally: { changed: 4 } });
    expect(worker.said).toEqual([]);
    expect(await queue.server.cli("acl", "log")).toBe("");
  });

  it("goes on once the server lets the worker read again", async () => {
    let restoring: Promise<unknown> | undefined;
    const forbid = async ({ hosts }: EmbeddedFleet, { server }: TestQueue, { said }: TestWorker) => {
      await server.cli("acl", "setuser", "volley-worker", "-xread");
      await server.cli("client", "kill", "user", "volley-worker");
      await until(() => /cannot be read: .*xread/i.test(said.join("\n")));
      for (const { home } of hosts) writeFileSync(join(home, "go"), "");
      await server.cli("acl", "setuser", "volley-worker", "+xread");
    };
    const { summary, worker } = await carryOut(
      [
        play("tags: []", `task("Wait", ${waitFor("go")});`),
        // Hosts begin it only when the controller says so.
        play("tags: []", `task("Say", debug({ msg: "hi" }));`),
      ],
      (event, ...parts) => {
        if (event.type === "task:output") restoring ??= forbid(...parts);
      },
    );
    await restoring;
    expect(summary).toMatchObject({ exitCode: 0, outcomes: { ok: 3 } });
    expect(worker.said.filter((line) => line.includes("cannot be read"))).toHaveLength(1);
  });
});

describe("contrib/volley-worker.service", () => {
  const unit = read("contrib/volley-worker.service");

  it("is one that systemd takes", () => {
    const path = new URL("../../contrib/volley-worker.service", import.meta.url).pathname;
    const verified = spawnSync("systemd-analyze", ["verify", path], { encoding: "utf8" });
    // Machines without systemd have no such program.
    if (verified.error === undefined) expect(verified.stderr).not.toContain("volley-worker");
  });

  it("starts a command that there is", async () => {
    const line = /^ExecStart=\/usr\/bin\/env (.*)$/m.exec(unit)![1]!;
    const set = new Map([...unit.matchAll(/\b(VOLLEY_\w+)=(\S+)/g)].map(([, name, value]) => [name, value]));
    const command = line.replace(/\$\{(VOLLEY_\w+)\}/g, (_all, name: string) => set.get(name)!);
    expect(command).toContain("--labels default --concurrency 50");
    expect(await faultOfLine(command)).toBeUndefined();
  });
});
