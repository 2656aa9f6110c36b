import { NeedsAnswer, VolleyError } from "../../core/errors.ts";
import type { Vars } from "../../core/values/vars.ts";
import { isSameHandler } from "../../engine/check-task.ts";
import type { Frame, RoleInstance } from "../frame.ts";
import type { Interpreter } from "../interpreter.ts";
import type { Node, TaskNode } from "../ir.ts";

/** A handler of a play. */
interface Handler {
  readonly node: TaskNode;
  readonly frame: Frame;
  /** The list of handlers it stands in: of the handlers with one name, the first of the latest list is meant. */
  readonly list: number;
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
  add(nodes: readonly Node[], frame: Frame, list = this.#handlers.length): void {
    for (const node of nodes) {
      if (node.kind === "task") this.#handlers.push({ node, frame, list, role: frame.role });
      else if (node.kind === "block") {
        const { vars = {}, ...keys } = node.keys;
        const inner: Frame = {
          parent: frame,
          keys,
          vars: vars as Vars,
          ...(node.params === undefined ? {} : { params: node.params }),
          role: frame.role,
          file: node.imported ?? frame.file,
        };
        this.add(node.block, inner, list);
      }
    }
  }

  #nameOf({ node, frame }: Handler): string {
    if (node.name === undefined) return "";
    try {
      return this.#interpreter.templar(frame).text(node.name);
    } catch (thrown) {
      if (thrown instanceof NeedsAnswer) throw thrown;
      if (node.keys.listen === undefined)
        this.#interpreter.host.log(
          "warn",
          `Handler '${node.name}' is unusable because it has no listen topics and its name cannot be rendered`,
        );
      return "";
    }
  }

  /** Notify the handler with a name, and all that listen to it. Fails with `PLAYBOOK_INVALID` when there is none. */
  notify(name: string): void {
    if (this.#notifyOwn(name) || this.#elsewhere(name)) return;
    const text = `The requested handler '${name}' was not found in either the main handlers list nor in the listening handlers list`;
    const { errorOnMissingHandler = true } = this.#interpreter.tree.settings;
    if (errorOnMissingHandler) throw new VolleyError("PLAYBOOK_INVALID", text);
    this.#interpreter.host.log("warn", text);
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

  /** Topics are no templates. */
  #topicsOf({ node }: Handler): readonly string[] {
    return ((node.keys.listen ?? []) as readonly unknown[]).flat().map(String);
  }

  #notifyOwn(name: string): boolean {
    let found = false;
    let own: Handler | undefined;
    for (const handler of this.#handlers) {
      const called = this.#nameOf(handler);
      const isMeant = called !== "" && (called === name || `${handler.role?.node.name} : ${called}` === name);
      if (isMeant && own?.list !== handler.list) own = handler;
    }
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

  /** Take the next handler that was notified. Those before it that are notified again wait for the next time, as in Ansible. */
  take(): Handler | undefined {
    while (this.#position < this.#handlers.length) {
      const handler = this.#handlers[this.#position++]!;
      if (this.#notified.has(handler)) return handler;
    }
    this.#position = 0;
    this.#rounds++;
    return undefined;
  }

  /** Note that a handler has run: what it has notified may not be itself. */
  settle(handler: Handler): void {
    this.#notified.delete(handler);
  }

  /** The place of the handler taken last among all that a flush may run. */
  get place(): number {
    return this.#rounds * this.#handlers.length + this.#position;
  }

  rewind(): void {
    this.#position = 0;
    this.#rounds = 0;
  }

  /** The number of handlers that are notified and have not run. */
  get waiting(): number {
    return this.#notified.size;
  }
}
