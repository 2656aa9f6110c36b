import type { ActionCall, ActionContext } from "../core/action.ts";
import { serializeError } from "../core/errors.ts";
import { isRecord, type Vars } from "../core/json.ts";
import { writeJson } from "../core/json-text.ts";
import { restore } from "../core/plain-vars.ts";
import type { ItemResult, Result, State } from "../core/result.ts";
import type { TaskResult } from "../core/role.ts";
import type { System } from "../core/system.ts";
import type { DeclaredTask } from "./declared-task.ts";
import { askWithin, leftUntil } from "./limits.ts";
import { finishRestarted, type Performed, performAction } from "./perform.ts";
import { type RetryOptions, withRetries } from "./retries.ts";
import { toTaskResult } from "./task-handle.ts";
import { withTimeLimit } from "./time-limit.ts";
import { UnknownInCheckMode } from "./unknown.ts";

/** What a task is run with. */
export interface TaskEnvironment {
  readonly system: System;
  readonly check: boolean;
  /** Makes the action's context; `vars` are the task's own, `signal` ends what it runs. */
  context(check: boolean, vars: Vars, signal: AbortSignal): ActionContext;
  /** The condition its role was given in the play, if any. */
  readonly roleCondition: (() => boolean | Promise<boolean>) | undefined;
  /** Aborted: the action now running is ended, and items of a loop that are left are not begun. */
  readonly kill: AbortSignal;
  /** Aborted: a task that is tried until it holds is not tried again. */
  readonly stop: AbortSignal;
  /** Has the controller perform the action of an item, within a time, for a task that is delegated to it. */
  delegate(item: number, attempt: number, limitMs: number): Promise<Result>;
  /** Set for a task that has restarted the host: how many milliseconds ago it began. Only what is left of it is done. */
  readonly restartedMs?: number | undefined;
}

/** The result of every task of a role whose own condition does not hold. */
export const ROLE_SKIPPED: Result = { state: "skipped", message: "the role's condition does not hold" };

/** Runs one declared task to its Result, which never throws: whatever goes wrong is a failed Result. */
export async function runTask(task: DeclaredTask, environment: TaskEnvironment): Promise<Result> {
  try {
    const { roleCondition, restartedMs } = environment;
    if (restartedMs === undefined && roleCondition !== undefined && !(await roleCondition())) {
      return ROLE_SKIPPED;
    }
    const { loop, timeout } = task.options;
    return await withTimeLimit(timeout, environment.kill, environment.system, (kill, system) => {
      const limited = { ...environment, kill, system };
      // Which item restarted the host is not known: the loop has been gone through that far, and is not begun again.
      if (restartedMs !== undefined && loop !== undefined)
        return Promise.resolve({ state: "changed", message: "the host was restarted" });
      return loop === undefined ? runOnce(task, [], limited) : runLoop(task, loop, limited);
    });
  } catch (thrown) {
    return resultOfThrown(thrown, environment.check);
  }
}

/** What a task adds to the vars of its templates: the item of its loop, and its own vars, which may be called so too. */
export function varsOf(vars: Vars, item: readonly unknown[]): Vars {
  return item.length === 0 ? vars : { item: item[0], ...vars };
}

const CANCELLED: Result = { state: "failed", error: { code: "CANCELLED", message: "the run was cancelled" } };

function resultOfThrown(thrown: unknown, check: boolean): Result {
  if (thrown instanceof UnknownInCheckMode && check)
    return { state: "skipped", unknown: true, message: thrown.message };
  return { state: "failed", error: serializeError(thrown) };
}

async function runOnce(
  { call, options }: DeclaredTask,
  item: readonly [] | readonly [unknown],
  { system, check: checkMode, context, kill, stop, restartedMs, delegate }: TaskEnvironment,
  position = 0,
  shown: unknown = item[0],
): Promise<Result> {
  const { when, changedWhen, failedWhen, vars = {} } = options;
  const condition = when as
    | boolean
    | ((...args: readonly unknown[]) => boolean | Promise<boolean>)
    | undefined;
  const holds =
    restartedMs !== undefined ||
    (typeof condition === "function"
      ? await askWithin("its condition", kill, () => condition(...item))
      : (condition ?? true));
  if (!holds) return { state: "skipped", message: "the condition does not hold" };
  const check = options.check ?? checkMode;
  const action = (): ActionCall => (typeof call === "function" ? call(item[0]) : call);
  let attempts = 0;
  const perform = async (): Promise<Performed> => {
    if (options.delegateTo === undefined) return performAction(action(), system, actionContext);
    const result = await delegate(position, ++attempts, leftUntil(kill));
    return { result, applied: result.state === "changed" };
  };
  const itemVars = varsOf(vars, item.length === 0 ? [] : [shown]);
  const actionContext = context(check, itemVars, kill);
  const attempt = async (): Promise<Result> => {
    const { result, applied } =
      restartedMs === undefined
        ? await perform()
        : await finishRestarted(action(), system, actionContext, restartedMs);
    if (result.state === "skipped") return result;
    const within = (rule: unknown): Judgement =>
      typeof rule !== "function"
        ? (rule as Judgement)
        : (told) => askWithin("its rule", kill, () => rule(told));
    const judged = judge(result, within(failedWhen), "failed", applied ? "changed" : "unchanged");
    return judged.state === "failed" ? judged : judge(judged, within(changedWhen), "changed", "unchanged");
  };
  return withRetries(options as RetryOptions, actionContext, stop, attempt);
}

type Judgement = boolean | ((result: TaskResult) => boolean) | undefined;

/** Lets the author's own rule decide whether a result counts as `state`. */
function judge(result: Result, rule: Judgement, state: State, otherwise: State): Result {
  if (rule === undefined) return result;
  const verdict = typeof rule === "function" ? rule(toTaskResult(result)) : rule;
  if (verdict === (result.state === state)) return result;
  if (!verdict) {
    const { error: _error, ...rest } = result;
    return { ...rest, state: otherwise };
  }
  return state === "failed"
    ? { ...result, state, error: { code: "ACTION_FAILED", message: "its failedWhen condition holds" } }
    : { ...result, state };
}

const STATE_ORDER: readonly State[] = ["failed", "changed", "unchanged", "skipped"];

async function runLoop(
  task: DeclaredTask,
  loop: Iterable<unknown>,
  environment: TaskEnvironment,
): Promise<Result> {
  const label = (task.options.label as ((item: unknown) => string) | undefined) ?? defaultLabel;
  const results: { readonly label: string; readonly result: Result }[] = [];
  // Templates see an item as its list was written, floats and order of keys included.
  const written = Array.isArray(loop) ? (restore(loop) as readonly unknown[]) : undefined;
  for (const item of loop) {
    const named = String(label(item));
    const result = environment.kill.aborted
      ? CANCELLED
      : await runOnce(task, [item], environment, results.length, written?.[results.length] ?? item).catch(
          (thrown) => resultOfThrown(thrown, environment.check),
        );
    results.push({ label: named, result });
  }
  if (results.length === 0) return { state: "skipped", message: "nothing to loop over" };
  const known = STATE_ORDER.find((candidate) => results.some(({ result }) => result.state === candidate))!;
  const unknown = results.find(({ result }) => result.unknown === true);
  // That nothing else changes says nothing of the item that cannot be known.
  const state = unknown !== undefined && known === "unchanged" ? "skipped" : known;
  const failed = results.find(({ result }) => result.error !== undefined);
  const reason = (unknown ?? results[0]!).result.message;
  const diff = results.flatMap(({ result }) => result.diff ?? []);
  return {
    state,
    ...(diff.length === 0 ? {} : { diff }),
    ...(failed?.result.error === undefined
      ? {}
      : { error: { ...failed.result.error, message: `${failed.label}: ${failed.result.error.message}` } }),
    ...(state === "skipped" && unknown !== undefined ? { unknown: true } : {}),
    ...(state === "skipped" && reason !== undefined ? { message: reason } : {}),
    data: results.map(({ result }) => result.data),
    items: results.map(({ label: name, result }): ItemResult => {
      const { diff: _diff, ignored: _ignored, unknown: _unknown, items: _items, ...rest } = result;
      return { label: name, ...rest };
    }),
  };
}

function defaultLabel(item: unknown): string {
  if (isRecord(item) && typeof item.name === "string") return item.name;
  return typeof item === "string" || item === undefined
    ? String(item)
    : writeJson(item, { separators: [",", ":"] });
}
