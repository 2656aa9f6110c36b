import type { ActionCall } from "../core/action.ts";
import type { TaskRef } from "../core/events.ts";
import type { Result } from "../core/result.ts";
import type { TaskFailed } from "../core/role.ts";
import { checkNotify, isSameHandler, notifyList } from "./check-task.ts";
import type { Ended, Ends, PlayEnd } from "./ended.ts";
import type { GuestEnd, HostHandlers, PlayGuests } from "./guest-types.ts";
import { Cancelled, createHandle, evaluate, Unknown } from "./handle.ts";
import type { DeclaredTask, Include, RoleRun } from "./role.ts";
import { ROLE_SKIPPED } from "./task.ts";

/** The side of the run that a play uses. */
export interface PlayHost {
  /** Give a task its turn and count it. Null: no controller is left to decide whether this host does the task. */
  perform(role: RoleRun, task: DeclaredTask, ends: Ends): Promise<Ended | null>;
  /** A failure counts as rescued. */
  rescue(task: TaskRef): void;
  /** Tell the number of tasks that are still waiting. */
  planned(waiting: number): void;
  readonly ends: Ends;
  /** Run notified handlers although a task has failed. */
  readonly forcesHandlers: boolean;
  readonly log: (level: "info" | "warn", text: string) => void;
  /** Handlers, as `role:handler`, that were notified in an earlier run and have not run. */
  readonly leftOver: readonly string[];
  /** The roles in Ansible's YAML among those of a play in TypeScript. */
  readonly included?: PlayGuests;
  /** The play in YAML that has roles in TypeScript. */
  readonly around?: HostHandlers;
}

/** Run the declared roles of one play in order, and its handlers at the end. */
export async function runPlay(roles: readonly RoleRun[], host: PlayHost): Promise<PlayEnd> {
  return new PlayRun(roles, host).run();
}

/** A play at work: its roles, to which a play in YAML adds, and their handlers. */
export class PlayRun implements HostHandlers {
  readonly #roles: RoleRun[];
  readonly #host: PlayHost;
  readonly #handlers: Handlers;
  /** The tasks that failed, for those whose failure is rescued. */
  readonly #failures = new Map<TaskFailed, TaskRef>();
  /** The role whose turn it is. */
  #active: RoleRun | undefined;
  #isBusy = false;
  /** The handler now running, and the number of its tasks that are left. */
  #running: { readonly handler: Handler; readonly left: number; readonly error?: TaskFailed } | undefined;
  /** Tasks of handlers that failed before them. */
  #dropped = 0;
  #isFailed = false;
  /** True once no controller was left to answer a question. */
  #isOrphaned = false;

  constructor(roles: readonly RoleRun[], host: PlayHost) {
    this.#roles = [...roles];
    this.#host = host;
    this.#handlers = new Handlers(this.#roles, host);
    host.included?.meet(this);
  }

  run(): Promise<PlayEnd> {
    return this.#following(async () => {
      this.#takeLeftOver();
      for (const role of this.#roles) {
        if (this.#isOver) break;
        await this.#runRole(role);
        if (role.endsPlay) return this.end();
      }
      if (!this.#isOver || (this.#host.forcesHandlers && !this.#isCancelled && this.#running === undefined))
        await this.#flush();
      return this.end();
    });
  }

  /** Run one more role. The play around it may have rescued the failure of an earlier one. */
  runAlso(role: RoleRun): Promise<Pick<PlayEnd, "failed" | "cancelled">> {
    this.#roles.push(role);
    return this.#following(async () => {
      this.#isFailed = false;
      await this.#runRole(role);
      return { failed: this.#isFailed, cancelled: this.#isCancelled };
    });
  }

  /** Run the handlers that were notified. */
  flush(): Promise<Pick<PlayEnd, "failed" | "cancelled">> {
    return this.#following(async () => {
      this.#isFailed = false;
      this.#takeLeftOver();
      await this.#flush();
      return { failed: this.#isFailed, cancelled: this.#isCancelled };
    });
  }

  /** Notify a handler, as `role:handler`; false when the play has none of this name. */
  notify(name: string): boolean {
    return this.#handlers.notifyByName(name);
  }

  get handlers(): readonly string[] {
    return [...this.#handlers.all()].map(fullName);
  }

  /** End the play: close every role. */
  end(): PlayEnd {
    const notExecuted = this.#close();
    const guests = this.#host.included?.opened?.close();
    return {
      failed: this.#isFailed,
      cancelled: this.#isCancelled,
      notExecuted: notExecuted + (guests?.notExecuted ?? 0),
      pending: this.#isOver
        ? [...this.#handlers.pending(this.#running?.handler), ...(guests?.pending ?? [])]
        : [],
    };
  }

  /** Work under the signals that end the run. */
  async #following<T>(work: () => Promise<T>): Promise<T> {
    const { cancel, kill } = this.#host.ends;
    const onCancel = (): void => {
      this.#active?.cancel();
      // The code has its time to clean up from the end of the action now running.
      if (!this.#isBusy) this.#active?.limit();
    };
    const onKill = (): void => this.#active?.close();
    cancel.addEventListener("abort", onCancel, { once: true });
    kill.addEventListener("abort", onKill, { once: true });
    try {
      return await work();
    } finally {
      cancel.removeEventListener("abort", onCancel);
      kill.removeEventListener("abort", onKill);
    }
  }

  get #isCancelled(): boolean {
    const { cancel, kill } = this.#host.ends;
    return cancel.aborted || kill.aborted || this.#isOrphaned;
  }

  get #isOver(): boolean {
    return this.#isFailed || this.#isCancelled;
  }

  /** The number of tasks that are known of and have not had their turn. */
  get waiting(): number {
    return this.#roles.reduce(
      (sum, { waiting, dropped }) => sum + waiting + dropped,
      this.#handlers.waiting +
        (this.#running?.left ?? 0) +
        this.#dropped +
        (this.#host.included?.opened?.waiting ?? 0),
    );
  }

  readonly #replan = (): void => this.#host.planned(this.waiting);

  /** Close every role, and give the number of tasks that were not executed. */
  #close(): number {
    const handlers = this.#isOver ? this.#handlers.waiting + (this.#running?.left ?? 0) : 0;
    for (const role of this.#roles) role.close();
    return this.#roles.reduce((sum, { dropped }) => sum + dropped, handlers + this.#dropped);
  }

  #takeLeftOver(): void {
    for (const name of this.#handlers.takeLeftOver())
      this.#host.log(
        "info",
        `handler ${name} is left over from an earlier run: it runs at the end of this play`,
      );
  }

  async #runRole(role: RoleRun): Promise<void> {
    this.#active = role;
    for (let queued = await role.next(); queued !== null; queued = await role.next()) {
      this.#takeLeftOver();
      this.#host.planned(this.waiting + (queued.kind === "task" ? 1 : 0));
      if (queued.kind === "task") await this.#runTask(role, queued);
      else if (queued.kind === "include") await this.#runIncluded(role, queued);
      else await this.#flush(role);
    }
    this.#active = undefined;
    this.#takeLeftOver();
    this.#replan();
    const { rescued, failed, fault, unknown } = role.outcome();
    for (const error of rescued) {
      this.#host.rescue(this.#failures.get(error)!);
      // The role's code has dealt with the handler that failed: it is not left over.
      if (this.#running?.error === error) this.#running = undefined;
    }
    if (fault !== undefined) {
      this.#host.planned(this.waiting + 1);
      await this.#perform(role, faultTask(role, fault.thrown));
    }
    if (failed) this.#isFailed = true;
    if (unknown !== undefined)
      this.#host.log("warn", `role "${role.use.role.name}": the rest cannot be predicted: ${unknown}`);
  }

  async #runTask(role: RoleRun, task: DeclaredTask): Promise<void> {
    const ended = await this.#perform(role, task);
    if (ended === null) {
      this.#isOrphaned = true;
      role.cancel(task);
    } else {
      const { result } = ended;
      this.#handlers.notify(role, task, result);
      // An action or its retries that the cancel cut short.
      if (hasFailed(result)) {
        if (this.#isCancelled && result.error?.code === "CANCELLED")
          task.control.settle({ kind: "dropped", result, error: new Cancelled() });
        else this.#failures.set(role.fail(task, result), ended.ref);
      } else if (result === ROLE_SKIPPED) {
        // The code of a role that is not wanted on this host must not go on with results that are not there.
        task.control.settle({ kind: "dropped", result, error: new Cancelled("the role is skipped") });
      } else task.control.settle({ kind: "done", result });
    }
    if (this.#isCancelled) role.limit();
  }

  /** Run a role in Ansible's YAML. Its failure is that of a task of the role that includes it. */
  async #runIncluded(role: RoleRun, include: Include): Promise<void> {
    const guests = this.#host.included!.opened!;
    let holds: boolean | Unknown;
    try {
      holds = await evaluate(include.name, () => isIncluded(role, include));
    } catch (thrown) {
      const fault = faultTask(role, thrown);
      const ended = await this.#perform(role, { ...fault, name: `the condition of ${include.name}` });
      guests.skip(include.guest);
      this.#failures.set(role.fail(include, ended!.result), ended!.ref);
      return;
    }
    if (holds !== true) {
      guests.skip(include.guest);
      const result: Result =
        holds === false
          ? { state: "skipped", message: "its condition does not hold" }
          : { state: "skipped", unknown: true, message: holds.reason };
      include.control.settle({ kind: "done", result });
      return;
    }
    this.#isBusy = true;
    let end: GuestEnd;
    try {
      end = await guests.run(include.guest, this.#replan);
    } finally {
      this.#isBusy = false;
    }
    if (end.failure !== undefined) this.#failGuest(role, end.failure, include);
    else if (end.cancelled) include.control.settle({ kind: "dropped", error: new Cancelled() });
    else {
      const result: Result = {
        state: end.changed ? "changed" : "unchanged",
        data: end.vars ?? {},
        ...(end.unknown ? { unknown: true, message: "the role has tasks whose results are not known" } : {}),
      };
      include.control.settle({ kind: "done", result });
    }
    if (this.#isCancelled) role.limit();
  }

  /** Throw the failure of a guest's task or handler into the code of the role that it came in. */
  #failGuest(role: RoleRun, { ref, result }: NonNullable<GuestEnd["failure"]>, include?: Include): void {
    const control = include === undefined ? {} : { control: include.control };
    this.#failures.set(role.fail({ name: `${ref.role} : ${ref.name}`, ...control }, result), ref);
  }

  /** Run the handlers of guests; false where one failed, or the run was cancelled. */
  async #flushGuests(flushing: RoleRun | undefined): Promise<boolean> {
    const guests = this.#host.included?.opened;
    if (guests === undefined) return true;
    const { failure, cancelled } = await guests.flush(this.#replan);
    if (failure !== undefined) {
      if (flushing === undefined) this.#isFailed = true;
      else this.#failGuest(flushing, failure);
    }
    return failure === undefined && !cancelled;
  }

  /**
   * Run the notified handlers in the order declared, each once. At the end of the play handlers that handlers notify run
   * too; at a flush point within a role those that come earlier wait for the next one.
   */
  async #flush(role?: RoleRun): Promise<void> {
    const ran = new Set<string>();
    const isDue = (handler: Handler): boolean => this.#handlers.isNotified(handler) && !ran.has(handler.key);
    do {
      for (const handler of this.#handlers.all()) {
        if (!isDue(handler)) continue;
        if (this.#isCancelled) return;
        ran.add(handler.key);
        if (!(await this.#runHandler(handler, role))) return;
      }
      if (!(await this.#flushGuests(role))) return;
    } while (role === undefined && [...this.#handlers.all()].some(isDue));
  }

  /** Run a handler, and return whether the flush continues. A failure at a flush point is thrown into the role's code. */
  async #runHandler(handler: Handler, flushing: RoleRun | undefined): Promise<boolean> {
    const tasks = this.#handlers.take(handler);
    for (const [index, task] of tasks.entries()) {
      this.#running = { handler, left: tasks.length - index };
      if (this.#isCancelled) return false;
      this.#replan();
      this.#running = { handler, left: tasks.length - index - 1 };
      const ended = await this.#perform(handler.role, this.#checked(handler, task));
      if (ended === null) continue;
      this.#handlers.notify(handler.role, task, ended.result);
      if (!hasFailed(ended.result)) continue;
      this.#dropped += tasks.length - index - 1;
      this.#running = { handler, left: 0 };
      if (flushing === undefined) this.#isFailed = true;
      else {
        const error = flushing.fail(task, ended.result);
        this.#failures.set(error, ended.ref);
        this.#running = { handler, left: 0, error };
      }
      return false;
    }
    this.#running = undefined;
    return true;
  }

  /** The task of a handler, or one that fails in its place because it notifies no handler. */
  #checked({ role }: Handler, task: DeclaredTask): DeclaredTask {
    try {
      this.#handlers.checkNotify(role, task);
      return task;
    } catch (error) {
      return { ...task, call: failingCall(error), options: {} };
    }
  }

  async #perform(role: RoleRun, task: DeclaredTask): Promise<Ended | null> {
    // The tasks that clean up after a cancel end with the time they have.
    const ends = this.#isCancelled ? { cancel: role.closed, kill: role.closed } : this.#host.ends;
    this.#isBusy = true;
    try {
      return await this.#host.perform(role, task, ends);
    } finally {
      this.#isBusy = false;
    }
  }
}

/** Ask the conditions of an included role: those of its use, and of the role that includes it. */
async function isIncluded({ use, context }: RoleRun, { options }: Include): Promise<boolean> {
  for (const { when } of [use.options, options])
    if (when !== undefined && !(typeof when === "function" ? await when(context) : when)) return false;
  return true;
}

function hasFailed({ state, ignored }: Result): boolean {
  return state === "failed" && ignored !== true;
}

/** Code of a role's own that threw is shown and counted as a task that failed. */
function faultTask(role: RoleRun, error: unknown): DeclaredTask {
  return {
    kind: "task",
    name: "the role's own code",
    action: "",
    call: failingCall(error),
    options: {},
    control: createHandle(
      role.use.role.name,
      () => false,
      { onUnknown: () => {} },
      () => false,
    ),
    handler: false,
  };
}

function failingCall(error: unknown): ActionCall {
  const reject = (): Promise<never> => Promise.reject(error);
  return { action: "", params: {}, title: "", inspect: reject, apply: reject };
}

/** A handler of one of a play's roles. */
interface Handler {
  readonly key: string;
  readonly role: RoleRun;
  readonly name: string;
  readonly tasks: readonly DeclaredTask[];
}

const PERHAPS = new Unknown("whether it is notified depends on what check mode cannot know");

/** The handlers of a play, and which of them were notified and have not run. */
class Handlers {
  readonly #roles: readonly RoleRun[];
  /** By key; a handler that may have been notified, which only a real run tells, is `perhaps`. */
  readonly #notified = new Map<string, "certain" | "perhaps">();
  /** Handlers, as `role:handler`, that an earlier run left over and no role has declared yet. */
  readonly #leftOver: Set<string>;
  readonly #host: Pick<PlayHost, "leftOver" | "included" | "around">;

  constructor(roles: readonly RoleRun[], host: Pick<PlayHost, "leftOver" | "included" | "around">) {
    this.#roles = roles;
    this.#host = host;
    this.#leftOver = new Set(host.leftOver);
  }

  /** Notify the handlers that an earlier run left over and that are declared by now; gives their names. */
  takeLeftOver(): readonly string[] {
    const taken: string[] = [];
    if (this.#leftOver.size === 0) return taken;
    for (const handler of this.all()) {
      if (!this.#leftOver.delete(fullName(handler))) continue;
      this.#notified.set(handler.key, "certain");
      taken.push(fullName(handler));
    }
    return taken;
  }

  /** Refuse the `notify` of a handler whose turn has come. Fails with `PLAYBOOK_INVALID`. */
  checkNotify(from: RoleRun, { name, options }: DeclaredTask): void {
    const others = [...(this.#elsewhere?.handlers ?? [])];
    const declared = { own: [...from.handlers.keys()], all: [...this.all()].map(fullName).concat(others) };
    checkNotify(from.use.role.name, `handler "${name}"`, options.notify, declared);
  }

  /** Notify the handlers a task names, where it changed or may have changed something on this host. */
  notify(from: RoleRun, { options }: DeclaredTask, { state, unknown, from: elsewhere }: Result): void {
    if ((state !== "changed" && unknown !== true) || elsewhere !== undefined) return;
    for (const name of notifyList(options.notify)) {
      const key = this.#find(from, name);
      if (key === undefined) {
        // A handler in YAML is not notified on a guess.
        if (state === "changed") this.#elsewhere?.notify(name);
        continue;
      }
      if (state === "changed") this.#notified.set(key, "certain");
      else if (!this.#notified.has(key)) this.#notified.set(key, "perhaps");
    }
  }

  /** The handlers of the other language in this play. */
  get #elsewhere(): HostHandlers | undefined {
    return this.#host.around ?? this.#host.included?.opened;
  }

  /** Notify a handler of the play as the other language names it, `role:handler`; false when there is none. */
  notifyByName(name: string): boolean {
    const found = [...this.all()].find((handler) => isSameHandler(fullName(handler), name));
    if (found !== undefined) this.#notified.set(found.key, "certain");
    return found !== undefined;
  }

  /** All handlers in the order declared, those that are added meanwhile included. */
  *all(): Generator<Handler> {
    for (const role of this.#roles)
      for (const [name, tasks] of role.handlers) yield { key: this.#keyOf(role, name), role, name, tasks };
  }

  /** Return whether a handler was notified and has not run. */
  isNotified(handler: Handler): boolean {
    return this.#notified.has(handler.key);
  }

  /** Take the tasks of a notified handler, to be run. */
  take(handler: Handler): readonly DeclaredTask[] {
    const isCertain = this.#notified.get(handler.key) === "certain";
    this.#notified.delete(handler.key);
    return isCertain ? handler.tasks : handler.tasks.map((task) => ({ ...task, unknown: PERHAPS }));
  }

  /** The number of tasks in notified handlers. */
  get waiting(): number {
    let count = 0;
    for (const handler of this.all()) if (this.isNotified(handler)) count += handler.tasks.length;
    return count;
  }

  /** The handlers, as `role:handler`, that were notified for certain and have not run; `also` is one that failed. */
  pending(also?: Handler): readonly string[] {
    return [...this.all()]
      .filter(({ key }) => this.#notified.get(key) === "certain" || key === also?.key)
      .map(fullName);
  }

  #keyOf(role: RoleRun, name: string): string {
    return `${this.#roles.indexOf(role)}:${name}`;
  }

  /** The key of the handler that a task means: one of its own role, or `role:handler`. Its `notify` has been checked. */
  #find(from: RoleRun, name: string): string | undefined {
    if (from.handlers.has(name)) return this.#keyOf(from, name);
    return [...this.all()].find((handler) => isSameHandler(fullName(handler), name))?.key;
  }
}

function fullName({ role, name }: Handler): string {
  return `${role.use.role.name}:${name}`;
}
