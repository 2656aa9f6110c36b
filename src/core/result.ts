import type { SerializedError } from "./errors.ts";

/** How a task ended; one that never ran has no Result and counts as `not executed`. */
export type State = "unchanged" | "changed" | "skipped" | "failed";

/** What differs, or differed, in one place: text before and after, or only the attributes. */
export interface Diff {
  /** The file, or whatever else is named: `user alice`, `package nginx`. */
  readonly path: string;
  /** Text before; `null` when there was nothing; absent when only attributes differ. */
  readonly before?: string | null;
  /** Text after; `null` when it is removed. */
  readonly after?: string | null;
  /** Attributes that differ, such as mode or owner, as `[before, after]`. */
  readonly attributes?: Readonly<Record<string, readonly [before: string, after: string]>>;
  /** True when the content is not text, or too long to show. */
  readonly binary?: boolean;
}

/** What came of one item of a loop. */
export interface ItemResult {
  readonly label: string;
  readonly state: State;
  readonly message?: string;
  readonly data?: unknown;
  readonly error?: SerializedError;
  readonly attempts?: number;
}

/** What came of one task. */
export interface Result {
  readonly state: State;
  /** One line for a person: why it was skipped, what was done. */
  readonly message?: string;
  readonly diff?: readonly Diff[];
  /** What the action found out or returned, such as `{ rc, stdout, stderr }`. */
  readonly data?: unknown;
  readonly error?: SerializedError;
  /** True when the task failed and its `ignoreErrors` let the role go on. */
  readonly ignored?: boolean;
  /** True when check mode cannot know what would happen: the state is then `skipped`. */
  readonly unknown?: boolean;
  readonly items?: readonly ItemResult[];
  /** True when the task is marked noLog: what it saw is left out. */
  readonly hidden?: boolean;
  /** How often it was tried; only of tasks that may be tried again. */
  readonly attempts?: number;
  /** The host that did the task, when that is another one: the task is to be done once. */
  readonly from?: string;
  /** True when an earlier run had done the task: this is what it came to then. */
  readonly resumed?: boolean;
}

/** How many tasks ended how. */
export interface Tally {
  readonly unchanged: number;
  readonly changed: number;
  readonly skipped: number;
  readonly failed: number;
  /** Tasks whose failure the role's code caught. */
  readonly rescued: number;
  readonly notExecuted: number;
}

/** The states a {@link Tally} counts, in the order they are shown. */
export const TALLY_KEYS = ["unchanged", "changed", "skipped", "failed", "rescued", "notExecuted"] as const;

/** A tally of nothing. */
export const EMPTY_TALLY: Tally = {
  unchanged: 0,
  changed: 0,
  skipped: 0,
  failed: 0,
  rescued: 0,
  notExecuted: 0,
};

/** Adds tallies up. Logs of earlier versions have tallies without `rescued`. */
export function addTallies(tallies: Iterable<Tally>): Tally {
  const sum = { ...EMPTY_TALLY };
  for (const tally of tallies) for (const key of TALLY_KEYS) sum[key] += tally[key] ?? 0;
  return sum;
}

/** The total number of actions in a tally, those not executed included. */
export function tallyTotal(tally: Tally): number {
  return TALLY_KEYS.reduce((total, key) => total + (tally[key] ?? 0), 0);
}

/** The tally with one more task that ended in `state`; a failure that was ignored counts as `failed` all the same. */
export function countState(tally: Tally, state: State | "notExecuted"): Tally {
  return { ...tally, [state]: tally[state] + 1 };
}

/** The tally in which one failure counts as rescued. */
export function countRescued(tally: Tally): Tally {
  return { ...tally, failed: Math.max(0, tally.failed - 1), rescued: tally.rescued + 1 };
}

/** `88 total actions in 0.31s: 87 unchanged, 0 changed, 1 skipped, 0 failed, 0 not executed.` */
export function formatTally(tally: Tally, elapsedMs: number): string {
  const { unchanged, changed, skipped, failed, rescued, notExecuted } = tally;
  return (
    `${tallyTotal(tally)} total actions in ${(elapsedMs / 1000).toFixed(2)}s: ` +
    `${unchanged} unchanged, ${changed} changed, ${skipped} skipped, ${failed} failed, ` +
    `${rescued > 0 ? `${rescued} rescued, ` : ""}${notExecuted} not executed.`
  );
}
