import { InvalidArgumentError } from "commander";
import type { HostQueue } from "../../controller/queued/host-queue.ts";
import { VolleyError } from "../../core/errors.ts";
import { seconds } from "../options.ts";
import { type OpenQueue, openQueue, type QueueFlags } from "./options.ts";

/** Flags of commands that are the controller of runs in a queue. */
export interface RunQueueFlags extends QueueFlags {
  readonly bundleStore?: string;
  readonly workerTimeout?: number;
  readonly queueTimeout?: number;
}

/** A queue for runs, which the caller closes. */
export interface RunQueue {
  readonly queue: HostQueue;
  close(): Promise<void>;
}

/** Seconds: a worker gives a sign of life each second, and one that is late is not gone. */
const SHORTEST_WORKER_TIMEOUT = 3;

/** Add the options of a controller's patience with workers and queue. */
export function addPatienceOptions(
  add: (flags: string, text: string, parse: typeof seconds) => unknown,
): void {
  add(
    "--worker-timeout <seconds>",
    `silence after which another worker gets a host: ${SHORTEST_WORKER_TIMEOUT} or more (default: 15)`,
    workerTimeout,
  );
  add("--queue-timeout <seconds>", "time that the queue may be away (default: 600)", seconds);
}

/** Refuse options of a queue where no queue is named. Fails with `USAGE`. */
export function refuseWithoutQueue(flags: RunQueueFlags & { readonly watch?: boolean }): void {
  const { queueKey, queueCa, queueCert, queueCertKey, bundleStore, workerTimeout, queueTimeout } = flags;
  const given = {
    ...{ "--queue-key": queueKey, "--queue-ca": queueCa, "--queue-cert": queueCert },
    ...{ "--queue-cert-key": queueCertKey, "--bundle-store": bundleStore },
    ...{ "--worker-timeout": workerTimeout, "--queue-timeout": queueTimeout, "--watch": flags.watch },
  };
  const [name] = Object.entries(given).find(([, value]) => value !== undefined) ?? [];
  if (name !== undefined)
    throw new VolleyError("USAGE", `${name} is for runs by a queue, and no queue is named`, {
      hint: "add --queue redis://HOST",
    });
}

function workerTimeout(text: string): number {
  const value = seconds(text);
  if (value >= SHORTEST_WORKER_TIMEOUT) return value;
  throw new InvalidArgumentError(
    `It must be ${SHORTEST_WORKER_TIMEOUT} at least: workers give a sign of life each second.`,
  );
}

/** Connect to the queue that the flags name; undefined without one. Fails with `USAGE` and `QUEUE_FAILED`. */
export async function openRunQueue(flags: RunQueueFlags): Promise<RunQueue | undefined> {
  if (flags.queue === undefined) {
    refuseWithoutQueue(flags);
    return undefined;
  }
  const opened = await openQueue(flags, new AbortController().signal);
  return { queue: await openHostQueue(opened, flags), close: () => opened.connections.close() };
}

/** Open a queue for runs over its connections, and warn of a server that would lose runs. */
export async function openHostQueue(
  { connections, seal, keys }: OpenQueue,
  { bundleStore, workerTimeout, queueTimeout }: RunQueueFlags,
): Promise<HostQueue> {
  const [{ createHostQueue }, { lookAtServer }] = await Promise.all([
    import("../../queue/controller/host-queue.ts"),
    import("../../queue/connect.ts"),
  ]);
  const looking = connections.open("look");
  for (const warning of await lookAtServer(looking)) process.stderr.write(`volley: warning: ${warning}\n`);
  looking.disconnect();
  return createHostQueue({
    ...{ connections, seal, keys },
    store: bundleStore ?? (process.env.VOLLEY_BUNDLE_STORE || undefined),
    silentMs: workerTimeout === undefined ? undefined : workerTimeout * 1_000,
    awayMs: queueTimeout === undefined ? undefined : queueTimeout * 1_000,
  });
}
