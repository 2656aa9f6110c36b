import type { ActionCall } from "../core/action.ts";
import { resolveRoleVars } from "../core/define.ts";
import { VolleyError } from "../core/errors.ts";
import type { Facts } from "../core/facts.ts";
import type { Vars } from "../core/json.ts";
import { plain, plainVars } from "../core/plain-vars.ts";
import type { PlayDefinition } from "../core/playbook.ts";
import type { Job } from "../core/protocol.ts";
import type {
  HandlerSpec,
  LoopOptions,
  RoleContext,
  RoleUse,
  TaskHandle,
  TaskOptions,
  TasksContext,
} from "../core/role.ts";
import type { ReadSystem } from "../core/system.ts";
import { isRendered, viewScope } from "../vars/scope.ts";
import { checkNotify, checkTask, isActionCall, isWanted, type TagSelection, tagList } from "./check-task.ts";
import { roleVariables } from "./context.ts";
import { createHandle, type HandleControl, RoleStopped, UnknownInCheckMode } from "./handle.ts";
import { whenLooked } from "./render.ts";

/** A task as its role declared it, waiting for its turn. */
export interface DeclaredTask {
  readonly kind: "task";
  readonly name: string;
  /** The action's name; of a loop, that of its first item. */
  readonly action: string;
  readonly call: ActionCall | ((item: unknown) => ActionCall);
  readonly options: TaskOptions<string, never> & Partial<LoopOptions<unknown, string, never>>;
  readonly control: HandleControl;
  readonly handler: boolean;
}

/** An entry of a role's queue. */
type Queued = DeclaredTask | { readonly kind: "flush" };

/** Everything the roles of a play are declared with. */
export interface DeclareOptions {
  readonly play: PlayDefinition;
  readonly job: Job;
  /** The vars every template of the play sees. */
  readonly hostVars: Vars;
  readonly facts: Facts;
  readonly systemOf: (become: boolean | string | undefined) => ReadSystem;
  /** Aborted: queries of a role's own code are ended. */
  readonly cancel: AbortSignal;
  readonly log: (text: string) => void;
}

/** Have the roles of a play declare their tasks, each up to its first `await`. */
export async function declareRoles(options: DeclareOptions): Promise<readonly RoleRun[]> {
  const roles: RoleRun[] = [];
  const handlersOfPlay = (): readonly string[] =>
    roles.flatMap(({ use, handlers }) => [...handlers.keys()].map((name) => `${use.role.name}:${name}`));
  for (const use of options.play.roles) roles.push(await prepareRole(use, handlersOfPlay, options));
  for (const role of roles) role.declare();
  return roles;
}

async function prepareRole(
  use: RoleUse,
  handlersOfPlay: () => readonly string[],
  { play, job, hostVars, facts, systemOf, cancel, log }: DeclareOptions,
): Promise<RoleRun> {
  const system = systemOf(use.options.become);
  const { vars: playVars = {} } = play;
  const scope = roleVariables(hostVars, playVars, use, use.vars);
  const seen = plainVars(viewScope(scope, job.vars, playVars), playVars);
  const vars = await whenLooked(() =>
    resolveRoleVars(use, seen, job.host, (name) => isRendered(scope, name)),
  );
  const own = use.role.facts === undefined ? {} : ((await use.role.facts(system, facts)) as object);
  const context: RoleContext = {
    vars,
    // Facts may be known only when they are asked for, so they are copied only where the role adds its own.
    facts: use.role.facts === undefined ? facts : { ...facts, ...own },
    host: { name: job.host, groups: job.groups, vars: plainVars(viewScope(hostVars, job.vars)) },
    groups: job.inventoryGroups ?? UNSENT,
    hostVars: plain(job.hostVars) as Job["hostVars"],
    check: job.options.check,
  };
  const playTags = tagList(play.tags);
  return new RoleRun({
    use,
    context,
    system,
    selection: job.options,
    playTags,
    handlersOfPlay,
    cancel,
    log,
  });
}

/** Stands for groups that were not sent because nothing seemed to ask for them: an error is better than no groups. */
const UNSENT: RoleContext["groups"] = new Proxy(
  {},
  {
    get: (_groups, name) => {
      if (typeof name === "symbol") return undefined;
      throw new VolleyError("PLAYBOOK_INVALID", "the inventory's groups were not sent to this host", {
        hint: "they are where the playbook's code has the word `groups`",
      });
    },
  },
);

/** Everything a role's tasks are declared with. */
interface RoleRunOptions {
  readonly use: RoleUse;
  readonly context: RoleContext;
  readonly system: ReadSystem;
  readonly selection: TagSelection;
  readonly playTags: readonly string[];
  /** The handlers of every role of the play, as `role:handler`. */
  readonly handlersOfPlay: () => readonly string[];
  readonly cancel: AbortSignal;
  readonly log: (text: string) => void;
}

/** How a role's own code ended. */
type RoleEnd =
  | { readonly kind: "done" }
  | { readonly kind: "failed"; readonly error: unknown }
  /** Its code asked something check mode cannot know. */
  | { readonly kind: "unknown"; readonly message: string };

/** One role of one play on this host: the queue between its code, which declares tasks, and the play, which runs them. */
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
  #isClosed = false;
  #isCancelled = false;

  constructor(options: RoleRunOptions) {
    this.#options = options;
    this.use = options.use;
    this.context = options.context;
    this.#turn = new Promise((resolve) => {
      this.#openGate = resolve;
    });
    this.handlers = readHandlers(options.use, options.context);
  }

  /** Run the role's code up to its first `await`: the tasks it declares until then are known up front. */
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

  /** The number of tasks that are waiting. */
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

  /** The next entry, waiting for the role's code where it may declare more; null when it is done or {@link cancel}led. */
  async next(): Promise<Queued | null> {
    this.#openGate?.();
    for (;;) {
      const queued = this.#queue.shift();
      if (queued !== undefined) return queued;
      if (this.#end !== undefined || this.#isCancelled) return null;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Wait no longer for the role's code. */
  cancel(): void {
    this.#isCancelled = true;
    this.#wake?.();
  }

  /** Run nothing more of this role; code that waits for its tasks is unwound. */
  close(): void {
    this.#isClosed = true;
    for (const queued of this.#queue.splice(0)) if (queued.kind === "task") queued.control.drop();
    this.#wake?.();
  }

  #declareTask(name: string, call: DeclaredTask["call"], options: DeclaredTask["options"]): TaskHandle {
    const { use, selection, playTags, handlersOfPlay } = this.#options;
    checkTask(use.role.name, name, call, options);
    const control = createHandle(name);
    checkNotify(use.role.name, name, options.notify, [...this.handlers.keys()], handlersOfPlay());
    const tags = [...playTags, ...tagList(use.options.tags), ...tagList(options.tags)];
    if (!isWanted(tags, selection)) {
      control.settle({ state: "skipped", message: "not among the tags asked for" }, false);
    } else if (this.#isClosed) {
      control.drop();
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
    const { system, cancel } = this.#options;
    const query: ReadSystem["query"] = (argv, options) => system.query(argv, { signal: cancel, ...options });
    // Not a copy, because uid and gid may be known only when they are asked for.
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

/** The name of an action that is made when its turn comes, for display; a loop is asked for its first item's, if it can be. */
function lateAction(call: (item: unknown) => ActionCall, loop: Iterable<unknown> | undefined): string {
  // Any other iterable may be one that can be gone through only once.
  if (loop !== undefined && !Array.isArray(loop)) return "";
  const items: readonly unknown[] = loop ?? [undefined];
  try {
    if (items.length > 0) return call(items[0]).action;
  } catch {
    // The action needs what earlier tasks find out.
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
