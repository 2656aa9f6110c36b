import { setTimeout } from "node:timers/promises";
import * as v from "valibot";
import { type Applied, type Change, type Unchanged, unchanged } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import { defineAction } from "../define.ts";
import { exclusive } from "../shared/combinations.ts";
import { describe, flag } from "../shared/params.ts";

/** The result of a pause, under Ansible's names. */
interface PauseData {
  /** Seconds. */
  readonly delta: number;
  readonly echo: boolean;
  readonly rc: number;
  /** Local time: `2026-11-29 10:48:08.925000`. */
  readonly start: string;
  readonly stop: string;
  readonly stdout: string;
  readonly stderr: string;
  /** Always empty: nobody can answer on a host. */
  readonly user_input: string;
  readonly warnings?: readonly string[];
}

const NOBODY_ANSWERS = "Not waiting for response to prompt as stdin is not interactive";

interface PauseChange extends Change {
  readonly seconds: number;
}

const length = (unit: string) => v.optional(describe(v.number(), `How many ${unit} to wait.`));

/** Wait. */
export const pause = defineAction({
  name: "pause",
  doc: `Wait a number of seconds or minutes.

It changes nothing. As in Ansible, a time of zero or less is one second. Each host waits on its own. Check mode does not wait.

Nobody can answer on a host. So a \`prompt\` is shown and not answered, and a pause without a time goes on at once, as Ansible does without a terminal: \`user_input\` is empty.

To wait for an event, use \`wait_for\`, or \`until\` of any task.`,
  params: v.pipe(
    v.strictObject({
      seconds: length("seconds"),
      minutes: length("minutes"),
      prompt: v.optional(describe(v.string(), "A text to show.")),
      echo: flag("Accepted and ignored: nothing is typed.", true),
    }),
    exclusive("minutes", "seconds"),
  ),
  examples: [{ seconds: 10 }, { minutes: 5 }],
  title: ({ seconds, minutes, prompt = "" }) =>
    minutes !== undefined ? `${minutes} min` : seconds !== undefined ? `${seconds} s` : prompt,
  async inspect(given, _system, { check }): Promise<PauseChange | Unchanged<PauseData>> {
    const seconds = secondsOf(given);
    const now = Date.now();
    if (check) return unchanged(dataOf(given, now, now), `would wait ${seconds} s`);
    return { seconds };
  },
  async apply({ seconds }: PauseChange, given, _system, { signal, output }): Promise<Applied<PauseData>> {
    if (given.prompt !== undefined) output("stdout", `${given.prompt}\n`);
    const startedAt = Date.now();
    await sleep(seconds * 1000, signal);
    const message = seconds === 0 ? "went on at once: nobody can answer on a host" : `waited ${seconds} s`;
    const warnings = seconds === 0 ? { warnings: [NOBODY_ANSWERS] } : {};
    return { changed: false, message, data: { ...dataOf(given, startedAt, Date.now()), ...warnings } };
  },
});

type Lengths = { readonly seconds?: number | undefined; readonly minutes?: number | undefined };

function secondsOf({ seconds, minutes }: Lengths): number {
  if (seconds === undefined && minutes === undefined) return 0;
  return Math.max(1, seconds ?? (minutes ?? 0) * 60);
}

function dataOf(
  { seconds, echo }: Lengths & { readonly echo: boolean },
  startedAt: number,
  endedAt: number,
): PauseData {
  const delta = Math.round((endedAt - startedAt) / 1000);
  const inUnit = (endedAt - startedAt) / (seconds === undefined ? 60_000 : 1000);
  const rounded = String(Math.round(inUnit * 100) / 100);
  // As Python writes floats.
  const length = rounded.includes(".") ? rounded : `${rounded}.0`;
  return {
    ...{ delta, echo, rc: 0, start: localTime(startedAt), stop: localTime(endedAt) },
    stdout: `Paused for ${length} ${seconds === undefined ? "minutes" : "seconds"}`,
    ...{ stderr: "", user_input: "" },
  };
}

function localTime(time: number): string {
  const local = new Date(time - new Date(time).getTimezoneOffset() * 60_000).toISOString();
  return local.replace("T", " ").replace("Z", "000");
}

/** Wait. Fails with `CANCELLED` when the signal is aborted. */
export async function sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
  try {
    await setTimeout(milliseconds, undefined, { signal });
  } catch (thrown) {
    throw new VolleyError("CANCELLED", "cancelled while waiting", { cause: thrown });
  }
}
