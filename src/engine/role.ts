import type { ActionCall } from "../core/action.ts";
import { VolleyError } from "../core/errors.ts";
import type { Result } from "../core/result.ts";
import {
  type HandlerSpec,
  type Jinja,
  type LoopOptions,
  type RoleContext,
  type RoleUse,
  type RoleUseOptions,
  TaskFailed,
  type TaskHandle,
  type TaskOptions,
  type TasksContext,
} from "../core/role.ts";
import type { ReadSystem } from "../core/system.ts";
import type { Vars } from "../core/values/vars.ts";
import {
  checkHandler,
  checkIncluded,
  checkNotify,
  checkTask,
  isActionCall,
  isWanted,
  type TagSelection,
  tagList,
} from "./check-task.ts";
import type { AnsibleGuest, IncludedRoles, TypeScriptGuest } from "./guest-types.ts";
import {
  type Asker,
  account,
  Cancelled,
  createHandle,
  type HandleControl,
  lacksData,
  runAsking,
  toTaskResult,
  type Unknown,
} from "./handle.ts";

/** A task as its role declared it, waiting for its turn. */
export interface DeclaredTask {
  readonly kind: "task";
  readonly name: string;
  /** The action's name; empty for an action that is made when the task's turn comes. */
  readonly action: string;
  readonly call: ActionCall | ((item: unknown) => ActionCall);
  readonly options: TaskOptions<string, never> & Partial<LoopOptions<unknown, string, never>>;
  readonly control: HandleControl;
  readonly handler: boolean;
  /** Set for a handler that may have been notified, which only a real run tells. */
  readonly unknown?: Unknown;
}

/** A role in Ansible's YAML that a role includes, waiting for its turn. */
export interface Include {
  readonly kind: "include";
  readonly name: string;
  readonly guest: AnsibleGuest;
  /** The options of the use, as far as they are not those of the role that includes. */
  readonly options: RoleUseOptions;
  readonly control: HandleControl;
}

/** An entry of a role's queue. */
type Queued = DeclaredTask | Include | { readonly kind: "flush" };

/** The options of a role's run. */
interface RoleRunOptions {
  readonly use: RoleUse;
  readonly context: RoleContext;
  readonly system: ReadSystem;
  readonly jinja: Jinja;
  readonly selection: TagSelection;
  readonly playTags: readonly string[];
  /** The handlers of every role of the play, as `role:handler`. */
  readonly handlersOfPlay: () => readonly string[];
  /** Absent where roles only declare their tasks. */
  readonly included?: IncludedRoles | undefined;
  /** Options for tasks that do not give them. */
  readonly defaults?: TypeScriptGuest["defaults"] | undefined;
  readonly cancel: AbortSignal;
  readonly log: (text: string) => void;
}

/** Time for a role's code to handle a failure, and to clean up once the run was cancelled, in milliseconds. */
const CODE_MS = 30_000;

/** The end of a role's own code. */
type CodeEnd =
  | { readonly kind: "returned" }
  | { readonly kind: "thrown"; readonly error: unknown }
  /** The code asked for an unknown value, and was left there. */
  | { readonly kind: "unknown"; readonly reason: string }
  /** The code did not end in time, and was left. */
  | { readonly kind: "left" };

/** The phases of a role: they decide about the tasks its code declares. */
type Phase =
  /** Tasks are executed; once the run was cancelled, to clean up. */
  | { readonly kind: Executing }
  /** Tasks are dropped: a failure, or the cancel, has not yet been thrown into the code. */
  | { readonly kind: "interrupted"; readonly error: TaskFailed | Cancelled; readonly next: Executing }
  /** Tasks are ignored: the code was left, and never continues after its next `await` of a task. */
  | { readonly kind: "left" };

type Executing = "running" | "cleaning";

/** The end of a role. */
export interface RoleEnd {
  /** Failures that its code caught. */
  readonly rescued: readonly TaskFailed[];
  readonly failed: boolean;
  /** Set when its own code threw something else than the failure of a task. */
  readonly fault?: { readonly thrown: unknown };
  /** Set when the rest of it cannot be predicted in check mode. */
  readonly unknown?: string;
}

/** A role of a play on this host: the queue between its code, which declares tasks, and the play, which runs them. */
export class RoleRun {
  readonly use: RoleUse;
  readonly context: RoleContext;
  readonly #options: RoleRunOptions;
  readonly #handlers = new Map<string, readonly DeclaredTask[]>();
  readonly #queue: Queued[] = [];
  /** Failures of its tasks, each with whether an `await` has thrown it into the code. */
  readonly #failures = new Map<TaskFailed, boolean>();
  readonly #closing = new AbortController();
  /** The role's own code as it asks tasks for their results. */
  readonly #asker: Asker = {
    onUnknown: ({ reason }) => {
      // Its code has ended, but a condition that it left behind asks.
      if (this.#end?.kind === "returned") this.#end = undefined;
      this.#leave({ kind: "unknown", reason });
    },
  };
  /** True once its code has ended the play for this host. */
  endsPlay = false;
  #phase: Phase = { kind: "running" };
  #dropped = 0;
  #end: CodeEnd | undefined;
  #wake: (() => void) | undefined;
  #openGate: (() => void) | undefined;
  readonly #turn: Promise<void>;
  #limit: NodeJS.Timeout | undefined;

  constructor(options: RoleRunOptions) {
    this.#options = options;
    this.use = options.use;
    this.context = options.context;
    this.#turn = new Promise((resolve) => {
      this.#openGate = resolve;
    });
    for (const [name, calls] of readHandlers(options.use, options.context)) {
      const tasks = calls.map((call) =>
        this.#handlerTask(calls.length === 1 ? name : `${name} (${call.action})`, call, {}),
      );
      this.#handlers.set(name, tasks);
    }
  }

  /** Run the role's code up to its first `await`: the tasks it declares until then are known up front. */
  declare(): void {
    const { use, context, jinja, log } = this.#options;
    const tasksContext: TasksContext = {
      ...context,
      task: ((name: string, call: DeclaredTask["call"], options: DeclaredTask["options"] = {}) =>
        this.#declareTask(name, call, options)) as TasksContext["task"],
      handler: ((name: string, call: DeclaredTask["call"], options: DeclaredTask["options"] = {}) =>
        this.#declareHandler(name, call, options)) as TasksContext["handler"],
      system: this.#gatedSystem(),
      include: (included) => this.#include(included) as TaskHandle<Vars>,
      jinja,
      flushHandlers: () => {
        if (this.#phase.kind === "running") this.#push({ kind: "flush" });
      },
      end: (part) => {
        this.endsPlay = part === "play";
        this.#leave({ kind: "returned" });
        throw account(new Cancelled());
      },
      log,
    };
    try {
      const running = runAsking(this.#asker, () => use.role.tasks(tasksContext));
      if (running === undefined) this.#finish({ kind: "returned" });
      else
        running.then(
          () => this.#finish({ kind: "returned" }),
          (error: unknown) => this.#finish({ kind: "thrown", error }),
        );
    } catch (error) {
      this.#finish({ kind: "thrown", error });
    }
  }

  /** Its handlers by name, each a list of tasks, in the order declared. */
  get handlers(): ReadonlyMap<string, readonly DeclaredTask[]> {
    return this.#handlers;
  }

  /** The tasks that are waiting, in order. */
  get declared(): readonly DeclaredTask[] {
    return this.#queue.filter((queued): queued is DeclaredTask => queued.kind === "task");
  }

  /** The number of tasks that are waiting. */
  get waiting(): number {
    return this.declared.length;
  }

  /** The number of tasks that were declared and will not be executed. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Aborted once nothing of the role is executed any more. */
  get closed(): AbortSignal {
    return this.#closing.signal;
  }

  /** The next entry, waiting for the role's code where it may declare more; null after the last one. */
  async next(): Promise<Queued | null> {
    this.#openGate?.();
    for (;;) {
      const queued = this.#queue.shift();
      if (queued !== undefined) return queued;
      if (this.#end !== undefined) return null;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** A task of the role failed: the tasks behind it are dropped, and the failure comes back to code that awaits one of them. */
  fail(
    task: Pick<DeclaredTask, "name"> & Partial<Pick<DeclaredTask, "control">>,
    result: Result,
  ): TaskFailed {
    const error = new TaskFailed(task.name, toTaskResult(result));
    this.#failures.set(error, false);
    // Code that is to be unwound by the cancel anyway learns of the failure only if it awaits this very task.
    if (this.#phase.kind !== "interrupted" || !(this.#phase.error instanceof Cancelled))
      this.#interrupt(error);
    task.control?.settle({ kind: "failed", result, error });
    if (this.#phase.kind === "interrupted" && this.#phase.next === "running") this.limit();
    return error;
  }

  /** The run is to end: the tasks that are waiting are dropped, and the code that awaits one of them is unwound. */
  cancel(also?: DeclaredTask): void {
    this.#interrupt(new Cancelled(), also);
  }

  /** Close the role after 30 s, unless its code ends before. */
  limit(): void {
    if (this.#end === undefined) this.#limit ??= setTimeout(() => this.close(), CODE_MS);
  }

  /** Execute nothing more of this role; its code is left where it waits. */
  close(): void {
    for (const { kind } of this.#queue.splice(0)) if (kind === "task") this.#dropped++;
    this.#leave({ kind: "left" });
    this.#closing.abort();
  }

  /** The end of the role, once {@link next} has returned null. */
  outcome(): RoleEnd {
    const end = this.#end ?? { kind: "left" };
    const failures = [...this.#failures];
    const told = failures.filter(([, isTold]) => isTold).map(([error]) => error);
    switch (end.kind) {
      case "returned":
        return { rescued: told, failed: told.length < failures.length };
      case "thrown": {
        const thrown = causesOf(end.error);
        const isCancel = [...thrown].some((cause) => cause instanceof Cancelled);
        const isOwn = !isCancel && !this.#failures.has(end.error as TaskFailed);
        // An error of the code's own may be its word for a failure it caught: a run that resumes does that task again.
        const rescued = isCancel || isOwn ? [] : told.filter((error) => !thrown.has(error));
        return {
          rescued,
          failed: isOwn || rescued.length < failures.length,
          ...(isOwn ? { fault: { thrown: end.error } } : {}),
        };
      }
      case "unknown":
        // Code that asks has gone on behind the failures it was told of. In a real run too nothing is guessed.
        return this.context.check
          ? { rescued: told, failed: told.length < failures.length, unknown: end.reason }
          : {
              rescued: told,
              failed: true,
              fault: { thrown: new VolleyError("PLAYBOOK_INVALID", `the role's code ${end.reason}`) },
            };
      case "left":
        return { rescued: [], failed: failures.length > 0 };
    }
  }

  #declareTask(name: string, call: DeclaredTask["call"], given: DeclaredTask["options"]): TaskHandle {
    const { use, selection, playTags, handlersOfPlay, defaults } = this.#options;
    checkTask(use.role.name, name, call, given, use.role.delegates);
    const options = { ...defaults, ...given };
    const declared = { own: [...this.#handlers.keys()], all: handlersOfPlay() };
    checkNotify(use.role.name, `task "${name}"`, options.notify, declared);
    const control = createHandle(name, (error) => this.#tell(error), this.#asker, this.#isGuess(options));
    const tags = [...playTags, ...tagList(use.options.tags), ...tagList(options.tags)];
    if (!isWanted(tags, selection)) {
      const result: Result = { state: "skipped", message: "not among the tags asked for" };
      control.settle({ kind: "done", result });
    } else if (this.#phase.kind === "interrupted") {
      this.#dropped++;
      control.settle({ kind: "dropped", error: this.#phase.error });
    } else if (this.#phase.kind !== "left") {
      this.#push({ kind: "task", name, action: actionOf(call), call, options, control, handler: false });
    }
    return control.handle;
  }

  #include(used: RoleUse): TaskHandle {
    const { use, playTags, included } = this.#options;
    const role = checkIncluded(use.role.name, used);
    // A role of the play's own list includes itself, so to say: its options are the role's already.
    const options = used.role === use.role ? {} : used.options;
    const control = createHandle(
      role,
      (error) => this.#tell(error),
      this.#asker,
      () => false,
    );
    if (this.#phase.kind === "interrupted") control.settle({ kind: "dropped", error: this.#phase.error });
    else if (this.#phase.kind !== "left") {
      const guest: AnsibleGuest = {
        use: used,
        tags: [...playTags, ...tagList(use.options.tags), ...tagList(options.tags)],
        become: options.become ?? use.options.become,
      };
      included?.declare(guest);
      this.#push({ kind: "include", name: role, guest, options, control });
    }
    return control.handle;
  }

  #declareHandler(name: string, call: DeclaredTask["call"], options: DeclaredTask["options"]): void {
    const { use } = this.#options;
    // A handler may notify one that is declared later: names are looked up when its turn comes.
    checkHandler(use.role.name, name, call, options);
    if (this.#handlers.has(name))
      throw new VolleyError(
        "PLAYBOOK_INVALID",
        `role "${use.role.name}": there is a handler "${name}" already`,
      );
    this.#handlers.set(name, [this.#handlerTask(name, call, options)]);
  }

  #handlerTask(name: string, call: DeclaredTask["call"], options: DeclaredTask["options"]): DeclaredTask {
    const control = createHandle(name, () => false, this.#asker, this.#isGuess(options));
    return { kind: "task", name, action: actionOf(call), call, options, control, handler: true };
  }

  /** Return the judge of a task's results: is their data a guess? */
  #isGuess({ check, changedWhen, failedWhen }: DeclaredTask["options"]): (result: Result) => boolean {
    const isJudged = changedWhen !== undefined || failedWhen !== undefined;
    return (result) => (check ?? this.context.check) && lacksData(result, isJudged);
  }

  #push(queued: Queued): void {
    this.#queue.push(queued);
    this.#wake?.();
  }

  #interrupt(error: TaskFailed | Cancelled, also?: DeclaredTask): void {
    const next = error instanceof Cancelled || this.#isCleaning ? "cleaning" : "running";
    // Code that was left hears of nothing, but the tasks it declared before are dropped all the same.
    if (this.#phase.kind !== "left") this.#phase = { kind: "interrupted", error, next };
    for (const queued of [...(also === undefined ? [] : [also]), ...this.#queue.splice(0)]) {
      if (queued.kind === "flush") continue;
      // The tasks of an included role are counted where it was declared.
      if (queued.kind === "task") this.#dropped++;
      queued.control.settle({ kind: "dropped", error });
    }
  }

  /** Called before an error is thrown into the code: false where the code is left instead. */
  #tell(error: TaskFailed | Cancelled): boolean {
    const phase = this.#phase;
    if (phase.kind === "left") return false;
    if (error instanceof TaskFailed && this.#failures.has(error)) this.#failures.set(error, true);
    // Any error unwinds the code of a cancelled role, so its `finally` blocks may now declare tasks.
    if (phase.kind === "interrupted" && (phase.error === error || phase.error instanceof Cancelled)) {
      this.#phase = { kind: phase.next };
      if (phase.next === "running") this.#endLimit();
    }
    return true;
  }

  get #isCleaning(): boolean {
    const phase = this.#phase;
    return (phase.kind === "interrupted" ? phase.next : phase.kind) === "cleaning";
  }

  #leave(end: CodeEnd): void {
    this.#phase = { kind: "left" };
    this.#finish(end);
  }

  #finish(end: CodeEnd): void {
    this.#end ??= end;
    this.#endLimit();
    this.#wake?.();
  }

  #endLimit(): void {
    clearTimeout(this.#limit);
    this.#limit = undefined;
  }

  /**
   * The system, with every read waiting until the role's turn has come: earlier roles may still be at work. A read that the
   * cancel finds under way, and the next one after it, unwinds the code.
   */
  #gatedSystem(): ReadSystem {
    const { system, cancel } = this.#options;
    const query: ReadSystem["query"] = (argv, options) =>
      system.query(argv, { signal: this.#isCleaning ? this.closed : cancel, ...options });
    // Not a copy, because uid and gid may be known only when they are asked for.
    const target = Object.assign(Object.create(system) as ReadSystem, { query });
    const unwind = (): void => {
      if (this.#phase.kind !== "interrupted" || !(this.#phase.error instanceof Cancelled)) return;
      const { error } = this.#phase;
      if (this.#tell(error)) throw account(error);
    };
    return new Proxy(target, {
      get: (_target, property) => {
        const value: unknown = Reflect.get(target, property);
        if (typeof value !== "function") return value;
        return async (...args: unknown[]) => {
          await this.#turn;
          unwind();
          try {
            return await (value as (...args: unknown[]) => unknown).apply(target, args);
          } finally {
            unwind();
          }
        };
      },
    });
  }
}

/** An error and everything that caused it. */
function causesOf(thrown: unknown): ReadonlySet<unknown> {
  const found = new Set<unknown>();
  const add = (cause: unknown): void => {
    if (!(cause instanceof Error) || found.has(cause)) return;
    found.add(cause);
    add(cause.cause);
    for (const each of (cause as Partial<AggregateError>).errors ?? []) add(each);
  };
  add(thrown);
  return found;
}

function actionOf(call: DeclaredTask["call"]): string {
  return typeof call === "function" ? "" : call.action;
}

function readHandlers(use: RoleUse, context: RoleContext): ReadonlyMap<string, readonly ActionCall[]> {
  const { handlers } = use.role;
  const declared = (typeof handlers === "function" ? handlers(context) : (handlers ?? {})) as Record<
    string,
    HandlerSpec
  >;
  return new Map(
    Object.entries(declared).map(([name, spec]) => {
      const calls: readonly unknown[] = Array.isArray(spec) ? spec : [spec];
      for (const call of calls) {
        if (isActionCall(call)) continue;
        throw new VolleyError(
          "PLAYBOOK_INVALID",
          `role "${use.role.name}": handler "${name}" must be an action or a list of actions`,
        );
      }
      return [name, calls as readonly ActionCall[]];
    }),
  );
}
