import { AsyncLocalStorage } from "node:async_hooks";
import { messageOf, printable, VolleyError } from "../core/errors.ts";
import type { Result, State } from "../core/result.ts";
import type { TaskFailed, TaskHandle, TaskResult } from "../core/role.ts";

// The results of tasks as a role's code meets them: unknown ones, the handle that `task()` returns, and errors that the
// code leaves uncaught.

/** The value of everything that check mode cannot know. */
export class Unknown {
  readonly reason: string;

  constructor(reason: string) {
    this.reason = reason;
  }
}

/** Thrown into a role's code that waits for a task which will not be executed, because the run was cancelled. */
export class Cancelled extends VolleyError {
  constructor(message = "the run was cancelled") {
    super("CANCELLED", message);
  }
}

/** Code of the playbook's that asks tasks for their results. */
export interface Asker {
  /** Called when the code asks for something unknown; catching the error that it gets undoes nothing. */
  onUnknown(unknown: Unknown): void;
  /** The task that the code decides about, whose turn lasts until it has. */
  turn?: string | undefined;
}

/** The code now running, followed over what it awaits; see {@link followAskers}. */
let followed: AsyncLocalStorage<Asker> | undefined;
/** The code now running, until it awaits anything. */
let current: Asker | undefined;

/**
 * From now on, know who asks behind an `await` too. Only check mode needs it, where unknown results are the rule: it costs
 * some 20 ms of a short run. In a real run an unknown result that is asked for behind an `await` fails the role whose task
 * it is.
 */
export function followAskers(): void {
  followed ??= new AsyncLocalStorage();
}

/** Run code of the playbook's as `asker`. */
export function runAsking<T>(asker: Asker, code: () => T): T {
  if (followed !== undefined) return followed.run(asker, code);
  const outer = current;
  current = asker;
  try {
    return code();
  } finally {
    current = outer;
  }
}

/**
 * Evaluate a function that decides about a task, named `turn`: its condition, its action, its loop. The value is Unknown
 * when the function returns an Unknown, or when it asked a task for something unknown, whatever it caught and returned
 * then.
 */
export async function evaluate<T>(
  turn: string,
  work: () => T | Unknown | Promise<T | Unknown>,
): Promise<T | Unknown> {
  const found: Unknown[] = [];
  const asker: Asker = { turn, onUnknown: (unknown) => found.push(unknown) };
  try {
    const value = await runAsking(asker, work);
    return found[0] ?? value;
  } catch (thrown) {
    if (found[0] !== undefined) return found[0];
    throw thrown;
  } finally {
    asker.turn = undefined;
  }
}

/** The end of a task. */
type Settled =
  | { readonly kind: "done"; readonly result: Result }
  | { readonly kind: "failed"; readonly result: Result; readonly error: TaskFailed }
  /** The task was not executed, or its role was skipped. */
  | { readonly kind: "dropped"; readonly result?: Result; readonly error: TaskFailed | Cancelled };

/** The engine's side of a task's handle. */
export interface HandleControl {
  readonly handle: TaskHandle;
  settle(settled: Settled): void;
}

/**
 * Make the handle that `task()` returns. `tell` is called before an error is thrown into code that awaits the handle;
 * where it is false the code stays where it is. `owner` answers for questions whose asker is not known. `isGuess` says of a
 * result whether its data would be a guess; see {@link lacksData}.
 */
export function createHandle(
  name: string,
  tell: (error: TaskFailed | Cancelled) => boolean,
  owner: Asker,
  isGuess: (result: Result) => boolean,
): HandleControl {
  let settled: Settled | undefined;
  let waiting: ((settled: Settled) => void)[] = [];
  const declaredBy = followed?.getStore() ?? current;
  const ask = (property: string): TaskResult => {
    if (settled === undefined) {
      throw new VolleyError(
        "PLAYBOOK_INVALID",
        `"${name}" has not run yet: its \`${property}\` is not known`,
        { hint: "await the task first, or ask inside a later task's `when: () => …`" },
      );
    }
    if (settled.result === undefined)
      throw new VolleyError("PLAYBOOK_INVALID", `"${name}" was not executed: it has no \`${property}\``);
    if (settled.result.unknown === true)
      return refuse(`depends on "${name}", which check mode cannot know`, owner);
    return toTaskResult(settled.result, isGuess(settled.result), owner);
  };
  const handle: TaskHandle = {
    name,
    get state(): State {
      return ask("state").state;
    },
    get changed(): boolean {
      return ask("changed").changed;
    },
    get skipped(): boolean {
      return ask("skipped").skipped;
    },
    get failed(): boolean {
      return ask("failed").failed;
    },
    get data(): unknown {
      return ask("data").data;
    },
    // biome-ignore lint/suspicious/noThenProperty: a handle is awaited in roles, and makes a promise only when it is
    then: (onFulfilled, onRejected) =>
      new Promise<TaskResult>((resolve, reject) => {
        const finish = (end: Settled): void => {
          if (end.kind === "done") resolve(awaited(end.result, handle, isGuess(end.result), owner));
          else if (tell(end.error)) reject(account(end.error));
        };
        // Where the code is not followed, its first `await` is of a task that the code itself declares.
        const turn = (followed?.getStore() ?? current ?? declaredBy)?.turn;
        if (settled !== undefined) finish(settled);
        else if (turn === undefined) waiting.push(finish);
        else reject(waitsForever(turn, name));
      }).then(onFulfilled, onRejected),
  };
  return {
    handle,
    settle: (end) => {
      if (settled !== undefined) return;
      settled = end;
      for (const resume of waiting) resume(end);
      waiting = [];
    },
  };
}

/** The error for code that decides about one task and awaits another, whose turn comes only after it. */
function waitsForever(turn: string, name: string): VolleyError {
  return new VolleyError("PLAYBOOK_INVALID", `"${turn}" awaits "${name}", whose turn comes only after it`, {
    hint: "declare and await it in the role's own code",
  });
}

/**
 * A Result with the questions roles ask of it answered. `isGuess`: to ask for its data is to ask for something unknown.
 */
export function toTaskResult(result: Result, isGuess = false, owner?: Asker): TaskResult {
  return known(result, {
    ...result,
    // Read only when it is asked for: data that was not kept over a restart throws.
    get data(): unknown {
      if (isGuess) refuse("depends on the data of a change that is only predicted", owner);
      return result.data;
    },
    changed: result.state === "changed",
    skipped: result.state === "skipped",
    failed: result.state === "failed",
  });
}

/** The Results that are told to roles. */
const results = new WeakMap<TaskResult, Result>();

function known(result: Result, told: TaskResult): TaskResult {
  results.set(told, result);
  return told;
}

/** Return the Result that a role was told. Reading it asks for nothing unknown. */
export function resultOf(told: TaskResult): Result {
  const result = results.get(told);
  if (result === undefined) throw new VolleyError("PLAYBOOK_INVALID", "this is no result of a task");
  return result;
}

/** The result that awaiting a task gives. An unknown result may be awaited and passed on, but answers no question. */
function awaited(result: Result, handle: TaskHandle, isGuess: boolean, owner: Asker): TaskResult {
  if (result.unknown !== true) return toTaskResult(result, isGuess, owner);
  const asked = (property: "state" | "data" | "changed" | "skipped" | "failed") => ({
    get: () => handle[property],
    enumerable: true,
  });
  const { items: _items, ...rest } = result;
  const told = Object.defineProperties(rest as TaskResult, {
    state: asked("state"),
    items: asked("data"),
    data: asked("data"),
    changed: asked("changed"),
    skipped: asked("skipped"),
    failed: asked("failed"),
  });
  return known(result, told);
}

/**
 * Return whether the result of a task that was only inspected has no data where a real one may have: a change that is only
 * predicted, whatever a rule of its author's (`isJudged`) made of its state.
 */
export function lacksData({ state, data, items, unknown }: Omit<Result, "diff">, isJudged: boolean): boolean {
  if (items !== undefined) return items.some((item) => lacksData(item, isJudged));
  return (
    unknown === true || (data === undefined && (state === "changed" || (isJudged && state !== "skipped")))
  );
}

function refuse(reason: string, owner?: Asker): never {
  (followed?.getStore() ?? current ?? owner)?.onUnknown(new Unknown(reason));
  throw account(new VolleyError("PLAYBOOK_INVALID", reason));
}

/** Called with an error that the code of a run threw and nothing caught. */
type OnStray = (thrown: unknown) => void;

/** Errors that the engine threw into a role's code, having counted what they tell of. */
const accounted = new WeakSet<object>();
/** The runs of this process, each by what {@link runNow} returns within it. */
const runs = new Map<unknown, OnStray>();
let runNow: (() => unknown) | undefined;
let isWatching = false;

/** Mark an error as counted: code that leaves it unhandled ends nothing. */
export function account<E extends Error>(error: E): E {
  accounted.add(error);
  return error;
}

/** Attribute stray errors by a key of the run whose code is running. A process with one run needs no key. */
export function tellRunsApart(keyNow: () => unknown): void {
  runNow = keyNow;
}

/** Set within code of the playbook's that is executed only to learn what it declares. */
let foreseeing: AsyncLocalStorage<true> | undefined;

/**
 * Execute code of the playbook's only to learn what it declares. Errors that the code leaves uncaught, then or
 * later, end nothing: most of them come from asking what only a host knows.
 */
export function foresee<T>(code: () => T): T {
  foreseeing ??= new AsyncLocalStorage();
  // Here are other runs than this code's, or none: an error without a key is no run's.
  runNow ??= () => undefined;
  watchProcess();
  return foreseeing.run(true, code);
}

/** Carry out a run, and call `onStray` for its errors that are caught nowhere, which would end the process. */
export function watchStrays<T>(onStray: OnStray, run: () => Promise<T>): Promise<T> {
  watchProcess();
  const key = runNow?.();
  runs.set(key, onStray);
  return run().finally(async () => {
    // Node tells of a rejection only once nothing else of the same turn is left to do.
    await new Promise(setImmediate);
    runs.delete(key);
  });
}

function watchProcess(): void {
  if (isWatching) return;
  isWatching = true;
  // Both stay: code that a run has left behind may throw later.
  process.on("unhandledRejection", onRejection);
  process.on("uncaughtException", onException);
}

const onRejection = (thrown: unknown): void => onError(thrown, "unhandledRejection");
const onException = (thrown: unknown): void => onError(thrown, "uncaughtException");

function onError(thrown: unknown, event: "unhandledRejection" | "uncaughtException"): void {
  if (accounted.has(thrown as object) || foreseeing?.getStore() === true) return;
  const key = runNow?.();
  const onStray = runs.get(key);
  if (onStray !== undefined) onStray(thrown);
  else if (runNow === undefined || key !== undefined)
    console.warn(`volley: code that a role has left behind threw: ${printable(messageOf(thrown))}`);
  else if (process.listenerCount(event) === 1) {
    // No run's code threw this, and no handler of the program's takes it: the process ends, as without this handler.
    isWatching = false;
    process.off("unhandledRejection", onRejection);
    process.off("uncaughtException", onException);
    setImmediate(() => {
      throw thrown;
    });
  }
}
