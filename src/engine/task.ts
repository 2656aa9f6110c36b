import { setTimeout as pause } from "node:timers/promises";
import type { ActionCall, ActionContext } from "../core/action.ts";
import { type SerializedError, serializeError, VolleyError } from "../core/errors.ts";
import { MAX_TIMER_SECONDS } from "../core/options.ts";
import type { Elsewhere } from "../core/program.ts";
import type { ItemResult, Result, State } from "../core/result.ts";
import type { TaskOptions, TaskResult } from "../core/role.ts";
import type { System } from "../core/system.ts";
import { isRecord, writeJson } from "../core/values/value.ts";
import { restore, type Vars } from "../core/values/vars.ts";
import { isActionCall } from "./check-task.ts";
import { taskVariables } from "./context.ts";
import { evaluate, lacksData, toTaskResult, Unknown } from "./handle.ts";
import { askWithin, leftUntil, withEither, withTimeLimit } from "./limits.ts";
import { finishRestarted, type Performed, performAction } from "./perform.ts";
import type { DeclaredTask } from "./role.ts";

const DEFAULT_RETRIES = 3;
const DEFAULT_DELAY_S = 5;

/** The surroundings of a task. */
export interface TaskEnvironment {
  readonly system: System;
  readonly check: boolean;
  /** Make the action's context; `vars` are the task's own, `signal` ends what it runs. */
  context(check: boolean, vars: Vars, signal: AbortSignal): ActionContext;
  /** The condition of the role's use in its play, if any. */
  readonly roleCondition: (() => boolean | Promise<boolean>) | undefined;
  /** Aborted: the action now running is ended, and items of a loop that are left are not begun. */
  readonly kill: AbortSignal;
  /** Aborted: a task with `until` or `retries` is not tried again. */
  readonly cancel: AbortSignal;
  /** Called with the name of each action that is about to be performed. */
  onAction(action: string): void;
  /** Have the controller perform the action of an item, within a time, for a task that is delegated to it. */
  delegate(item: number, attempt: number, limitMs: number): Promise<Result>;
  /** Open the machine that the task is delegated to; absent where none but the controller can be asked. */
  readonly elsewhere?: Elsewhere | undefined;
  /** Set for a task that has restarted the host: milliseconds since it began. Only the rest of it is done. */
  readonly restartedMs?: number | undefined;
}

/** The result of every task of a role whose own condition does not hold. */
export const ROLE_SKIPPED: Result = { state: "skipped", message: "the role's condition does not hold" };

/** Run one declared task to its Result. Never throws: every fault is a failed Result. */
export async function runTask(task: DeclaredTask, environment: TaskEnvironment): Promise<Result> {
  try {
    const { roleCondition, restartedMs, check } = environment;
    if (task.unknown !== undefined) return resultOfUnknown(task.unknown, check);
    if (restartedMs === undefined && roleCondition !== undefined) {
      const isWanted = await evaluate(task.name, roleCondition);
      if (isWanted instanceof Unknown) return resultOfUnknown(isWanted, check);
      if (!isWanted) return ROLE_SKIPPED;
    }
    const { loop, timeout } = task.options;
    return await withTimeLimit(timeout, environment.kill, environment.system, (kill, system) => {
      const limited = { ...environment, kill, system };
      if (loop === undefined) return runItem(task, { values: [], position: 0, shown: undefined }, limited);
      // The item that restarted the host is not known: the loop has been gone through that far, and is not begun again.
      return restartedMs === undefined
        ? runLoop(task, loop, limited)
        : Promise.resolve({ state: "changed", message: "the host was restarted" });
    });
  } catch (thrown) {
    return { state: "failed", error: serializeError(thrown) };
  }
}

/** The result of a task about which something that decides is unknown: in a real run too, nothing is guessed. */
function resultOfUnknown({ reason }: Unknown, check: boolean): Result {
  return check
    ? { state: "skipped", unknown: true, message: reason }
    : { state: "failed", error: { code: "PLAYBOOK_INVALID", message: reason } };
}

const STATE_ORDER: readonly State[] = ["failed", "changed", "unchanged", "skipped"];
const CANCELLED: Result = { state: "failed", error: { code: "CANCELLED", message: "the run was cancelled" } };

async function runLoop(
  task: DeclaredTask,
  loop: Iterable<unknown>,
  environment: TaskEnvironment,
): Promise<Result> {
  const { kill, check } = environment;
  const label = (task.options.label as ((item: unknown) => string) | undefined) ?? defaultLabel;
  const results: { readonly label: string; readonly result: Result }[] = [];
  // Templates see an item as its list was written, floats and order of keys included.
  const written = await evaluate(task.name, () =>
    Array.isArray(loop) ? (restore(loop) as readonly unknown[]) : undefined,
  );
  if (written instanceof Unknown) return resultOfUnknown(written, check);
  const items = loop[Symbol.iterator]();
  for (let position = 0; ; position++) {
    const next = await evaluate(task.name, () => {
      const { done, value } = items.next();
      return done === true ? undefined : { item: value as unknown, named: String(label(value)) };
    });
    if (next instanceof Unknown) return resultOfUnknown(next, check);
    if (next === undefined) break;
    const { item, named } = next;
    const pass: Pass = { values: [item], position, shown: written?.[position] ?? item };
    const result = kill.aborted
      ? CANCELLED
      : await runItem(task, pass, environment).catch(
          (thrown): Result => ({ state: "failed", error: serializeError(thrown) }),
        );
    results.push({ label: named, result });
  }
  if (results.length === 0) return { state: "skipped", message: "nothing to loop over" };
  const known = STATE_ORDER.find((candidate) => results.some(({ result }) => result.state === candidate))!;
  const unknown = results.find(({ result }) => result.unknown === true);
  // An unknown item may change something, even where the other items are unchanged.
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
      const { diff: _diff, ignored: _ignored, items: _items, ...rest } = result;
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

/** A pass of a task: for an item of its loop, or the only pass without a loop. */
interface Pass {
  /** The arguments of the task's functions: the item, or nothing. */
  readonly values: readonly [] | readonly [unknown];
  /** Index of the item; 0 without a loop. */
  readonly position: number;
  /** The item as templates see it. */
  readonly shown: unknown;
}

/** Go through one pass: condition, tries, and the judgement of each. */
async function runItem(
  { name, call, options }: DeclaredTask,
  { values, position, shown }: Pass,
  {
    system,
    check: checkMode,
    context,
    kill,
    cancel,
    restartedMs,
    onAction,
    delegate,
    elsewhere,
  }: TaskEnvironment,
): Promise<Result> {
  const { when, changedWhen, failedWhen, vars = {}, delegateTo } = options;
  if (restartedMs === undefined && when !== undefined) {
    const condition = when as Condition;
    const holds = await evaluate(name, () =>
      typeof condition === "function"
        ? askWithin("its condition", kill, () => condition(...values))
        : condition,
    );
    if (holds instanceof Unknown) return resultOfUnknown(holds, checkMode);
    if (!holds) return { state: "skipped", message: "the condition does not hold" };
  }
  const check = options.check ?? checkMode;
  const actionContext = await evaluate(name, () =>
    context(check, taskVariables(vars, values.length === 0 ? values : [shown]), kill),
  );
  if (actionContext instanceof Unknown) return resultOfUnknown(actionContext, checkMode);
  const make = call as ActionCall | ((item?: unknown) => ActionCall | Unknown);
  const perform = async (attempt: number): Promise<Performed | Unknown> => {
    if (delegateTo !== undefined && restartedMs === undefined && elsewhere === undefined) {
      const result = await delegate(position, attempt, leftUntil(kill));
      return { result, applied: result.state === "changed" };
    }
    const action = await evaluate(name, () => (typeof make === "function" ? make(values[0]) : make));
    if (action instanceof Unknown) return action;
    if (!isActionCall(action)) throw new VolleyError("PLAYBOOK_INVALID", "its function returned no action");
    onAction(action.action);
    const there = (await elsewhere?.(actionContext)) ?? ([system, actionContext] as const);
    return evaluate(name, () =>
      restartedMs === undefined
        ? performAction(action, ...there)
        : finishRestarted(action, system, actionContext, restartedMs),
    );
  };
  const within = (rule: unknown): Judgement =>
    typeof rule !== "function"
      ? (rule as Judgement)
      : (told) => askWithin("its rule", kill, () => rule(told));
  const attempt = async (nth: number): Promise<Result> => {
    const performed = await perform(nth);
    if (performed instanceof Unknown) return resultOfUnknown(performed, checkMode);
    const { result, applied } = performed;
    if (result.state === "skipped") return result;
    const judged = await evaluate(name, () => {
      const told = (each: Result): TaskResult => toTaskResult(each, check && lacksData(each, false));
      const first = judge(result, told, within(failedWhen), "failed", applied ? "changed" : "unchanged");
      return first.state === "failed"
        ? first
        : judge(first, told, within(changedWhen), "changed", "unchanged");
    });
    return judged instanceof Unknown ? resultOfUnknown(judged, checkMode) : judged;
  };
  const result = await evaluate(name, () =>
    withRetries(options as RetryOptions, actionContext, cancel, attempt),
  );
  return result instanceof Unknown ? resultOfUnknown(result, checkMode) : result;
}

type Condition = boolean | ((...args: readonly unknown[]) => boolean | Unknown | Promise<boolean | Unknown>);
type Judgement = boolean | ((result: TaskResult) => boolean) | undefined;

/** Let the author's own rule decide whether a result counts as `state`. */
function judge(
  result: Result,
  told: (result: Result) => TaskResult,
  rule: Judgement,
  state: State,
  otherwise: State,
): Result {
  if (rule === undefined) return result;
  const verdict = typeof rule === "function" ? rule(told(result)) : rule;
  if (verdict === (result.state === state)) return result;
  if (!verdict) {
    const { error: _error, ...rest } = result;
    return { ...rest, state: otherwise };
  }
  return state === "failed"
    ? { ...result, state, error: { code: "ACTION_FAILED", message: "its failedWhen condition holds" } }
    : { ...result, state };
}

/** The options of a task about its tries. */
type RetryOptions = Pick<TaskOptions<string, never>, "until" | "retries" | "delay">;

/**
 * Do a task again until its `until` holds or its tries are used up, as Ansible does: `until` may ask about a failed result
 * too, and a task with `retries` alone is tried until it does not fail. Check mode tries once, because nothing would be
 * different. Once `cancel` is aborted a task that would be tried again has failed.
 */
async function withRetries(
  { until, retries, delay = DEFAULT_DELAY_S }: RetryOptions,
  { check, signal, output }: ActionContext,
  cancel: AbortSignal,
  attempt: (nth: number) => Promise<Result>,
): Promise<Result> {
  const tries = 1 + Math.max(0, retries ?? (until === undefined ? 0 : DEFAULT_RETRIES));
  if (until === undefined && tries === 1) return attempt(1);
  const rule = (until ?? (({ failed }: TaskResult) => !failed)) as (result: TaskResult) => boolean;
  if (check) return predict(await attempt(1), rule);
  for (let attempts = 1; ; attempts++) {
    const result: Result = { ...(await attempt(attempts)), attempts };
    if (result.state === "skipped" || holds(rule, result) || signal.aborted) return result;
    if (attempts >= tries) return exhausted(result);
    if (cancel.aborted) return cancelled(result);
    const why = result.error === undefined ? "not yet what is waited for" : result.error.message;
    output("stderr", `attempt ${attempts} of ${tries}: ${why}; again in ${delay} s\n`);
    const delayMs = Math.min(delay, MAX_TIMER_SECONDS) * 1000;
    await withEither([cancel, signal], (either) => pause(delayMs, undefined, { signal: either })).catch(
      () => {},
    );
    if (cancel.aborted) return cancelled(result);
    if (signal.aborted) throw new VolleyError("CANCELLED", "cancelled while waiting");
  }
}

function holds(rule: (result: TaskResult) => boolean, result: Result): boolean {
  try {
    return rule(toTaskResult(result));
  } catch (thrown) {
    // A failed result may lack the data the rule reads.
    if (result.state === "failed") return false;
    throw thrown;
  }
}

function predict(result: Result, rule: (result: TaskResult) => boolean): Result {
  // A change that is only predicted has no data for the rule to read.
  if (result.state === "skipped" || result.state === "changed" || holds(rule, result)) return result;
  return {
    state: "skipped",
    unknown: true,
    message: "whether what it waits for comes about is known only by waiting",
  };
}

function cancelled(result: Result): Result {
  return {
    ...result,
    state: "failed",
    error: {
      code: "CANCELLED",
      message: `the run was cancelled; not yet what is waited for after ${timesOf(result)}`,
    },
  };
}

function exhausted(result: Result): Result {
  const error: SerializedError =
    result.error === undefined
      ? { code: "ACTION_FAILED", message: `its until condition did not hold after ${timesOf(result)}` }
      : { ...result.error, message: `${result.error.message} (after ${timesOf(result)})` };
  return { ...result, state: "failed", error };
}

function timesOf({ attempts }: Result): string {
  return `${attempts} ${attempts === 1 ? "attempt" : "attempts"}`;
}
