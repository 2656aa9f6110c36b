import { VolleyError } from "../core/errors.ts";
import type { Vars } from "../core/values/vars.ts";
import { isSameHandler } from "../engine/check-task.ts";
import type { Frame, RoleInstance } from "./frame.ts";
import type { Interpreter } from "./interpreter.ts";
import type { Node, TaskNode } from "./ir.ts";

/** A handler of a play. */
interface Handler {
  readonly node: TaskNode;
  readonly frame: Frame;
  /** The role it stands in, by its path. */
  readonly role: RoleInstance | undefined;
}

/** The handlers of a play in the order they are defined, and which of them were notified. */
export class Handlers {
  readonly #interpreter: Interpreter;
  readonly #handlers: Handler[] = [];
  readonly #notified = new Set<Handler>();
  readonly #roles = new Set<string>();
  /** Handlers before this one wait for the next round. */
  #position = 0;
  #rounds = 0;
  /** Notifies a handler in TypeScript. */
  readonly #elsewhere: (name: string) => boolean;

  constructor(interpreter: Interpreter, elsewhere: (name: string) => boolean) {
    this.#interpreter = interpreter;
    this.#elsewhere = elsewhere;
  }

  /** Add the handlers of a role and of its dependencies, once. */
  addRole(role: RoleInstance, parent: Frame): void {
    for (const dependency of role.dependencies) this.addRole(dependency, parent);
    const key = `${role.node.path}:${role.use.from.handlers ?? "main"}`;
    if (this.#roles.has(key)) return;
    this.#roles.add(key);
    const found = this.#interpreter.roleTasks(role, "handlers");
    if (found === undefined) return;
    const { vars: _given, tags: _tags, when: _when, ...keys } = role.use.keys;
    this.add(found.nodes, { parent, keys, vars: {}, role, file: found.path });
  }

  /** Add handlers: tasks, those of blocks and imported files included. */
  add(nodes: readonly Node[], frame: Frame): void {
    for (const node of nodes) {
      if (node.kind === "task") this.#handlers.push({ node, frame, role: frame.role });
      else if (node.kind === "block") {
        const { vars = {}, ...keys } = node.keys;
        this.add(node.block, {
          parent: frame,
          keys,
          vars: vars as Vars,
          ...(node.isInclude === true ? { params: vars as Vars } : {}),
          role: frame.role,
          file: node.imported ?? frame.file,
        });
      }
    }
  }

  #nameOf({ node, frame }: Handler): string {
    if (node.name === undefined) return "";
    try {
      return this.#interpreter.templar(frame).text(node.name);
    } catch {
      return node.name;
    }
  }

  /** Notify the handler with a name, and all that listen to it. Fails with `PLAYBOOK_INVALID` when there is none. */
  notify(name: string): void {
    if (!this.#notifyOwn(name) && !this.#elsewhere(name))
      throw new VolleyError(
        "PLAYBOOK_INVALID",
        `The requested handler '${name}' was not found in either the main handlers list nor in the listening handlers list`,
      );
  }

  /** Notify the handlers that a role in TypeScript means by one of {@link names}; false when there are none. */
  notifyFrom(name: string): boolean {
    const meant = this.#handlers.filter((handler) =>
      this.#namesOf(handler).some((each) => isSameHandler(each, name)),
    );
    for (const handler of meant) this.#notified.add(handler);
    return meant.length > 0;
  }

  /** The handlers and topics, as roles in TypeScript name them: `role:handler`; those of the play itself by their names alone. */
  get names(): readonly string[] {
    return this.#handlers.flatMap((handler) => this.#namesOf(handler));
  }

  #namesOf(handler: Handler): readonly string[] {
    const { role } = handler;
    return [this.#nameOf(handler), ...this.#topicsOf(handler)].map((name) =>
      role === undefined ? name : `${role.node.name}:${name}`,
    );
  }

  #topicsOf({ node, frame }: Handler): readonly string[] {
    return ((node.keys.listen ?? []) as readonly unknown[]).flat().map((topic) => {
      try {
        return this.#interpreter.templar(frame).text(topic);
      } catch {
        return String(topic);
      }
    });
  }

  #notifyOwn(name: string): boolean {
    let found = false;
    const own = this.#handlers.findLast((handler) => {
      const called = this.#nameOf(handler);
      const { role } = handler;
      return called !== "" && (called === name || `${role?.node.name} : ${called}` === name);
    });
    if (own !== undefined) {
      found = true;
      this.#notified.add(own);
    }
    for (const handler of this.#handlers) {
      if (!this.#topicsOf(handler).includes(name)) continue;
      found = true;
      this.#notified.add(handler);
    }
    return found;
  }

  /** Take the next handler that was notified. */
  take(): Handler | undefined {
    for (let round = 0; round < 2; round++) {
      while (this.#position < this.#handlers.length) {
        const handler = this.#handlers[this.#position++]!;
        if (this.#notified.delete(handler)) return handler;
      }
      this.#position = 0;
      this.#rounds++;
    }
    return undefined;
  }

  /** The place of the handler taken last among all that a flush may run. */
  get place(): number {
    return this.#rounds * this.#handlers.length + this.#position;
  }

  rewind(): void {
    this.#position = 0;
    this.#rounds = 0;
  }

  /** True while handlers are notified that have not run. */
  get isWaiting(): boolean {
    return this.#notified.size > 0;
  }
}
