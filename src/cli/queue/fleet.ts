import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import { VolleyError } from "../../core/errors.ts";
import type { QueueConnections } from "../../queue/connect.ts";
import type { FleetView } from "../../queue/status/fleet.ts";
import { onSignals } from "../terminal.ts";
import type { FleetOutput } from "./fleet-output.ts";
import { addQueueOptions, openQueue, type QueueFlags } from "./options.ts";

// The command that shows the workers of a queue: `volley fleet`.

interface FleetFlags extends QueueFlags {
  readonly watch?: boolean;
  readonly json?: boolean;
}

/** Time from one look to the next. */
const EVERY_MS = 2_000;

/** Add `volley fleet`. */
export function addFleetCommand(program: Command): void {
  addQueueOptions(
    program
      .command("fleet")
      .summary("show the workers of a queue, and the runs that they carry out")
      .description(
        "Show the workers of a queue with the hosts that each carries out, the jobs that wait by label, and the runs that go on. Nothing is changed.",
      ),
  )
    .option("--watch", "show it anew every 2 seconds, until Ctrl-C")
    .option("--json", "print one object as JSON; with --watch one on each line")
    .addHelpText(
      "after",
      `
HOSTS are those in flight, and the most at a time; /MIN are the hosts done in the last minute.
A worker that was killed is shown for up to 10 seconds. volley attach --queue URL RUN goes on with a run whose controller is gone.
`,
    )
    .action(async (flags: FleetFlags) => {
      await fleet(flags);
    });
}

async function fleet(flags: FleetFlags): Promise<void> {
  const ended = new AbortController();
  const { signal } = ended;
  const offSignals = onSignals(() => ended.abort());
  try {
    const { connections, seal } = await openQueue(flags, signal);
    try {
      const [{ watchFleet }, { openFleetOutput }] = await Promise.all([
        import("../../queue/status/fleet.ts"),
        import("./fleet-output.ts"),
      ]);
      const look = watchFleet(connections, seal);
      const first = await firstLook(connections, look, signal);
      const output = openFleetOutput({ ...flags, queue: connections.shown });
      try {
        if (flags.watch === true) await watch(first, { connections, look, output, signal });
        else output.show(first);
      } finally {
        output.close();
      }
    } catch (thrown) {
      throw connections.explain(thrown);
    } finally {
      await connections.close();
    }
  } finally {
    offSignals();
  }
}

/** Look once. Fails with `QUEUE_FAILED` when the server is lost, with `QUEUE_REFUSED` for another key, and with `CANCELLED`. */
async function firstLook(
  connections: QueueConnections,
  look: () => Promise<FleetView>,
  signal: AbortSignal,
): Promise<FleetView> {
  const given = await new Promise<FleetView>((resolve, reject) => {
    const { shown } = connections;
    connections.onAway((reason) =>
      reject(new VolleyError("QUEUE_FAILED", `the queue at ${shown} was lost: ${reason}`)),
    );
    const cancel = (): void => reject(new VolleyError("CANCELLED", "the look at the queue was cancelled"));
    signal.addEventListener("abort", cancel, { once: true });
    look().then(resolve, reject);
  });
  if (given.workers.length === 0 && given.refused > 0)
    throw new VolleyError("QUEUE_REFUSED", "no worker's status could be opened: is it the same key?", {
      hint: "--queue-key names the file of the key that the workers have",
    });
  return given;
}

interface Watched {
  readonly connections: QueueConnections;
  readonly look: () => Promise<FleetView>;
  readonly output: FleetOutput;
  readonly signal: AbortSignal;
}

/** Show looks until the signal aborts. */
async function watch(first: FleetView, { connections, look, output, signal }: Watched): Promise<void> {
  let view = first;
  let looking: Promise<void> | undefined;
  let wake = (): void => {};
  const pause = async (): Promise<void> => {
    const woken = new Promise<void>((resolve) => {
      wake = resolve;
    });
    await Promise.race([woken, sleep(EVERY_MS, undefined, { signal }).catch(() => {})]);
  };
  const offAway = connections.onAway((reason) => output.show(view, reason));
  const offBack = connections.onBack(() => wake());
  try {
    output.show(view);
    for (await pause(); !signal.aborted; await pause()) {
      looking ??= look().then((next) => {
        view = next;
        looking = undefined;
      });
      // A look waits for a server that is away.
      await Promise.race([looking, pause()]);
      output.show(view, connections.away.reason);
    }
  } finally {
    offAway();
    offBack();
  }
}
