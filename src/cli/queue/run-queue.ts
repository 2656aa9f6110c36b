import type { HostQueue } from "../../controller/queued/host-queue.ts";
import { openQueue, type QueueFlags } from "./options.ts";

/** Flags of commands that hand runs to a queue. */
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

/** Connect to the queue that the flags name; undefined without one. Fails with `USAGE` and `QUEUE_FAILED`. */
export async function openRunQueue(flags: RunQueueFlags): Promise<RunQueue | undefined> {
  if (flags.queue === undefined) return undefined;
  const { connections, seal, keys } = await openQueue(flags, new AbortController().signal);
  const [{ createHostQueue }, { lookAtServer }] = await Promise.all([
    import("../../queue/controller/host-queue.ts"),
    import("../../queue/connect.ts"),
  ]);
  const looking = connections.open("look");
  for (const warning of await lookAtServer(looking)) process.stderr.write(`volley: warning: ${warning}\n`);
  looking.disconnect();
  const { bundleStore, workerTimeout, queueTimeout } = flags;
  return {
    queue: createHostQueue({
      ...{ connections, seal, keys },
      store: bundleStore ?? (process.env.VOLLEY_BUNDLE_STORE || undefined),
      silentMs: workerTimeout === undefined ? undefined : workerTimeout * 1_000,
      awayMs: queueTimeout === undefined ? undefined : queueTimeout * 1_000,
    }),
    close: () => connections.close(),
  };
}
