import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import type { Command } from "commander";
import { messageOf, printable, VolleyError } from "../../core/errors.ts";
import { LABEL_RULE, WORKER_LABEL } from "../../inventory/connection.ts";
import type { Worker } from "../../queue/worker/worker.ts";
import {
  addReachOptions,
  addSecretOptions,
  positiveInteger,
  type ReachFlags,
  reachOptions,
  type SecretFlags,
  secretOptions,
  splitList,
  wholeSeconds,
} from "../options.ts";
import { addQueueOptions, openQueue, type QueueFlags } from "./options.ts";

interface WorkerFlags extends QueueFlags, ReachFlags, SecretFlags {
  readonly labels?: string;
  readonly concurrency: number;
  readonly name?: string;
  readonly listen?: string;
  readonly lease: number;
  readonly stopAfter: number;
}

const NAME = /^[\w.-]{1,64}$/;

/** Add `volley worker`. */
export function addWorkerCommand(program: Command): void {
  const command = program
    .command("worker")
    .summary("carry out hosts' parts of runs that a queue brings")
    .description(
      "Take hosts of runs from a queue, connect to them with this machine's ssh_config, keys and known_hosts, and carry their parts out. Several workers share the work, on one machine or many. SIGTERM: take no more hosts, finish those at work, and hand back what takes too long.",
    );
  addQueueOptions(command)
    .option(
      "--labels <list>",
      "labels of hosts to take: the var volley_worker; default means hosts without it",
      "default",
    )
    .option("--concurrency <number>", "hosts to work on at a time", positiveInteger, 50)
    .option("--name <name>", "name to be shown by (default: the machine's name and this process)")
    .option("--listen <address>", "serve /healthz, /status and /metrics over HTTP at [ADDRESS:]PORT")
    .option(
      "--lease <seconds>",
      "silence after which the queue brings the hosts of a worker to others",
      wholeSeconds,
      15,
    )
    .option("--stop-after <seconds>", "time for hosts at work to end after SIGTERM", wholeSeconds, 60);
  addSecretOptions(addReachOptions(command)).action(async (flags: WorkerFlags) => {
    process.exitCode = await work(flags);
  });
}

async function work(flags: WorkerFlags): Promise<number> {
  const labels = readLabels(flags.labels ?? "");
  const { concurrency, listen } = flags;
  const name = flags.name ?? `${hostname()}-${process.pid}`;
  if (!NAME.test(name))
    throw new VolleyError("USAGE", `"${printable(name, 80)}" is no name of a worker`, {
      hint: "use letters, digits, dots, - and _: 64 at most",
    });
  const { connections, seal, keys } = await openQueue(flags, new AbortController().signal);
  const [workers, { createMeter }, { createMetrics }, { announce }, { openHealth }, bundles, store] =
    await Promise.all([
      import("../../queue/worker/worker.ts"),
      import("../../queue/status/meter.ts"),
      import("../../queue/status/metrics.ts"),
      import("../../queue/status/registry.ts"),
      import("../../queue/status/health.ts"),
      import("../../queue/bundles/worker-bundles.ts"),
      import("../../vars/secrets/store.ts"),
    ]);
  const { askPassphrase: _ask, askHostKeys: _askKeys, ...reach } = await reachOptions(flags);
  const id = randomBytes(12).toString("hex");
  const metrics = createMetrics();
  const meter = createMeter({ id, name, labels, concurrency, metrics, state: () => worker.state });
  const health =
    listen === undefined ? undefined : await openHealth({ listen, status: meter.status, metrics });
  const worker: Worker = new workers.Worker({
    ...{ connections, seal, name, id, labels, concurrency, meter },
    leaseMs: flags.lease * 1_000,
    reach: givenReach(reach, flags),
    secrets: store.createSecretStore({ ...secretOptions(flags), cwd: process.cwd() }),
    bundle: bundles.createWorkerBundles({ prefix: connections.prefix, keys }),
    say: (text) => say(text),
  });
  const announcement = announce({
    redis: connections.open(`worker ${name}: status`),
    prefix: connections.prefix,
    seal,
    status: meter.status,
    onRefused: (thrown) => say(messageOf(connections.explain(thrown))),
  });
  connections.onAway((reason) => {
    meter.queueAway(true);
    say(`the queue is away: ${reason}`);
  });
  connections.onBack(() => {
    meter.queueAway(false);
    say("the queue is back");
  });
  say(`${name} takes hosts of ${labels.join(", ")} from ${connections.shown}, ${concurrency} at a time`);
  await endBySignal(worker, flags.stopAfter * 1_000);
  await announcement.close();
  await health?.close();
  await connections.close();
  say("has stopped");
  return 0;
}

/** Stop a worker at the first signal. Its hosts are handed back after so many milliseconds, or at the second signal. */
async function endBySignal(worker: Worker, stopAfterMs: number): Promise<void> {
  await stopSignal();
  say("stops: it takes no more hosts, and waits for those at work");
  const stopped = worker.stop();
  let isHandingBack = false;
  const handBack = (): void => {
    if (isHandingBack) return;
    isHandingBack = true;
    say("hands the hosts at work back to other workers");
    void worker.handBack();
  };
  const timer = setTimeout(handBack, stopAfterMs);
  process.once("SIGTERM", handBack);
  process.once("SIGINT", handBack);
  await stopped;
  clearTimeout(timer);
}

/** Resolve at the first order to stop. */
function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => resolve());
  });
}

function readLabels(text: string): readonly string[] {
  const labels = [...new Set(splitList([text]))];
  const wrong = labels.find((label) => !WORKER_LABEL.test(label));
  if (labels.length === 0 || wrong !== undefined)
    throw new VolleyError("USAGE", `"${printable(wrong ?? text, 80)}" is not a label: ${LABEL_RULE}`);
  return labels;
}

/** The options of the worker itself come before those of runs: only those that were given. */
function givenReach(
  reach: Awaited<ReturnType<typeof reachOptions>>,
  { transport }: WorkerFlags,
): Awaited<ReturnType<typeof reachOptions>> {
  const { transport: _transport, persist: _persist, ...rest } = reach;
  return transport === "auto" ? rest : { ...rest, transport };
}

function say(text: string): void {
  process.stderr.write(`volley worker: ${text}\n`);
}
