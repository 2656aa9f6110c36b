import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach } from "vitest";
import type { HostQueue } from "../../../src/controller/queued/host-queue.ts";
import type { EmbeddedFleet } from "../../../src/embedded/options.ts";
import { createWorkerBundles } from "../../../src/queue/bundles/worker-bundles.ts";
import { openQueueServer, type QueueConnections } from "../../../src/queue/connect.ts";
import { createHostQueue, type HostQueueOptions } from "../../../src/queue/controller/host-queue.ts";
import { makeQueueKey, readQueueKeys } from "../../../src/queue/keys.ts";
import { createSeal, type QueueKey, type Seal } from "../../../src/queue/seal.ts";
import { createMeter, type Meter } from "../../../src/queue/status/meter.ts";
import { Worker, type WorkerOptions } from "../../../src/queue/worker/worker.ts";
import { createSecretStore } from "../../../src/vars/secrets/store.ts";
import { type RedisServer, type RedisServerOptions, startRedis } from "./redis.ts";

/** A queue of a test's own, with its server. */
export interface TestQueue {
  readonly server: RedisServer;
  readonly keys: readonly QueueKey[];
  /** The file of the same keys. */
  readonly keyFile: string;
  readonly seal: Seal;
  /** Connections for the test itself. */
  readonly connections: QueueConnections;
  /** Open the queue as a controller does. */
  open(options?: Partial<HostQueueOptions>): Promise<HostQueue>;
  /** Start a worker in this process. */
  work(options?: Partial<WorkerOptions>): Promise<TestWorker>;
}

/** A worker in this process. */
export interface TestWorker {
  readonly worker: Worker;
  readonly meter: Meter;
  /** The lines that the worker has told people. */
  readonly said: readonly string[];
  stop(): Promise<void>;
}

/** Return the options by which a worker reaches a fleet. */
export function reachTo({ knownHostsPath }: Pick<EmbeddedFleet, "knownHostsPath">): WorkerOptions["reach"] {
  // Whatever the developer has fetched.
  return { knownHostsFiles: [knownHostsPath], runtime: "never" };
}

/** Return an inventory in YAML with vars, as lines, of all hosts. */
export function withVars(inventory: string, vars: readonly string[]): string {
  return inventory.replace(/^all:\n/, `all:\n  vars:\n${vars.map((line) => `    ${line}\n`).join("")}`);
}

/** Starts queues whose workers and servers are stopped after the test; `after`: a hook of vitest for another time. */
export function queueStarter(
  after: (end: () => Promise<void>) => void = afterEach,
): (options?: RedisServerOptions) => Promise<TestQueue> {
  const ends: (() => Promise<unknown>)[] = [];
  after(async () => {
    for (const end of ends.splice(0).reverse()) await end();
  });
  return async (options) => {
    const server = await startRedis(options);
    ends.push(() => server.stop());
    const directory = mkdtempSync(join(tmpdir(), "volley-queue-"));
    ends.push(async () => rmSync(directory, { recursive: true, force: true }));
    const keyFile = join(directory, "queue.key");
    writeFileSync(keyFile, makeQueueKey(), { mode: 0o600 });
    const keys = await readQueueKeys({ file: keyFile });
    const seal = createSeal(keys);
    const connect = async (): Promise<QueueConnections> => {
      const connections = await openQueueServer({ url: server.url }, new AbortController().signal);
      ends.push(() => connections.close());
      return connections;
    };
    return {
      server,
      ...{ keys, keyFile, seal },
      connections: await connect(),
      open: async (more) => createHostQueue({ connections: await connect(), seal, keys, ...more }),
      work: async (more = {}) => {
        const connections = await connect();
        const { name = "w1", labels = ["default"], concurrency = 20 } = more;
        const said: string[] = [];
        const id = randomBytes(8).toString("hex");
        const meter = createMeter({ ...{ id, name, labels, concurrency }, state: () => worker.state });
        const worker: Worker = new Worker({
          ...{ connections, seal, name, id, labels, concurrency, meter },
          leaseMs: 3_000,
          reach: {},
          secrets: createSecretStore({ cwd: directory }),
          bundle: createWorkerBundles({ prefix: connections.prefix, keys }),
          say: (text) => said.push(text),
          ...more,
        });
        let stopped: Promise<void> | undefined;
        const stop = (): Promise<void> => {
          stopped ??= worker.stop();
          return stopped;
        };
        ends.push(stop);
        return { worker, meter, said, stop };
      },
    };
  };
}
