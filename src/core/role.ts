import type { ActionCall } from "./action.ts";
import { VolleyError } from "./errors.ts";
import type { Facts } from "./facts.ts";
import type { Result, State } from "./result.ts";
import type { ReadSystem } from "./system.ts";
import type { Vars } from "./values/json.ts";

/** A value, or a function called for the value when the task's turn comes. */
type Condition<A extends readonly unknown[] = []> = boolean | ((...args: A) => boolean | Promise<boolean>);

/** The options of a task: everything but its name and action. */
export interface TaskOptions<H extends string = string, D = unknown, A extends readonly unknown[] = []> {
  /** Skip the task unless this holds. */
  readonly when?: Condition<A>;
  /** Handlers to run at the end of the play if the task changes anything; `role:handler` names another role's. */
  readonly notify?: H | readonly H[] | (string & {}) | readonly (string & {})[];
  readonly tags?: string | readonly string[];
  /** `true`: never apply, only inspect; `false`: apply even in check mode. */
  readonly check?: boolean;
  /** Let the role continue when the task fails. */
  readonly ignoreErrors?: boolean;
  /** Decides what counts as a change. */
  readonly changedWhen?: boolean | ((result: TaskResult<D>) => boolean);
  /** Decides what counts as a failure. */
  readonly failedWhen?: boolean | ((result: TaskResult<D>) => boolean);
  /** Repeat the task, `retries` times at most, until this holds. Also called with the result of a failed attempt. */
  readonly until?: (result: TaskResult<D>) => boolean;
  /** Number of attempts after the first. Default 3. Without `until`, repeat until the task does not fail. */
  readonly retries?: number;
  /** Seconds between attempts. Default 5. */
  readonly delay?: number;
  /** Time limit of the whole task in seconds, including all attempts and all items of a loop. Default: no limit. */
  readonly timeout?: number;
  /**
   * Do the task only on the first host of the play's batch. The other hosts wait for its result, and fail when the task
   * failed. Handlers are notified on the first host alone.
   */
  readonly runOnce?: boolean;
  /**
   * `"controller"`: perform the action on the machine that runs Volley, as the user who runs Volley, once for each host.
   * Conditions (`when`, `until`, …) are evaluated on the host. The controller performs only actions that it also finds
   * declared in its own copy of the playbook: before any `await`, and without asking for facts. A carried bundle has no
   * controller.
   */
  readonly delegateTo?: "controller";
  /** Keep output, diff and data out of events, journal and screen. */
  readonly noLog?: boolean;
  /** The user to run the task as; `true`: root, `false`: the login user. Default: the role's. */
  readonly become?: boolean | string;
  /** Template variables for this task alone. */
  readonly vars?: Vars;
}

/** A task done once per item. */
export interface LoopOptions<T, H extends string = string, D = unknown> extends TaskOptions<H, D, [item: T]> {
  readonly loop: Iterable<T>;
  /** Return the name of an item on screen. Default: the item, or its `name`. */
  readonly label?: (item: T) => string;
}

/** A Result with typed data and predicates for roles. */
export interface TaskResult<D = unknown> extends Result {
  readonly data: D;
  readonly changed: boolean;
  readonly skipped: boolean;
  readonly failed: boolean;
}

/**
 * A declared task. Awaiting it waits for its turn and gives its result, or throws {@link TaskFailed} if the task fails and
 * has no `ignoreErrors`. Its other properties can be read in a later task's `when`.
 */
export interface TaskHandle<D = unknown> extends PromiseLike<TaskResult<D>> {
  readonly name: string;
  readonly state: State;
  readonly changed: boolean;
  readonly skipped: boolean;
  readonly failed: boolean;
  readonly data: D;
}

/**
 * Thrown by awaiting a task that failed, or a task behind it that was therefore not executed. Code that catches it continues,
 * and the failure counts as rescued when the role's code ends without throwing it again.
 */
export class TaskFailed<D = unknown> extends VolleyError {
  override readonly name = "TaskFailed";
  /** The name of the task that failed. */
  readonly task: string;
  readonly result: TaskResult<D>;

  constructor(task: string, result: TaskResult<D>) {
    const { code = "ACTION_FAILED", message = "it failed", hint } = result.error ?? {};
    super(code, `task "${task}" failed: ${message}`, hint === undefined ? {} : { hint });
    this.task = task;
    this.result = result;
  }
}

/** Declares a task. */
interface DeclareTask<H extends string = string> {
  // First, because TypeScript fixes the types of a function's parameters by the first signature that may fit.
  <D, T>(
    name: string,
    call: (item: T) => ActionCall<D>,
    options: LoopOptions<T, H, D>,
  ): TaskHandle<readonly D[]>;
  /** A function is asked for the action when the task's turn comes: it may read what earlier tasks found out. */
  <D>(name: string, call: ActionCall<D> | (() => ActionCall<D>), options?: TaskOptions<H, D>): TaskHandle<D>;
}

/** Declares a handler, behind those declared so far. Tasks declared from now on may notify it. */
export interface DeclareHandler {
  <D, T>(
    name: string,
    call: (item: T) => ActionCall<D>,
    options: HandlerOptions<LoopOptions<T, string, D>>,
  ): void;
  <D>(
    name: string,
    call: ActionCall<D> | (() => ActionCall<D>),
    options?: HandlerOptions<TaskOptions<string, D>>,
  ): void;
}

/** The options of a task but those that make no sense for a task which may run several times, or not on every host. */
export type HandlerOptions<O> = Omit<O, "runOnce" | "delegateTo" | "tags">;

/** The host a role runs for. */
interface HostInfo {
  readonly name: string;
  /** The groups it is in, nearest first, without `all`. */
  readonly groups: readonly string[];
  readonly vars: Vars;
}

/** The values that every part of a role can use. */
export interface RoleContext<V = Vars, F = unknown> {
  readonly vars: V;
  readonly facts: Facts & F;
  readonly host: HostInfo;
  /** Every group of the inventory with the names of its hosts. */
  readonly groups: Readonly<Record<string, readonly string[]>>;
  /** The vars of other hosts that the play's `hostVars` asked for. */
  readonly hostVars: Readonly<Record<string, Vars>>;
  readonly check: boolean;
}

/** The context of a role's `tasks`. */
export interface TasksContext<V = Vars, H extends string = string, F = unknown> extends RoleContext<V, F> {
  readonly task: DeclareTask<H>;
  /** Declares a handler with the options of a task; `handlers` of the role holds those known before its code runs. */
  readonly handler: DeclareHandler;
  /** The machine, for reading; a read waits for the role's turn. */
  readonly system: ReadSystem;
  /** Run the handlers notified so far when its turn comes. */
  flushHandlers(): void;
  /** Show a line. */
  log(text: string): void;
}

/** An action, or several in a row. */
export type HandlerSpec = ActionCall | readonly ActionCall[];

/** A role's definition, for {@link defineRole}. */
export interface RoleDefinition<V, H extends string, F> {
  readonly name: string;
  readonly doc?: string;
  /** Any Standard Schema (valibot, zod, arktype …); host vars of the same names fill what the play does not give. */
  readonly vars?: StandardSchemaV1<unknown, V>;
  /** Custom facts, found out before the role's tasks are declared. */
  readonly facts?: (system: ReadSystem, facts: Facts) => Promise<F> | F;
  /** Run once each at the end of the play, in the order declared here. */
  readonly handlers?:
    | Readonly<Record<H, HandlerSpec>>
    | ((context: RoleContext<V, F>) => Readonly<Record<H, HandlerSpec>>);
  /** Declare the tasks. */
  tasks(context: TasksContext<V, H, F>): void | Promise<void>;
}

/** A role with nothing left of its types: as the executor sees it. */
export interface AnyRole {
  readonly name: string;
  readonly doc?: string;
  readonly vars?: StandardSchemaV1<unknown, unknown>;
  readonly facts?: (system: ReadSystem, facts: Facts) => unknown;
  readonly handlers?: unknown;
  tasks(context: TasksContext): void | Promise<void>;
  /** The directory of the role's assets, relative to the project; set by the build for the file that defines the role. */
  readonly directory: string | undefined;
}

/** Options of a role within one play. */
export interface RoleUseOptions {
  readonly tags?: string | readonly string[];
  readonly when?: Condition<[context: RoleContext]>;
  /** The user to run the role's tasks and handlers as; `true`: root, `false`: the login user. Default: the play's. */
  readonly become?: boolean | string;
}

/** A role with the vars and options a play gives it. */
export interface RoleUse {
  readonly role: AnyRole;
  readonly vars: Vars;
  readonly options: RoleUseOptions;
  /** An error that is never thrown, for its stack: the place where the play uses the role. */
  readonly origin?: Error;
}

/** A role as playbooks use it: called with vars, it is a part of a play. */
export interface Role<V> {
  (vars?: Partial<V>, options?: RoleUseOptions): RoleUse;
  readonly role: AnyRole;
}

/** The part of the Standard Schema interface (version 1) that Volley reads; valibot, zod and arktype schemas have it. */
export interface StandardSchemaV1<Input = unknown, Output = Input> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => StandardResult<Output> | Promise<StandardResult<Output>>;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  };
}

/** The verdict of a Standard Schema on a value. */
export type StandardResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | { readonly issues: readonly StandardIssue[] };

/** A fault of a value. */
export interface StandardIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}
