import type { SerializedError } from "./errors.ts";

/** The end states of a task. */
export const STATES = ["unchanged", "changed", "skipped", "failed"] as const;

/** The end state of a task. A task that never ran has no Result and counts as `not executed`. */
export type State = (typeof STATES)[number];

/** True for the end state of a task. */
export function isState(value: unknown): value is State {
  return (STATES as readonly unknown[]).includes(value);
}

/** A difference in one place: the text before and after, or only the attributes. */
export interface Diff {
  /** The path of the file, or the name of another thing: `user alice`, `package nginx`. */
  readonly path: string;
  /** Text before; `null` when the file did not exist; absent when only attributes differ. */
  readonly before?: string | null;
  /** Text after; `null` when the file is removed. */
  readonly after?: string | null;
  /** Attributes that differ, such as mode or owner, as `[before, after]`. */
  readonly attributes?: Readonly<Record<string, readonly [before: string, after: string]>>;
  /** True when the content is not text, or too long to show. */
  readonly binary?: boolean;
}

/** The result of one item of a loop. */
export interface ItemResult {
  readonly label: string;
  /** True when the playbook says the label; others are made of the item. */
  readonly isLabelled?: boolean;
  readonly state: State;
  readonly message?: string;
  readonly data?: unknown;
  readonly error?: SerializedError;
  readonly attempts?: number;
  /** As in {@link Result}. */
  readonly unknown?: boolean;
}

/** The result of one task. */
export interface Result {
  readonly state: State;
  /** A line for people: the reason for skipping, or the work done. */
  readonly message?: string;
  readonly diff?: readonly Diff[];
  /** Data of the action, such as `{ rc, stdout, stderr }`. */
  readonly data?: unknown;
  readonly error?: SerializedError;
  /** True when the task failed and its `ignoreErrors` let the role go on. */
  readonly ignored?: boolean;
  /** True when check mode cannot know what would happen: the state is then `skipped`. */
  readonly unknown?: boolean;
  readonly items?: readonly ItemResult[];
  /** True when the task is marked noLog: its output, diff and data are left out, but for whether something `changed`. */
  readonly hidden?: boolean;
  /** Number of attempts; only for tasks that may be tried again. */
  readonly attempts?: number;
  /** The other host that did this `runOnce` task. */
  readonly from?: string;
  /** True when an earlier run did the task; the result is that of the earlier run. */
  readonly resumed?: boolean;
}

/** The number of tasks by end state. */
export interface Tally {
  readonly unchanged: number;
  readonly changed: number;
  readonly skipped: number;
  /** Tasks whose failure was neither ignored nor rescued. */
  readonly failed: number;
  /** Tasks that failed, and whose `ignoreErrors` let the role go on. */
  readonly ignored: number;
  /** Tasks whose failure the role's code caught. */
  readonly rescued: number;
  readonly notExecuted: number;
}

/** The counts that few runs have, and that tables and lines leave out where they are 0. */
export const RARE_TALLY_KEYS = ["ignored", "rescued"] as const;

/** The states a {@link Tally} counts, in the order they are shown. */
export const TALLY_KEYS = [...STATES, ...RARE_TALLY_KEYS, "notExecuted"] as const;

/** Return whether few runs have this count. */
export function isRare(key: keyof Tally): boolean {
  return (RARE_TALLY_KEYS as readonly string[]).includes(key);
}

/** A tally of nothing. */
export const EMPTY_TALLY: Tally = {
  unchanged: 0,
  changed: 0,
  skipped: 0,
  failed: 0,
  ignored: 0,
  rescued: 0,
  notExecuted: 0,
};

/** Add up tallies. Logs of earlier versions have tallies without the rare counts. */
export function addTallies(tallies: Iterable<Tally>): Tally {
  const sum = { ...EMPTY_TALLY };
  for (const tally of tallies) for (const key of TALLY_KEYS) sum[key] += tally[key] ?? 0;
  return sum;
}

/** Return the total number of actions in a tally, including those not executed. */
export function tallyTotal(tally: Tally): number {
  return TALLY_KEYS.reduce((total, key) => total + (tally[key] ?? 0), 0);
}

/** Return the tally with one more task that ended in `state`, or so many of them. */
export function countState(tally: Tally, state: keyof Tally, many = 1): Tally {
  return { ...tally, [state]: tally[state] + many };
}

/** Return the tally with the result of one more task. */
export function countResult(tally: Tally, { state, ignored }: Pick<Result, "state" | "ignored">): Tally {
  return countState(tally, state === "failed" && ignored === true ? "ignored" : state);
}

/** Return the tally with one failure counted as rescued. */
export function countRescued(tally: Tally): Tally {
  return { ...tally, failed: Math.max(0, tally.failed - 1), rescued: tally.rescued + 1 };
}

/** Return `88 total actions in 0.31s: 87 unchanged, 0 changed, 1 skipped, 0 failed, 0 not executed.` */
export function formatTally(tally: Tally, elapsedMs: number): string {
  const { unchanged, changed, skipped, failed, notExecuted } = tally;
  const rare = RARE_TALLY_KEYS.map((key) => (tally[key] > 0 ? `${tally[key]} ${key}, ` : "")).join("");
  return (
    `${tallyTotal(tally)} total actions in ${(elapsedMs / 1000).toFixed(2)}s: ` +
    `${unchanged} unchanged, ${changed} changed, ${skipped} skipped, ${failed} failed, ` +
    `${rare}${notExecuted} not executed.`
  );
}
