import type { ActionCall } from "../core/action.ts";
import { VolleyError } from "../core/errors.ts";
import type { HandlerSpec, RoleContext, RoleUse, TaskHandle, TasksContext } from "../core/role.ts";
import type { ReadSystem } from "../core/system.ts";
import { checkNotify, checkTask, isActionCall } from "./check-task.ts";
import type { DeclaredTask, Queued } from "./declared-task.ts";
import { isWanted, type TagSelection, tagList } from "./tags.ts";
import { createHandle } from "./task-handle.ts";
import { RoleStopped, UnknownInCheckMode } from "./unknown.ts";

/** What a role's tasks are declared with. */
export interface RoleRunOptions {
  readonly use: RoleUse;
  readonly context: RoleContext;
  readonly system: ReadSystem;
  readonly selection: TagSelection;
  readonly playTags: readonly string[];
  /** The handlers of every role of the play, as `role:handler`. */
  readonly handlersOfPlay: () => readonly string[];
  /** Aborted: what its code asks the system is ended. */
  readonly stop: AbortSignal;
  readonly log: (text: string) => void;
}

/** How a role's own code ended. */
export type RoleEnd =
  | { readonly kind: "done" }
  | { readonly kind: "failed"; readonly error: unknown }
  /** Its code asked something check mode cannot know. */
  | { readonly kind: "unknown"; readonly message: string };

/** One role of one play on this host: the queue between its code, which declares tasks, and the executor, which runs them. */
export class RoleRun {
  readonly use: RoleUse;
  readonly context: RoleContext;
  readonly handlers: ReadonlyMap<string, readonly ActionCall[]>;
  readonly #options: RoleRunOptions;
  readonly #queue: Queued[] = [];
  #end: RoleEnd | undefined;
  #wake: (() => void) | undefined;
  #openGate: (() => void) | undefined;
  readonly #turn: Promise<void>;
  #stopped = false;
  #interrupted = false;

  constructor(options: RoleRunOptions) {
    this.#options = options;
    this.use = options.use;
    this.context = options.context;
    this.#turn = new Promise((resolve) => {
      this.#openGate = resolve;
    });
    this.handlers = readHandlers(options.use, options.context);
  }

  /** Runs the role's code up to its first `await`: what it declares until then is known up front. */
  declare(): void {
    const { use, context, log } = this.#options;
    const tasksContext: TasksContext = {
      ...context,
      task: ((name: string, call: DeclaredTask["call"], options: DeclaredTask["options"] = {}) =>
        this.#declareTask(name, call, options)) as TasksContext["task"],
      system: this.#gatedSystem(),
      flushHandlers: () => this.#push({ kind: "flush" }),
      log,
    };
    try {
      const running = use.role.tasks(tasksContext);
      if (running === undefined) this.#finish({ kind: "done" });
      else
        running.then(
          () => this.#finish({ kind: "done" }),
          (thrown) => this.#finishThrown(thrown),
        );
    } catch (thrown) {
      this.#finishThrown(thrown);
    }
  }

  /** How many tasks are waiting. */
  get waiting(): number {
    return this.declared.length;
  }

  /** The tasks that are waiting, in order. */
  get declared(): readonly DeclaredTask[] {
    return this.#queue.filter((queued): queued is DeclaredTask => queued.kind === "task");
  }

  get end(): RoleEnd | undefined {
    return this.#end;
  }

  /** The next thing to do, waiting for the role's code where it has more to declare; null when it is done or {@link interrupt}ed. */
  async next(): Promise<Queued | null> {
    this.#openGate?.();
    for (;;) {
      const queued = this.#queue.shift();
      if (queued !== undefined) return queued;
      if (this.#end !== undefined || this.#interrupted) return null;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** The role's code is waited for no longer. */
  interrupt(): void {
    this.#interrupted = true;
    this.#wake?.();
  }

  /** Nothing more of this role runs; what waits for its tasks is unwound. Gives the number of tasks not executed. */
  stop(): number {
    this.#stopped = true;
    const left = this.waiting;
    for (const queued of this.#queue.splice(0)) if (queued.kind === "task") queued.control.stop();
    this.#wake?.();
    return left;
  }

  #declareTask(name: string, call: DeclaredTask["call"], options: DeclaredTask["options"]): TaskHandle {
    checkTask(this.use.role.name, name, call, options);
    const control = createHandle(name);
    const { use, selection, playTags } = this.#options;
    checkNotify(
      use.role.name,
      name,
      options.notify,
      [...this.handlers.keys()],
      this.#options.handlersOfPlay(),
    );
    const tags = [...playTags, ...tagList(use.options.tags), ...tagList(options.tags)];
    if (!isWanted(tags, selection)) {
      control.settle({ state: "skipped", message: "not among the tags asked for" }, false);
    } else if (this.#stopped) {
      control.stop();
    } else {
      const action = typeof call === "function" ? lateAction(call, options.loop) : call.action;
      this.#push({ kind: "task", name, action, call, options, control, handler: false });
    }
    return control.handle;
  }

  #push(queued: Queued): void {
    this.#queue.push(queued);
    this.#wake?.();
  }

  #finish(end: RoleEnd): void {
    this.#end = end;
    this.#wake?.();
  }

  #finishThrown(thrown: unknown): void {
    if (thrown instanceof RoleStopped) this.#finish({ kind: "done" });
    else if (thrown instanceof UnknownInCheckMode) this.#finish({ kind: "unknown", message: thrown.message });
    else this.#finish({ kind: "failed", error: thrown });
  }

  /** The system, with every read waiting until the role's turn has come: earlier roles may still be at work. */
  #gatedSystem(): ReadSystem {
    const { system, stop } = this.#options;
    const query: ReadSystem["query"] = (argv, options) => system.query(argv, { signal: stop, ...options });
    // Not a copy: who it is may be known only when it is asked for.
    const target = Object.assign(Object.create(system) as ReadSystem, { query });
    return new Proxy(target, {
      get: (_target, property) => {
        const value: unknown = Reflect.get(target, property);
        if (typeof value !== "function") return value;
        return async (...args: unknown[]) => {
          await this.#turn;
          return (value as (...args: unknown[]) => unknown).apply(target, args);
        };
      },
    });
  }
}

/** The action of a task that is made when its turn comes, for display: asked of a loop's first item, where that can be. */
function lateAction(call: (item: unknown) => ActionCall, loop: Iterable<unknown> | undefined): string {
  // Any other iterable may be one that can be gone through only once.
  if (loop !== undefined && !Array.isArray(loop)) return "";
  const items: readonly unknown[] = loop ?? [undefined];
  try {
    if (items.length > 0) return call(items[0]).action;
  } catch {
    // It needs what earlier tasks find out.
  }
  return "";
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
