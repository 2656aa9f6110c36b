import { messageOf, VolleyError } from "../../core/errors.ts";
import type { Result } from "../../core/result.ts";
import { isRecord } from "../../core/values/value.ts";
import { isWanted } from "../../engine/check-task.ts";
import type { ProgramHost } from "../../engine/program.ts";
import { whenAnswered } from "../../engine/render.ts";
import { type Frame, inherited, type RoleInstance, settled, tagsOf } from "../frame.ts";
import type { Interpreter } from "../interpreter.ts";
import type { TaskNode } from "../ir.ts";
import { isVarName } from "../keywords.ts";
import { factsOwner } from "../modules/delegation.ts";
import { countTasks } from "../static/outline.ts";
import { boolOf, numberOf, renderTags } from "../templar.ts";
import { allDependencies } from "../vars.ts";
import { PlayEnded, RunCancelled, TaskFailure } from "./endings.ts";
import type { Handlers } from "./handlers.ts";
import { isBroken, isUnreachable, type Register } from "./register.ts";
import { runTask, type TaskEnd } from "./run-task.ts";
import type { Steps } from "./steps.ts";

/** Modules that bring in statements. */
export const INCLUDE_MODULES = new Set([
  "include",
  "include_tasks",
  "include_role",
  "import_tasks",
  "import_role",
]);

/** The tasks of a play on a host: each gets its turn, and its end is dealt with. */
export class PlayTasks {
  readonly #interpreter: Interpreter;
  readonly #host: ProgramHost;
  readonly #handlers: Handlers;
  readonly #steps: Steps;
  /** The number of tasks that are known of and have not had their turn. */
  waiting = 0;

  constructor(interpreter: Interpreter, handlers: Handlers) {
    this.#interpreter = interpreter;
    this.#host = interpreter.host;
    this.#handlers = handlers;
    this.#steps = interpreter.steps;
  }

  /** Do work of the play's own for what has this name; a fault of it is shown as a task that failed, for good where `isFinal`. */
  async attempt<T>(name: string, work: () => T, isFinal = true): Promise<T> {
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

  /** Return the number of a role's tasks, dependencies included; 0 where they cannot be read: running them says why. */
  countRole(role: RoleInstance): number {
    try {
      return [...allDependencies(role), role].reduce(
        (sum, each) => sum + countTasks(this.#interpreter.roleTasks(each, "tasks")?.nodes ?? []),
        0,
      );
    } catch {
      return 0;
    }
  }

  /** True once the run is cancelled. */
  get isCancelled(): boolean {
    return this.#host.ends.cancel.aborted || this.#host.ends.kill.aborted;
  }

  /** Return whether the tags of a task are asked for. */
  isWanted(frame: Frame): boolean {
    const templar = this.#interpreter.templar(frame);
    return isWanted(renderTags(tagsOf(frame), templar), this.#host.job.options);
  }

  /** Give a task its turn, and deal with its end. */
  async perform(node: TaskNode, frame: Frame, isHandler: boolean): Promise<TaskEnd> {
    const interpreter = this.#interpreter;
    const name = await this.nameOf(node, frame);
    let ended: TaskEnd | undefined;
    const { register: registered } = node.keys;
    await this.attempt(name, () => {
      if (registered === undefined || registered === null || isVarName(registered)) return;
      const text = `Invalid variable name in 'register' specified: '${String(registered)}'`;
      throw new VolleyError("PLAYBOOK_INVALID", text);
    });
    await this.arrive();
    const most = await this.attempt(name, () => this.#throttleOf(frame));
    this.#host.planned(Math.max(0, this.waiting) + 1);
    const { ref, result, leftOut } = await this.#host.perform({
      role: frame.role?.node.name ?? interpreter.play.name,
      name,
      action: node.module,
      ...(isHandler ? { handler: true } : {}),
      ...((await this.#runsOnce(node, frame)) ? { runOnce: true } : {}),
      run: async (turn) => {
        ended = await this.#steps.turn(most, () => runTask({ interpreter, node, frame, turn }));
        return ended;
      },
    });
    // A task that nobody wanted leaves no register.
    if (leftOut === true) return { result, register: { changed: false, skipped: true }, passes: [] };
    const end = ended ?? this.#recall(node, frame, result);
    if (result.from !== undefined) interpreter.maskSecretsOf(result.from);
    if (this.isCancelled) throw new RunCancelled();
    const { register } = end;
    if (result.state === "failed" && result.ignored !== true) {
      // Of a loop, items that changed something notify all the same.
      const isFatal = await this.attempt(name, () => this.#isFatal(frame));
      throw new TaskFailure(
        register,
        ref,
        // As in Ansible: a task without a name has none here either.
        { name: node.name === undefined ? "" : name, action: node.module, args: node.args },
        // Nothing rescues a host that could not be worked on.
        { isFatal, isFinal: isBroken(register) || end.passes.some(isUnreachable) },
      );
    }
    if (
      register.changed === true ||
      (Array.isArray(register.results) &&
        register.results.some((each) => isRecord(each) && each.changed === true))
    )
      await this.attempt(name, () => this.#notify(frame));
    return end;
  }

  /** Come to a task: wait for the others of the batch, and learn whether they go on. */
  async arrive(): Promise<void> {
    await this.#steps.arrive();
    if (this.isCancelled) throw new RunCancelled();
    if (this.#steps.isOver) throw new PlayEnded();
  }

  /** The value of a keyword of the task or of a statement around it, without the vars of a loop. */
  #valueOf(frame: Frame, key: string): unknown {
    // Few tasks have such keywords, and a templar is made for each of them.
    return inherited(frame, key) === undefined
      ? undefined
      : settled(frame, key, this.#interpreter.templar(frame).value);
  }

  /** The number of hosts that may be at a task at a time; undefined: as many as the run allows. */
  #throttleOf(frame: Frame): number | undefined {
    const most = numberOf(this.#valueOf(frame, "throttle") ?? 0, "throttle");
    return most >= 1 ? most : undefined;
  }

  #isFatal(frame: Frame): boolean {
    const given = this.#valueOf(frame, "any_errors_fatal") ?? this.#interpreter.tree.settings.anyErrorsFatal;
    return boolOf(given ?? false, "any_errors_fatal");
  }

  /** True for a task that one host of the batch does for all. */
  async #runsOnce({ module }: TaskNode, frame: Frame): Promise<boolean> {
    // A host is added once, whoever says so.
    return module === "add_host" || (!INCLUDE_MODULES.has(module) && (await this.saysOnce(frame)));
  }

  /** Return what `run_once` says. */
  async saysOnce(frame: Frame): Promise<boolean> {
    try {
      return await whenAnswered(() => boolOf(this.#valueOf(frame, "run_once") ?? false, "run_once"));
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
      if (module === "set_fact") {
        owner.learn(each.ansible_facts);
        if (each._ansible_facts_cacheable === true) owner.addFacts(each.ansible_facts);
      } else if (module === "include_vars") state.include(each.ansible_facts);
      else owner.addFacts(each.ansible_facts);
    }
    return { result, register, passes: [{ register }] };
  }

  /** The name of a task, rendered as far as that is possible. */
  async nameOf({ name, module, written }: TaskNode, frame: Frame): Promise<string> {
    if (name === undefined) return written ?? module;
    try {
      return await whenAnswered(() => this.#interpreter.templar(frame).text(name));
    } catch {
      return name;
    }
  }

  #notify(frame: Frame): void {
    const given = (inherited(frame, "notify") ?? []) as readonly unknown[];
    const templar = this.#interpreter.templar(frame);
    for (const name of given.flatMap((each) => templar.value(each)).flat())
      this.#handlers.notify(String(name));
  }
}
