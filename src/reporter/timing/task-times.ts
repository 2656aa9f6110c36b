import type { Event, TaskRef } from "../../core/events.ts";
import type { Result, State } from "../../core/result.ts";
import { type Spread, spreadOf } from "./spread.ts";

/** How a task ended on a host, failures that were ignored and what check mode cannot know told apart. */
export type TaskState = State | "ignored" | "unknown";

/** The states in the order they are shown. */
export const TASK_STATES = ["unchanged", "changed", "skipped", "unknown", "ignored", "failed"] as const;

/** A task on one host. */
export interface TaskEnd {
  readonly host: string;
  readonly state: TaskState;
  readonly elapsedMs: number;
  /** False where the host did nothing itself: skipped, done by another host, or in an earlier run. */
  readonly worked: boolean;
}

/** One task over all hosts. */
export interface TaskTimes {
  readonly play: string;
  readonly role: string;
  readonly name: string;
  readonly action: string;
  readonly handler: boolean;
  /** Counted from 1: which of the tasks of the same play, role, name and action. */
  readonly nth: number;
  readonly ends: readonly TaskEnd[];
  readonly states: Readonly<Partial<Record<TaskState, number>>>;
  /** Milliseconds on the hosts that worked on it. */
  readonly elapsed: Spread;
  /** The host it took longest on; undefined where none worked on it. */
  readonly slowest: string | undefined;
}

/** Folds a run's events into tasks over all hosts. */
export interface TaskTimesFold {
  add(event: Event): void;
  /** In the order they were first heard of. */
  tasks(): readonly TaskTimes[];
}

type Entry = Omit<TaskTimes, "ends" | "states" | "elapsed" | "slowest"> & { readonly ends: TaskEnd[] };

/** Starts a fold. */
export function foldTaskTimes(): TaskTimesFold {
  const entries = new Map<string, Entry>();
  const seen = new Map<string, number>();
  return {
    add(event) {
      if (event.type !== "task:end") return;
      const { host, result, elapsedMs } = event;
      const key = keyOf(event);
      const nth = (seen.get(`${host}\0${key}`) ?? 0) + 1;
      seen.set(`${host}\0${key}`, nth);
      let entry = entries.get(`${nth}\0${key}`);
      if (entry === undefined) {
        const { play, role, name, action, handler = false } = event;
        entry = { play, role, name, action, handler, nth, ends: [] };
        entries.set(`${nth}\0${key}`, entry);
      }
      entry.ends.push({ host, state: taskState(result), elapsedMs, worked: hasWorked(result) });
    },
    tasks: () => [...entries.values()].map(timesOf),
  };
}

/** How a task ended. */
export function taskState({
  state,
  ignored,
  unknown,
}: Pick<Result, "state" | "ignored" | "unknown">): TaskState {
  if (unknown === true) return "unknown";
  return state === "failed" && ignored === true ? "ignored" : state;
}

/** The tasks that took longest over all hosts, the slowest first. */
export function bySlowness(tasks: readonly TaskTimes[]): readonly TaskTimes[] {
  return [...tasks].sort((one, other) => other.elapsed.total - one.elapsed.total);
}

function hasWorked({ state, from, resumed }: Result): boolean {
  return state !== "skipped" && from === undefined && resumed !== true;
}

function keyOf({ play, role, name, action, handler = false }: TaskRef): string {
  return JSON.stringify([play, role, name, action, handler]);
}

function timesOf(entry: Entry): TaskTimes {
  const states: Partial<Record<TaskState, number>> = {};
  for (const { state } of entry.ends) states[state] = (states[state] ?? 0) + 1;
  const worked = entry.ends.filter((end) => end.worked);
  const elapsed = spreadOf(worked.map(({ elapsedMs }) => elapsedMs));
  return { ...entry, states, elapsed, slowest: worked.find((end) => end.elapsedMs === elapsed.max)?.host };
}
