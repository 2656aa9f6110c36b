import { messageOf, VolleyError } from "../core/errors.ts";
import type { Result } from "../core/result.ts";
import { isRecord } from "../core/values/value.ts";
import type { Vars } from "../core/values/vars.ts";
import { isWanted } from "../engine/check-task.ts";
import type { PlayEnd } from "../engine/ended.ts";
import type { HostHandlers } from "../engine/guest-types.ts";
import type { ProgramHost } from "../engine/program.ts";
import { whenAnswered } from "../engine/render.ts";
import { PlayEnded, RoleEnded, RunCancelled, TaskFailure } from "./endings.ts";
import { importedRoles, importedWithin } from "./exposed-roles.ts";
import { conditionsOf, type Frame, inherited, type RoleInstance, tagsOf } from "./frame.ts";
import { Handlers } from "./handlers.ts";
import { frameOfIncluded } from "./included-frame.ts";
import type { Interpreter } from "./interpreter.ts";
import type { BlockNode, Node, RoleStatementNode, RoleUseNode, TaskNode } from "./ir.ts";
import { factsOwner } from "./modules/delegation.ts";
import { includedBy } from "./modules/includes.ts";
import { countTasks } from "./outline.ts";
import { isBroken, isUnreachable, type Register } from "./register.ts";
import { runTask, type TaskEnd } from "./run-task.ts";
import { Scripts } from "./script-role.ts";
import type { Steps } from "./steps.ts";
import { renderTags } from "./templar.ts";
import { allDependencies } from "./vars.ts";

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
  #waiting: number;

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
    this.#waiting = countTasks([...play.preTasks, ...play.tasks, ...play.postTasks]);
  }

  async run(): Promise<PlayEnd> {
    if (!this.#steps.isFor) return { failed: false, cancelled: false, notExecuted: 0, pending: [] };
    const { failed, cancelled, isFinal } = await this.#ended(() => this.#sections());
    if (failed && !isFinal && this.#forcesHandlers) await this.#ended(() => this.#flush());
    const scripts = this.#scripts.close();
    const isCut = failed || cancelled || this.#isCancelled;
    return {
      failed,
      cancelled: cancelled || this.#isCancelled,
      notExecuted: isCut ? this.waiting + scripts.notExecuted : 0,
      // As in Ansible, the next run knows nothing of handlers in YAML that this run left.
      pending: isCut ? scripts.pending : [],
    };
  }

  /** The number of tasks that are known of and have not had their turn. */
  get waiting(): number {
    return Math.max(0, this.#waiting);
  }

  /** Take a role that a play in TypeScript is to come to. */
  addRole(use: RoleUseNode): RoleInstance {
    const role = this.#interpreter.instance(use);
    this.#interpreter.roles.push(...allDependencies(role), role);
    this.handlers.addRole(role, this.#root);
    this.#waiting += this.#countRole(role);
    return role;
  }

  /** Carry out no task of a role that was added. */
  passOver(role: RoleInstance): void {
    this.#waiting -= this.#countRole(role);
  }

  /** Carry out a role that was added. */
  runRole(role: RoleInstance): Promise<Pick<PlayEnd, "failed" | "cancelled">> {
    return this.#ended(() => this.#role(role, this.#root, "always"));
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
        return { failed: true, cancelled: this.#isCancelled, isFinal: thrown.isFinal };
      }
      if (thrown instanceof RunCancelled) return { failed: false, cancelled: true };
      if (!(thrown instanceof PlayEnded)) throw thrown;
    }
    return { failed: false, cancelled: this.#isCancelled };
  }

  get #isCancelled(): boolean {
    return this.#host.ends.cancel.aborted || this.#host.ends.kill.aborted;
  }

  get #forcesHandlers(): boolean {
    const given = this.#interpreter.play.keys.force_handlers;
    return given === undefined
      ? (this.#host.job.options.forceHandlers ?? this.#interpreter.tree.settings.forceHandlers ?? false)
      : this.#interpreter.templar(this.#root).bool(given);
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
    for (const role of uses) this.#waiting += this.#countRole(role);
    await this.#attempt("vars_prompt", () => interpreter.checkPrompts());
    if (!(await this.#attempt("strategy", () => this.#isLinear()))) this.#steps.goFree();
    await this.#inOrder([
      () => this.#gather(),
      () => this.#attempt("vars_files", () => interpreter.readVarsFiles()),
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

  #countRole(role: RoleInstance): number {
    try {
      return [...role.dependencies, role].reduce(
        (sum, each) => sum + countTasks(this.#interpreter.roleTasks(each, "tasks")?.nodes ?? []),
        0,
      );
    } catch {
      return 0;
    }
  }

  /** Do work of the play's own for what has this name; a fault of it is shown as a task that failed, for good where `isFinal`. */
  async #attempt<T>(name: string, work: () => T, isFinal = true): Promise<T> {
    try {
      return await whenAnswered(work);
    } catch (thrown) {
      const register: Register = { changed: false, failed: true, msg: messageOf(thrown) };
      const { ref } = await this.#host.perform({
        role: this.#interpreter.play.name,
        name,
        action: "",
        run: async () => ({
          result: {
            state: "failed",
            data: register,
            error: { code: isFinal ? "PLAYBOOK_INVALID" : "ACTION_FAILED", message: String(register.msg) },
          },
        }),
      });
      throw new TaskFailure(register, ref, { name }, { isFinal });
    }
  }

  async #gather(): Promise<void> {
    const { play, tree, state } = this.#interpreter;
    const { gathering = "implicit" } = tree.settings;
    const given = play.keys.gather_facts;
    const wanted =
      given === undefined
        ? gathering === "implicit" || (gathering === "smart" && !state.isGathered)
        : await this.#attempt("gather_facts", () => this.#interpreter.templar(this.#root).bool(given));
    if (!wanted) return;
    this.#waiting++;
    const { gatherSubset, gatherTimeout, factPath } = tree.settings;
    const asked = {
      gather_subset: play.keys.gather_subset ?? gatherSubset,
      gather_timeout: play.keys.gather_timeout ?? gatherTimeout,
      fact_path: play.keys.fact_path ?? factPath,
    };
    const args = Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== undefined));
    const node: TaskNode = {
      kind: "task",
      at: play.at,
      name: "Gathering Facts",
      module: "setup",
      args,
      keys: { tags: ["always"] },
    };
    await this.#task(node, { ...this.#root, keys: { ...this.#root.keys, when: undefined } });
  }

  async #statements(nodes: readonly Node[], parent: Frame): Promise<void> {
    await this.#inOrder(nodes.map((node) => () => this.#statement(node, parent)));
  }

  async #statement(node: Node, parent: Frame): Promise<void> {
    if (this.#isCancelled) throw new RunCancelled();
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
    const role = await this.#attempt(`import_role ${use.name}`, () =>
      this.#interpreter.instance(use, parents),
    );
    if (!this.#interpreter.roles.some((each) => each.node === role.node))
      this.#interpreter.roles.push(...allDependencies(role), role);
    this.handlers.addRole(role, parent);
    const { allowDuplicates } = use;
    const templar = this.#interpreter.templar(parent);
    const isSingle = allowDuplicates !== undefined && !templar.bool(allowDuplicates);
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
      this.#waiting -= countTasks(this.#interpreter.roleTasks(role, "tasks")?.nodes ?? []);
      return;
    }
    const { vars: _given, ...keys } = role.use.keys;
    const frame: Frame = { parent, keys, vars: {}, role, file: `${role.node.path}/tasks/main.yml` };
    await this.#steps.within(0, () => this.#dependencies(role, frame));
    if (role.node.script !== undefined) return this.#steps.within(1, () => this.#script(role, frame));
    const tasks = await this.#attempt(`role ${role.node.name}`, () =>
      this.#interpreter.roleTasks(role, "tasks"),
    );
    if (tasks === undefined) return;
    try {
      const own = { ...frame, file: tasks.path };
      await this.#steps.within(1, () => this.#validate(role, own));
      await this.#steps.within(2, () => this.#statements(tasks.nodes, own));
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
      await this.#attempt(`role ${role.node.name}`, () => {
        throw thrown;
      });
    }
  }

  /** Check a role's vars by its argument_specs, as a task of its own. */
  async #validate(role: RoleInstance, frame: Frame): Promise<void> {
    const { validates } = role.use;
    if (validates !== undefined && !this.#interpreter.templar(frame).bool(validates)) return;
    const entry = role.use.from.tasks?.replace(/\.ya?ml$/, "") ?? "main";
    const spec = role.node.argumentSpecs[entry];
    if (!isRecord(spec)) return;
    const { short_description: about, options = {} } = spec;
    this.#waiting++;
    await this.#task(
      {
        kind: "task",
        at: frame.file,
        name: `Validating arguments against arg spec '${entry}'${typeof about === "string" ? ` - ${about}` : ""}`,
        module: "validate_argument_spec",
        args: { argument_spec: options, provided_arguments: {} },
        keys: { tags: ["always"] },
      },
      frame,
    );
  }

  async #block(node: BlockNode, parent: Frame): Promise<void> {
    const { vars = {}, ...keys } = node.keys;
    const frame: Frame = {
      parent,
      keys,
      vars: vars as Vars,
      ...(node.isInclude === true ? { params: vars as Vars } : {}),
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
      try {
        await this.#steps.within(2, () => this.#statements(node.always, frame));
      } catch (thrown) {
        failure ??= thrown;
      }
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
    this.#waiting -= countTasks(nodes);
    this.#host.planned(this.#waiting);
  }

  async #task(node: TaskNode, parent: Frame): Promise<void> {
    const { vars = {}, ...keys } = node.keys;
    const isInclude = INCLUDE_MODULES.has(node.module);
    const frame: Frame = { parent, keys, vars: vars as Vars, role: parent.role, file: parent.file };
    this.#waiting--;
    const wanted = await this.#attempt(this.#nameOf(node, frame), () => this.#isWanted(frame));
    if (!wanted) {
      this.#host.planned(this.#waiting);
      return;
    }
    if (node.module === "meta") return this.#meta(node, frame);
    const ended = await this.#perform(node, frame, false);
    if (isInclude) await this.#included(frame, ended);
  }

  #isWanted(frame: Frame): boolean {
    const templar = this.#interpreter.templar(frame);
    return isWanted(renderTags(tagsOf(frame), templar), this.#host.job.options);
  }

  /** Give a task its turn, and deal with its end. */
  async #perform(node: TaskNode, frame: Frame, isHandler: boolean): Promise<TaskEnd> {
    const interpreter = this.#interpreter;
    const name = this.#nameOf(node, frame);
    let ended: TaskEnd | undefined;
    const { register: registered } = node.keys;
    await this.#attempt(name, () => {
      if (registered === undefined || registered === null || isVarName(registered)) return;
      const text = `Invalid variable name in 'register' specified: '${String(registered)}'`;
      throw new VolleyError("PLAYBOOK_INVALID", text);
    });
    await this.#arrive();
    const most = await this.#attempt(name, () => this.#throttleOf(frame));
    this.#host.planned(this.#waiting + 1);
    const { ref, result, leftOut } = await this.#host.perform({
      role: frame.role?.node.name ?? interpreter.play.name,
      name,
      action: node.module,
      ...(isHandler ? { handler: true } : {}),
      ...(this.#runsOnce(node, frame) ? { runOnce: true } : {}),
      run: async (turn) => {
        ended = await this.#steps.turn(most, () => runTask({ interpreter, node, frame, turn }));
        return ended;
      },
    });
    // A task that nobody wanted leaves no register.
    if (leftOut === true) return { result, register: { changed: false, skipped: true }, passes: [] };
    const end = ended ?? this.#recall(node, frame, result);
    if (this.#isCancelled) throw new RunCancelled();
    const { register } = end;
    if (result.state === "failed" && result.ignored !== true) {
      // Of a loop, items that changed something notify all the same.
      const isFatal = await this.#attempt(name, () => this.#isFatal(frame));
      throw new TaskFailure(
        register,
        ref,
        { name, action: node.module, args: node.args },
        // Nothing rescues a host that could not be worked on.
        { isFatal, isFinal: isBroken(register) || end.passes.some(isUnreachable) },
      );
    }
    if (
      register.changed === true ||
      (Array.isArray(register.results) &&
        register.results.some((each) => isRecord(each) && each.changed === true))
    )
      await this.#attempt(name, () => this.#notify(frame));
    return end;
  }

  /** Come to a task: wait for the others of the batch, and learn whether they go on. */
  async #arrive(): Promise<void> {
    await this.#steps.arrive();
    if (this.#isCancelled) throw new RunCancelled();
    if (this.#steps.isOver) throw new PlayEnded();
  }

  /** The number of hosts that may be at a task at a time; undefined: as many as the run allows. */
  #throttleOf(frame: Frame): number | undefined {
    const given = inherited(frame, "throttle");
    const most = given === undefined ? 0 : Number(this.#interpreter.templar(frame).value(given));
    return most >= 1 ? most : undefined;
  }

  #isFatal(frame: Frame): boolean {
    const given = inherited(frame, "any_errors_fatal");
    if (given === undefined) return this.#interpreter.tree.settings.anyErrorsFatal === true;
    return this.#interpreter.templar(frame).bool(given);
  }

  /** True for a task that one host of the batch does for all. An include hands it on to its tasks. */
  #runsOnce({ module }: TaskNode, frame: Frame): boolean {
    // A host is added once, whoever says so.
    const given = module === "add_host" ? true : inherited(frame, "run_once");
    if (given === undefined || INCLUDE_MODULES.has(module)) return false;
    try {
      return this.#interpreter.templar(frame).bool(given);
    } catch {
      return true;
    }
  }

  /** Take a result that an earlier run recorded: registers and facts as if the task had been done. */
  #recall({ keys, module }: TaskNode, frame: Frame, result: Result): TaskEnd {
    const register = (
      isRecord(result.data) ? result.data : { changed: result.state === "changed" }
    ) as Register;
    const { state } = this.#interpreter;
    if (typeof keys.register === "string") state.learn({ [keys.register]: register });
    const templar = this.#interpreter.templar(frame);
    const owner = factsOwner({ interpreter: this.#interpreter, frame, templar });
    for (const each of Array.isArray(register.results) ? register.results : [register]) {
      if (!isRecord(each) || !isRecord(each.ansible_facts)) continue;
      if (module === "set_fact") owner.learn(each.ansible_facts);
      else if (module === "include_vars") state.include(each.ansible_facts);
      else owner.addFacts(each.ansible_facts);
    }
    return { result, register, passes: [{ register }] };
  }

  #nameOf(node: TaskNode, frame: Frame): string {
    if (node.name === undefined) return node.module;
    try {
      return this.#interpreter.templar(frame).text(node.name);
    } catch {
      return node.name;
    }
  }

  #notify(frame: Frame): void {
    const given = (inherited(frame, "notify") ?? []) as readonly unknown[];
    const templar = this.#interpreter.templar(frame);
    for (const name of given.flatMap((each) => templar.value(each)).flat())
      this.handlers.notify(String(name));
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
    this.#waiting += countTasks(what.nodes);
    this.#host.planned(this.#waiting);
    const { role } = what;
    if (role === undefined) return this.#statements(what.nodes, inner);
    if (this.#isDouble(role, role.use.allowDuplicates === false ? "single" : "always")) return;
    if (what.isPublic === true) this.#interpreter.roles.push(role);
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

  async #meta(node: TaskNode, frame: Frame): Promise<void> {
    const action = String(node.args._raw_params ?? "noop");
    const endsAll = action === "end_play" || action === "end_batch";
    if (endsAll) {
      await this.#arrive();
      // As in Ansible one host decides for all.
      if (!this.#steps.isFirst) return;
    }
    const templar = this.#interpreter.templar(frame);
    const holds = await this.#attempt(
      `meta ${action}`,
      () => conditionsOf(frame).every((each) => templar.condition(each)),
      false,
    );
    const ends = META_ENDS[action]?.(this.#host.job.host);
    if (!holds) {
      if (ends !== undefined) await this.#passOver(node, frame, `${action} ${ends.unless}`);
      return;
    }
    const tell = META_TOLD[action]?.(this.#host.job.host) ?? ends?.done;
    if (tell !== undefined) this.#tellMeta(tell);
    switch (action) {
      case "flush_handlers":
        return this.#flush();
      case "noop":
      case "clear_host_errors":
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
        throw new PlayEnded();
      case "end_role":
        throw new RoleEnded();
      default:
        await this.#attempt("meta", () => {
          throw new VolleyError("PLAYBOOK_INVALID", `invalid meta action requested: ${action}`);
        });
    }
  }

  /** Tell what a meta task does, as far as that is asked for. */
  #tellMeta(text: string): void {
    if (this.#interpreter.verbosity > 1) this.#host.log("info", `META: ${text}`);
  }

  /** Show a meta task whose conditions do not hold as one that is skipped. */
  async #passOver(node: TaskNode, frame: Frame, reason: string): Promise<void> {
    this.#tellMeta(reason);
    await this.#host.perform({
      role: frame.role?.node.name ?? this.#interpreter.play.name,
      name: this.#nameOf(node, frame),
      action: "meta",
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
      if (this.#isCancelled) throw new RunCancelled();
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
    const ended = await this.#perform(node, frame, true);
    if (INCLUDE_MODULES.has(node.module)) await this.#included(frame, ended);
  }
}

/** What meta tasks tell of themselves. */
const META_TOLD: Readonly<Record<string, (host: string) => string>> = {
  noop: () => "noop",
  flush_handlers: (host) => `triggered running handlers for ${host}`,
  clear_facts: () => "facts cleared",
  clear_host_errors: () => "cleared host errors",
  refresh_inventory: () => "inventory successfully refreshed",
  reset_connection: () => "reset connection",
};

/** What meta tasks that end something tell, and what becomes of it where their conditions do not hold. */
const META_ENDS: Readonly<
  Record<string, (host: string) => { readonly done: string; readonly unless: string }>
> = {
  end_play: () => ({
    done: "ending play",
    unless: "conditional evaluated to False, continuing play",
  }),
  end_host: (host) => ({
    done: `ending play for ${host}`,
    unless: `conditional evaluated to False, continuing execution for ${host}`,
  }),
  end_batch: () => ({
    done: "ending batch",
    unless: "conditional evaluated to False, continuing current batch",
  }),
};

function isVarName(value: unknown): boolean {
  return typeof value === "string" && /^[A-Za-z_]\w*$/.test(value);
}

const INCLUDE_MODULES = new Set(["include", "include_tasks", "include_role", "import_tasks", "import_role"]);
