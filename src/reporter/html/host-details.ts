import { safeLine } from "../rows/sanitize.ts";
import { taskTitle } from "../rows/wording.ts";
import { TASK_STATES, type TaskState, type TaskTimes } from "../timing/task-times.ts";
import type { ReportHost } from "./report-data.ts";

/** One letter a state, in the data of a page; a point stands for a task that was not reached. */
const LETTERS: Readonly<Record<TaskState, string>> = {
  unchanged: "u",
  changed: "c",
  skipped: "s",
  unknown: "k",
  ignored: "i",
  failed: "f",
};

/** Entries of all hosts together; beyond these, hosts' own tasks are left out. */
const MAX_ENTRIES = 60_000;

/** Each host's tasks in a compact form, which the page's script shows when a host is opened. */
export interface HostDetails {
  readonly states: Readonly<Record<string, string>>;
  /** Title and action. */
  readonly tasks: readonly (readonly [title: string, action: string])[];
  /** By host: a letter for each task, and milliseconds for each that was reached, in the same order. */
  readonly hosts: Readonly<Record<string, readonly [letters: string, elapsedMs: readonly number[]]>>;
}

/** Packs hosts' tasks. */
export function packHostDetails(
  tasks: readonly TaskTimes[],
  hosts: readonly ReportHost[],
): HostDetails | undefined {
  if (tasks.length * hosts.length > MAX_ENTRIES) return undefined;
  const ends = tasks.map((task) => new Map(task.ends.map((end) => [end.host, end])));
  return {
    states: Object.fromEntries(TASK_STATES.map((state) => [LETTERS[state], state])),
    tasks: tasks.map((task) => [
      `${taskTitle(task)}${task.nth > 1 ? ` (${task.nth})` : ""}`,
      safeLine(task.action),
    ]),
    hosts: Object.fromEntries(
      hosts.map(({ host }) => {
        const own = ends.map((each) => each.get(host));
        const letters = own.map((end) => (end === undefined ? "." : LETTERS[end.state])).join("");
        const elapsed = own.flatMap((end) => (end === undefined ? [] : [Math.round(end.elapsedMs)]));
        return [safeLine(host), [letters, elapsed]];
      }),
    ),
  };
}
