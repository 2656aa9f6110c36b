import { setTimeout } from "node:timers/promises";
import * as v from "valibot";
import { type Applied, type Change, type Unchanged, unchanged } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import { defineAction } from "../define.ts";
import { describe, flag } from "../shared/params.ts";

/** The result of a pause, under Ansible's names. */
interface PauseData {
  /** Seconds. */
  readonly delta: number;
  readonly stdout: string;
}

interface PauseChange extends Change {
  readonly seconds: number;
}

const length = (unit: string) => v.optional(describe(v.number(), `How many ${unit} to wait.`));

/** Wait. */
export const pause = defineAction({
  name: "pause",
  doc: `Wait a number of seconds or minutes.

It changes nothing. As in Ansible, a time of zero or less is one second. Each host waits on its own. A \`prompt\` and a
pause without an end are refused, because nobody can answer on a host. Check mode does not wait.

To wait for an event, use \`wait_for\`, or \`until\` of any task.`,
  params: v.pipe(
    v.strictObject({
      seconds: length("seconds"),
      minutes: length("minutes"),
      prompt: v.optional(describe(v.string(), "Refused: nobody can answer on a host.")),
      echo: flag("Accepted and ignored: nothing is typed.", true),
    }),
    v.check(
      ({ prompt }) => prompt === undefined,
      "prompt cannot be asked: nobody can answer on a host; ask before the run, and give the answer as a var",
    ),
    v.check(
      ({ seconds, minutes }) => (seconds === undefined) !== (minutes === undefined),
      "give either seconds or minutes: nobody on a host can end a pause",
    ),
  ),
  examples: [{ seconds: 10 }, { minutes: 5 }],
  title: ({ seconds, minutes }) => (minutes === undefined ? `${seconds} s` : `${minutes} min`),
  async inspect({ seconds, minutes = 0 }, _system, { check }): Promise<PauseChange | Unchanged<PauseData>> {
    const duration = Math.max(1, seconds ?? minutes * 60);
    if (check) return unchanged<PauseData>(undefined, `would wait ${duration} s`);
    return { seconds: duration };
  },
  async apply({ seconds }: PauseChange, _params, _system, { signal }): Promise<Applied<PauseData>> {
    const startedAt = Date.now();
    await sleep(seconds * 1000, signal);
    const delta = Math.round((Date.now() - startedAt) / 1000);
    const stdout = `waited ${seconds} s`;
    return { changed: false, message: stdout, data: { delta, stdout } };
  },
});

/** Wait. Fails with `CANCELLED` when the signal is aborted. */
export async function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  try {
    await setTimeout(milliseconds, undefined, { signal });
  } catch (thrown) {
    throw new VolleyError("CANCELLED", "cancelled while waiting", { cause: thrown });
  }
}
