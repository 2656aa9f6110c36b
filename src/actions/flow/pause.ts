import * as v from "valibot";
import { type Applied, type Change, type Unchanged, unchanged } from "../../core/action.ts";
import { defineAction } from "../define.ts";
import { describe, flag } from "../shared/params.ts";
import { sleep } from "./sleep.ts";

/** What a pause came to, under Ansible's names. */
export interface PauseData {
  /** Seconds. */
  readonly delta: number;
  readonly stdout: string;
}

interface PauseChange extends Change {
  readonly seconds: number;
}

const length = (unit: string) => v.optional(describe(v.number(), `How many ${unit} to wait.`));

/** Waits. */
export const pause = defineAction({
  name: "pause",
  doc: `Wait a number of seconds or minutes.

It changes nothing. As in Ansible, what is not positive is a pause of a second. Every host waits for itself: there is nobody
to ask on a host, so a \`prompt\`, and a pause without end, is refused. Check mode does not wait.

To wait for something to happen, use \`wait_for\`, or \`until\` of any task.`,
  params: v.pipe(
    v.strictObject({
      seconds: length("seconds"),
      minutes: length("minutes"),
      prompt: v.optional(describe(v.string(), "Refused: there is nobody to ask on a host.")),
      echo: flag("Taken for Ansible's sake: there is nothing to type.", true),
    }),
    v.check(
      ({ prompt }) => prompt === undefined,
      "prompt cannot be asked: there is nobody to answer on a host; ask before the run, and give the answer as a var",
    ),
    v.check(
      ({ seconds, minutes }) => (seconds === undefined) !== (minutes === undefined),
      "give either seconds or minutes: there is nobody on a host to end a pause",
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
