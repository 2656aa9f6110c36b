import type { Result } from "../core/result.ts";
import { checkNotify, isSameHandler, notifyList } from "./check-task.ts";
import { Unknown } from "./handle.ts";
import type { DeclaredTask, RoleRun } from "./role.ts";

/** A handler of one of a play's roles. */
export interface Handler {
  readonly key: string;
  readonly role: RoleRun;
  readonly name: string;
  readonly tasks: readonly DeclaredTask[];
}

const PERHAPS = new Unknown("whether it is notified depends on what check mode cannot know");

/** The handlers of a play, and which of them were notified and have not run. */
export class Handlers {
  readonly #roles: readonly RoleRun[];
  /** By key; a handler that may have been notified, which only a real run tells, is `perhaps`. */
  readonly #notified = new Map<string, "certain" | "perhaps">();
  /** Handlers, as `role:handler`, that an earlier run left over and no role has declared yet. */
  readonly #leftOver: Set<string>;

  constructor(roles: readonly RoleRun[], leftOver: readonly string[]) {
    this.#roles = roles;
    this.#leftOver = new Set(leftOver);
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
    const declared = { own: [...from.handlers.keys()], all: [...this.all()].map(fullName) };
    checkNotify(from.use.role.name, `handler "${name}"`, options.notify, declared);
  }

  /** Notify the handlers a task names, where it changed or may have changed something on this host. */
  notify(from: RoleRun, { options }: DeclaredTask, { state, unknown, from: elsewhere }: Result): void {
    if ((state !== "changed" && unknown !== true) || elsewhere !== undefined) return;
    for (const name of notifyList(options.notify)) {
      const key = this.#find(from, name);
      if (key === undefined) continue;
      if (state === "changed") this.#notified.set(key, "certain");
      else if (!this.#notified.has(key)) this.#notified.set(key, "perhaps");
    }
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
