import type { Run } from "../../controller/run.ts";
import { VolleyError } from "../../core/errors.ts";
import type { Summary } from "../../core/events.ts";
import { openQueue } from "./options.ts";
import { openHostQueue, type RunQueueFlags } from "./run-queue.ts";

/** The way to show a run. */
interface Shown {
  /** Show a run that goes on, until its end. */
  follow(run: Run): Promise<Summary>;
  /** Show a run that has ended. */
  show(run: Run): Promise<Summary>;
}

/**
 * Attach to a run in a queue: go on with a run whose controller is gone, and watch another. Returns the exit code. Fails
 * with `USAGE` when there is no such run.
 */
export async function attachByQueue(
  name: string | undefined,
  flags: RunQueueFlags & { readonly watch?: boolean },
  { follow, show }: Shown,
): Promise<number> {
  const opened = await openQueue(flags, new AbortController().signal);
  const { connections, seal } = opened;
  try {
    const [{ courseOf, readRecord }, { latestRun, watch }, { runKeys }, { run: start }] = await Promise.all([
      import("../../queue/controller/reopen.ts"),
      import("../../queue/controller/watch.ts"),
      import("../../queue/names.ts"),
      import("../../controller/run.ts"),
    ]);
    const redis = connections.open("attach");
    const run = name ?? (await latestRun(redis, connections.prefix));
    if (run === undefined) throw new VolleyError("USAGE", "there has been no run in this queue yet");
    const stored = { redis, keys: runKeys(connections.prefix, run), seal, run };
    const { playbook } = await readRecord(stored);
    const course = await courseOf(stored);
    if (course === "left" && flags.watch !== true) {
      process.stderr.write(`volley: run ${run} has lost its controller: this process goes on with it\n`);
      const { exitCode } = await follow(
        start({ attach: run, playbook, inventory: [] }, await openHostQueue(opened, flags)),
      );
      return exitCode;
    }
    const watched = watch(stored, connections.open("watch"));
    if (course === "ended") return (await show(watched)).exitCode;
    process.stderr.write(`volley: run ${run} has a controller: this process only watches\n`);
    return (await follow(watched)).exitCode;
  } finally {
    await connections.close();
  }
}
