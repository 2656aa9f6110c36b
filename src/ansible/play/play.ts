import { VolleyError } from "../../core/errors.ts";
import type { Vars } from "../../core/values/vars.ts";
import type { PlayEnd } from "../../engine/ended.ts";
import type { HostHandlers } from "../../engine/guest-types.ts";
import type { ProgramHost } from "../../engine/program.ts";
import { importedRoles, importedWithin, renderedVars } from "../exposed-roles.ts";
import { conditionsOf, type Frame, type RoleInstance } from "../frame.ts";
import type { Interpreter } from "../interpreter.ts";
import type { BlockNode, Node, RoleStatementNode, RoleUseNode, TaskNode } from "../ir.ts";
import { validationTask } from "../modules/argument-spec.ts";
import { includedBy } from "../modules/includes.ts";
import { countTasks } from "../static/outline.ts";
import { allDependencies } from "../vars.ts";
import { PlayEnded, RoleEnded, RunCancelled, TaskFailure } from "./endings.ts";
import { gatheringTask } from "./gathering-task.ts";
import { Handlers } from "./handlers.ts";
import { frameOfIncluded } from "./included-frame.ts";
import { META_ENDS, META_TOLD } from "./meta-words.ts";
import { INCLUDE_MODULES, PlayTasks } from "./play-tasks.ts";
import type { Register } from "./register.ts";
import type { TaskEnd } from "./run-task.ts";
import { Scripts } from "./script-role.ts";
import type { Steps } from "./steps.ts";

/** Carries out a play's statements in order. */
export class PlayRun {
  readonly #interpreter: Interpreter;
  readonly #host: ProgramHost;
  readonly #root: Frame;
  readonly handlers: Handlers;
  readonly #scripts: Scripts;
  readonly #steps: Steps;
  /** Roles that have run, by all that makes two uses of them the same. */
  readonly #done = new Set<string>();
  readonly #tasks: PlayTasks;
  /** The number of times that the errors of the host were cleared. */
  #clearings = 0;

  /** `around`: the handlers of the play in TypeScript that has these roles. */
  constructor(interpreter: Interpreter, around?: HostHandlers) {
    this.#interpreter = interpreter;
    this.#host = interpreter.host;
    const { play } = interpreter;
    this.#root = { parent: undefined, keys: play.keys, vars: {}, role: undefined, file: play.file };
    this.handlers = new Handlers(interpreter, (name) =>
      around === undefined ? this.#scripts.notify(name) : around.notify(name),
    );
    this.#scripts = new Scripts(interpreter, this.handlers);
    this.#steps = interpreter.steps;
    this.#tasks = new PlayTasks(interpreter, this.handlers);
    this.#tasks.waiting = countTasks([...play.preTasks, ...play.tasks, ...play.postTasks]);
  }

  async run(): Promise<PlayEnd> {
    if (!this.#steps.isFor) return { failed: false, cancelled: false, notExecuted: 0, pending: [] };
    const { failed, cancelled, isFinal } = await this.#ended(() => this.#sections());
    if (failed && !isFinal && this.#forcesHandlers) await this.#ended(() => this.#flush());
    const scripts = this.#scripts.close();
    const isCut = failed || cancelled || this.#tasks.isCancelled;
    return {
      failed,
      cancelled: cancelled || this.#tasks.isCancelled,
      notExecuted: isCut ? this.waiting + scripts.notExecuted : 0,
      // As in Ansible, the next run knows nothing of handlers in YAML that this run left.
      pending: isCut ? scripts.pending : [],
    };
  }

  /** The number of tasks that are known of and have not had their turn. */
  get waiting(): number {
    return Math.max(0, this.#tasks.waiting);
  }

  /** Take a role that a play in TypeScript is to come to. */
  addRole(use: RoleUseNode, parents: readonly RoleInstance[] = []): RoleInstance {
    const role = this.#interpreter.instance(use, parents);
    this.#interpreter.roles.push(...allDependencies(role), role);
    this.handlers.addRole(role, this.#root);
    this.#tasks.waiting += this.#tasks.countRole(role);
    return role;
  }

  /** Carry out no task of a role that was added. */
  passOver(role: RoleInstance): void {
    this.#tasks.waiting -= this.#tasks.countRole(role);
  }

  /** Carry out a role that was added. `once`: unless it was, as for a dependency. */
  runRole(role: RoleInstance, once: boolean): Promise<Pick<PlayEnd, "failed" | "cancelled">> {
    return this.#ended(() => this.#role(role, this.#root, once ? "as its meta says" : "always"));
  }

  /** Return the defaults and vars of a role that was carried out, as far as they can be rendered. */
  varsOf(role: RoleInstance): Vars {
    return renderedVars(this.#interpreter, this.#root, role);
  }

  /** Run the handlers that were notified. */
  runHandlers(): Promise<Pick<PlayEnd, "failed" | "cancelled">> {
    return this.#ended(() => this.#flush());
  }

  async #ended(
    work: () => Promise<void>,
  ): Promise<Pick<PlayEnd, "failed" | "cancelled"> & { readonly isFinal?: boolean }> {
    try {
      await work();
    } catch (thrown) {
      if (thrown instanceof TaskFailure) {
        if (thrown.isFatal) this.#steps.fail();
        return { failed: true, cancelled: this.#tasks.isCancelled, isFinal: thrown.isFinal };
      }
      if (thrown instanceof RunCancelled) return { failed: false, cancelled: true };
      if (!(thrown instanceof PlayEnded)) throw thrown;
    }
    return { failed: false, cancelled: this.#tasks.isCancelled };
  }

  get #forcesHandlers(): boolean {
    const given = this.#interpreter.play.keys.force_handlers;
    return given === undefined
      ? (this.#host.job.options.forceHandlers ?? this.#interpreter.tree.settings.forceHandlers ?? false)
      : this.#interpreter.templar(this.#root).bool(given, "force_handlers");
  }

  async #sections(): Promise<void> {
    const interpreter = this.#interpreter;
    const { play } = interpreter;
    const uses = play.roles.map((use) => interpreter.instance(use));
    for (const role of uses)
      interpreter.roles.push(...allDependencies(role), role, ...importedWithin(interpreter, role));
    interpreter.roles.push(
      ...importedRoles(interpreter, [...play.preTasks, ...play.tasks, ...play.postTasks]),
    );
    for (const role of uses) this.handlers.addRole(role, { ...this.#root, keys: {}, parent: this.#root });
    this.handlers.add(play.handlers, this.#root);
    for (const role of uses) this.#tasks.waiting += this.#tasks.countRole(role);
    if (!(await this.#tasks.attempt("strategy", () => this.#isLinear()))) this.#steps.goFree();
    await this.#inOrder([
      () => this.#gather(),
      () => this.#tasks.attempt("vars_files", () => interpreter.readVarsFiles()),
      () => this.#statements(play.preTasks, this.#root),
      () => this.#flush(),
      () => this.#inOrder(uses.map((role) => () => this.#role(role, this.#root, "as its meta says"))),
      () => this.#statements(play.tasks, this.#root),
      () => this.#flush(),
      () => this.#statements(play.postTasks, this.#root),
      () => this.#flush(),
    ]);
  }

  /** Do pieces of work one after the other, each at its own place. */
  async #inOrder(pieces: readonly (() => Promise<void>)[]): Promise<void> {
    for (const [nth, piece] of pieces.entries()) await this.#steps.within(nth, piece);
  }

  #isLinear(): boolean {
    const { play, tree } = this.#interpreter;
    const given = play.keys.strategy ?? tree.settings.strategy ?? "linear";
    const name = this.#interpreter.templar(this.#root).text(given);
    return /(?:^|\.)(?:linear|debug)$/.test(name);
  }

  async #gather(): Promise<void> {
    const { play, tree, state } = this.#interpreter;
    const { gathering = "implicit" } = tree.settings;
    const given = play.keys.gather_facts;
    const wanted =
      given === undefined
        ? gathering === "implicit" || (gathering === "smart" && !state.isGathered)
        : await this.#tasks.attempt("gather_facts", () =>
            this.#interpreter.templar(this.#root).bool(given, "gather_facts"),
          );
    if (!wanted) return;
    this.#tasks.waiting++;
    const node = gatheringTask(play, tree.settings);
    await this.#task(node, { ...this.#root, keys: { ...this.#root.keys, when: undefined } });
  }

  async #statements(nodes: readonly Node[], parent: Frame): Promise<void> {
    await this.#inOrder(nodes.map((node) => () => this.#statement(node, parent)));
  }

  async #statement(node: Node, parent: Frame): Promise<void> {
    if (this.#tasks.isCancelled) throw new RunCancelled();
    switch (node.kind) {
      case "task":
        return this.#task(node, parent);
      case "block":
        return this.#block(node, parent);
      case "role":
        return this.#roleStatement(node, parent);
    }
  }

  async #roleStatement({ use }: RoleStatementNode, parent: Frame): Promise<void> {
    const parents = parent.role === undefined ? [] : [...parent.role.parents, parent.role];
    const role = await this.#tasks.attempt(`import_role ${use.name}`, () =>
      this.#interpreter.instance(use, parents),
    );
    if (!this.#interpreter.roles.some((each) => each.node === role.node))
      this.#interpreter.roles.push(...allDependencies(role), role);
    this.handlers.addRole(role, parent);
    this.#tasks.waiting += this.#tasks.countRole(role);
    const { allowDuplicates } = use;
    const templar = this.#interpreter.templar(parent);
    const isSingle = allowDuplicates !== undefined && !templar.bool(allowDuplicates, "allow_duplicates");
    await this.#role(role, parent, isSingle ? "single" : "always");
  }

  /** Return whether a use of a role is one too many, and note it. `as its meta says`: unless the role allows doubles. */
  #isDouble(role: RoleInstance, repeats: "always" | "single" | "as its meta says"): boolean {
    const key = JSON.stringify([
      repeats === "as its meta says",
      ...[role.node.path, role.use.keys, role.params, role.given, role.use.from],
    ]);
    const isSingle = repeats === "single" || (repeats === "as its meta says" && !role.node.allowDuplicates);
    if (isSingle && this.#done.has(key)) return true;
    this.#done.add(key);
    return false;
  }

  async #role(
    role: RoleInstance,
    parent: Frame,
    repeats: "always" | "single" | "as its meta says",
  ): Promise<void> {
    if (this.#isDouble(role, repeats)) {
      this.#tasks.waiting -= this.#tasks.countRole(role);
      return;
    }
    const { vars: _given, ...keys } = role.use.keys;
    const frame: Frame = { parent, keys, vars: {}, role, file: `${role.node.path}/tasks/main.yml` };
    await this.#steps.within(0, () => this.#dependencies(role, frame));
    if (role.node.script !== undefined) return this.#steps.within(1, () => this.#script(role, frame));
    const tasks = await this.#tasks.attempt(`role ${role.node.name}`, () =>
      this.#interpreter.roleTasks(role, "tasks"),
    );
    const own = tasks === undefined ? frame : { ...frame, file: tasks.path };
    try {
      await this.#steps.within(1, () => this.#validate(role, own));
      await this.#steps.within(2, () => this.#statements(tasks?.nodes ?? [], own));
    } catch (thrown) {
      if (!(thrown instanceof RoleEnded)) throw thrown;
    }
  }

  #dependencies({ dependencies }: RoleInstance, frame: Frame): Promise<void> {
    return this.#inOrder(dependencies.map((each) => () => this.#role(each, frame, "as its meta says")));
  }

  /** Carry out a role in TypeScript. */
  async #script(role: RoleInstance, frame: Frame): Promise<void> {
    const replan = (): void => this.#host.planned(this.waiting + this.#scripts.waiting);
    try {
      await this.#scripts.run(role, frame, replan);
    } catch (thrown) {
      if (thrown instanceof TaskFailure || thrown instanceof RunCancelled) throw thrown;
      await this.#tasks.attempt(`role ${role.node.name}`, () => {
        throw thrown;
      });
    }
  }

  /** Check a role's vars by its argument_specs, as a task of its own. */
  async #validate(role: RoleInstance, frame: Frame): Promise<void> {
    const { validates } = role.use;
    if (validates !== undefined && !this.#interpreter.templar(frame).bool(validates, "rolespec_validate"))
      return;
    const task = validationTask(role, frame.file, this.#interpreter.files);
    if (task === undefined) return;
    this.#tasks.waiting++;
    await this.#task(task, frame);
  }

  async #block(node: BlockNode, parent: Frame): Promise<void> {
    const { vars = {}, ...keys } = node.keys;
    const frame: Frame = {
      parent,
      keys,
      vars: vars as Vars,
      ...(node.params === undefined ? {} : { params: node.params }),
      role: parent.role,
      file: node.imported ?? parent.file,
    };
    if (node.rescue.length === 0 && node.always.length === 0) return this.#statements(node.block, frame);
    let failure: unknown;
    try {
      await this.#steps.within(0, () => this.#statements(node.block, frame));
    } catch (thrown) {
      failure = thrown;
    }
    if (failure instanceof TaskFailure && failure.isFinal) throw failure;
    if (failure instanceof TaskFailure) {
      if (node.rescue.length > 0) failure = await this.#rescue(failure, node.rescue, frame);
    } else if (failure === undefined) this.#skip(node.rescue);
    if (!(failure instanceof PlayEnded)) {
      const before = this.#clearings;
      let next: unknown;
      try {
        await this.#steps.within(2, () => this.#statements(node.always, frame));
      } catch (thrown) {
        next = thrown;
      }
      if (failure instanceof TaskFailure && this.#clearings > before) {
        if (failure.ref !== undefined) this.#host.rescue(failure.ref);
        failure = undefined;
      }
      failure ??= next;
    }
    if (failure !== undefined) throw failure;
  }

  /** Carry out the rescue of a failure; gives what fails in turn, undefined for nothing. */
  async #rescue(
    { register, task, ref }: TaskFailure,
    statements: readonly Node[],
    frame: Frame,
  ): Promise<unknown> {
    this.#interpreter.state.learn({ ansible_failed_task: task, ansible_failed_result: register });
    // The rescue has begun: should that fail in turn, that is another failure.
    if (ref !== undefined) this.#host.rescue(ref);
    try {
      await this.#steps.within(1, () => this.#statements(statements, frame));
      return undefined;
    } catch (thrown) {
      return thrown;
    }
  }

  /** Statements that are passed over do not wait any more. */
  #skip(nodes: readonly Node[]): void {
    this.#tasks.waiting -= countTasks(nodes);
    this.#host.planned(this.waiting);
  }

  async #task(node: TaskNode, parent: Frame): Promise<void> {
    const { vars = {}, ...keys } = node.keys;
    const isInclude = INCLUDE_MODULES.has(node.module);
    const frame: Frame = { parent, keys, vars: vars as Vars, role: parent.role, file: parent.file };
    this.#tasks.waiting--;
    const wanted = await this.#tasks.attempt(await this.#tasks.nameOf(node, frame), () =>
      this.#tasks.isWanted(frame),
    );
    if (!wanted) {
      this.#host.planned(this.waiting);
      return;
    }
    if (node.module === "meta") return this.#meta(node, frame);
    if (isInclude && (await this.#tasks.saysOnce(frame))) {
      // The first host alone does the include, and the tasks that it brings in.
      await this.#tasks.arrive();
      if (!this.#steps.isFirst) return this.#host.planned(this.waiting);
    }
    const ended = await this.#tasks.perform(node, frame, false);
    if (isInclude) await this.#included(frame, ended);
  }

  /** Carry out what the passes of an include brought in. */
  async #included(frame: Frame, { register, passes }: TaskEnd): Promise<void> {
    const results = Array.isArray(register.results) ? (register.results as Register[]) : [register];
    await this.#inOrder(
      results.map((each, index) => () => this.#includedBy(each, passes[index]?.register, frame)),
    );
  }

  /** Carry out what one pass brought in. */
  async #includedBy(each: Register, ofPass: Register | undefined, frame: Frame): Promise<void> {
    const what = includedBy(each) ?? includedBy(ofPass ?? {});
    if (what === undefined || each.skipped === true || each.failed === true) return;
    const inner = frameOfIncluded(what, frame);
    const { role } = what;
    if (role !== undefined && this.#isDouble(role, role.use.allowDuplicates === false ? "single" : "always"))
      return;
    const dependencies = role?.dependencies ?? [];
    this.#tasks.waiting += dependencies.reduce(
      (sum, each) => sum + this.#tasks.countRole(each),
      countTasks(what.nodes),
    );
    this.#host.planned(this.waiting);
    if (role === undefined) return this.#statements(what.nodes, inner);
    // As in Ansible, the vars of a public include are the role's, for the rest of the play.
    if (what.isPublic === true)
      this.#interpreter.roles.push({ ...role, given: { ...role.given, ...frame.vars } });
    this.handlers.addRole(role, inner);
    try {
      await this.#steps.within(0, () => this.#dependencies(role, inner));
      if (role.node.script !== undefined) return await this.#steps.within(1, () => this.#script(role, inner));
      await this.#steps.within(1, () => this.#validate(role, inner));
      await this.#steps.within(2, () => this.#statements(what.nodes, inner));
    } catch (thrown) {
      if (!(thrown instanceof RoleEnded)) throw thrown;
    }
  }

  async #meta(node: TaskNode, frame: Frame, isHandler = false): Promise<void> {
    const action = String(node.args._raw_params ?? "noop");
    const endsAll = action === "end_play" || action === "end_batch";
    if (endsAll) {
      await this.#tasks.arrive();
      // As in Ansible one host decides for all.
      if (!this.#steps.isFirst) return;
    }
    const templar = this.#interpreter.templar(frame);
    const holds = await this.#tasks.attempt(
      `meta ${action}`,
      () => conditionsOf(frame).every((each) => templar.condition(each)),
      false,
    );
    const ends = META_ENDS[action]?.(this.#host.job.host);
    if (!holds) {
      if (ends !== undefined) await this.#passOver(node, frame, `${action} ${ends.unless}`, isHandler);
      return;
    }
    const tell = META_TOLD[action]?.(this.#host.job.host) ?? ends?.done;
    if (tell !== undefined) this.#tellMeta(tell);
    switch (action) {
      case "flush_handlers":
        return this.#flush();
      case "clear_host_errors":
        this.#clearings++;
        return;
      case "noop":
      case "refresh_inventory":
      case "reset_connection":
        return;
      case "clear_facts":
        this.#interpreter.state.clearFacts();
        return;
      case "end_play":
      case "end_batch":
        this.#steps.end(action === "end_play");
        throw new PlayEnded();
      case "end_host":
        this.#steps.leave();
        throw new PlayEnded();
      case "end_role":
        throw new RoleEnded();
      default:
        await this.#tasks.attempt("meta", () => {
          throw new VolleyError("PLAYBOOK_INVALID", `invalid meta action requested: ${action}`);
        });
    }
  }

  /** Tell what a meta task does, as far as that is asked for. */
  #tellMeta(text: string): void {
    if (this.#interpreter.verbosity > 1) this.#host.log("info", `META: ${text}`);
  }

  /** Show a meta task whose conditions do not hold as one that is skipped. */
  async #passOver(node: TaskNode, frame: Frame, reason: string, isHandler: boolean): Promise<void> {
    this.#tellMeta(reason);
    await this.#host.perform({
      role: frame.role?.node.name ?? this.#interpreter.play.name,
      name: await this.#tasks.nameOf(node, frame),
      action: "meta",
      ...(isHandler ? { handler: true } : {}),
      run: async () => ({
        result: {
          state: "skipped",
          data: { changed: false, skipped: true, msg: reason, skip_reason: reason },
          message: reason,
        },
      }),
    });
  }

  /** Run the handlers that were notified, in the order they are defined, until none is left. */
  async #flush(): Promise<void> {
    for (let next = this.handlers.take(); next !== undefined; next = this.handlers.take()) {
      if (this.#tasks.isCancelled) throw new RunCancelled();
      const { node, frame } = next;
      try {
        await this.#steps.within(this.handlers.place, () => this.#handle(node, frame));
      } finally {
        this.handlers.settle(next);
      }
    }
    this.handlers.rewind();
    const before = this.handlers.waiting;
    await this.#scripts.flush(() => this.#host.planned(this.waiting + this.#scripts.waiting));
    // Handlers in TypeScript may have notified some of these.
    if (this.handlers.waiting > before) await this.#flush();
  }

  async #handle(node: TaskNode, parent: Frame): Promise<void> {
    const { vars = {}, ...keys } = node.keys;
    const frame: Frame = { parent, keys, vars: vars as Vars, role: parent.role, file: parent.file };
    if (node.module === "meta") return this.#meta(node, frame, true);
    const ended = await this.#tasks.perform(node, frame, true);
    if (INCLUDE_MODULES.has(node.module)) await this.#included(frame, ended);
  }
}
