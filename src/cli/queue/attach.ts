import type { Run } from "../../controller/run.ts";
import { isVolleyError, VolleyError } from "../../core/errors.ts";
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
    const [{ awaitCourse, courseOf, readRecord }, { latestRun, watch }, { runKeys }, { run: start }] =
      await Promise.all([
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
    const goOn = async (): Promise<number> => {
      process.stderr.write(`volley: run ${run} has lost its controller: this process goes on with it\n`);
      const options = { attach: run, playbook, inventory: [] };
      return (await follow(start(options, await openHostQueue(opened, flags)))).exitCode;
    };
    const course = flags.watch === true ? await courseOf(stored) : await awaitCourse(stored);
    if (course === "left" && flags.watch !== true) return await goOn();
    const watched = watch(stored, connections.open("watch"), flags.watch !== true);
    if (course === "ended") return (await show(watched)).exitCode;
    if (flags.watch !== true)
      process.stderr.write(`volley: run ${run} has a controller: this process watches\n`);
    try {
      return (await follow(watched)).exitCode;
    } catch (thrown) {
      if (!isVolleyError(thrown) || thrown.code !== "CONNECTION_LOST") throw thrown;
      return await goOn();
    }
  } finally {
    await connections.close();
  }
}
