import { isDeepStrictEqual } from "node:util";
import { createMemo, type Memo } from "../core/action.ts";
import { VolleyError } from "../core/errors.ts";
import type { AskedTask, DelegatedTask, TargetEvent, TaskRef } from "../core/events.ts";
import type { PlayDefinition } from "../core/playbook.ts";
import { isStart } from "../core/program.ts";
import type { Job } from "../core/protocol.ts";
import {
  countRescued,
  countResult,
  countState,
  EMPTY_TALLY,
  type Result,
  type Tally,
} from "../core/result.ts";
import type { RoleContext, RoleUse } from "../core/role.ts";
import { restoreVars, type Vars } from "../core/values/vars.ts";
import { extendScope } from "../vars/scope.ts";
import { createActionContext, roleVariables } from "./context.ts";
import type { Done, Effects, HostView, Reply } from "./effects.ts";
import type { Ended, Ends } from "./ended.ts";
import type { ProgramTask } from "./program.ts";
import { hideResult, maskOfJob, maskOutput, resultFrom, tellResult, toldFrom } from "./results.ts";
import type { DeclaredTask, RoleRun } from "./role.ts";
import { runTask } from "./task.ts";

/** The play a task belongs to. */
export interface PlayOnHost {
  readonly play: PlayDefinition;
  readonly index: number;
  readonly view: HostView;
  /** The vars every template of the play sees. */
  readonly hostVars: Vars;
}

/** The turns of a run's tasks: each is taken as done, or run, and told. */
export class Turns {
  readonly #job: Job;
  readonly #effects: Effects;
  readonly #ledger: Ledger;
  readonly #memo: Memo = createMemo();
  /** The number of turns of each task that the controller is asked about, by play, role and name. */
  readonly #asked = new Map<string, number>();
  /** The first task to do; undefined once it was reached. */
  #startAt: string | undefined;
  #steps = 0;
  #isOrphaned = false;

  constructor(job: Job, effects: Effects, ledger: Ledger) {
    this.#job = job;
    this.#effects = effects;
    this.#ledger = ledger;
    this.#startAt = job.options.startAtTask;
  }

  /** The name of the task to start at, as long as no task has that name. */
  get unmatchedStart(): string | undefined {
    return this.#startAt;
  }

  /** True once no controller was left to answer a question. */
  get isOrphaned(): boolean {
    return this.#isOrphaned;
  }

  /** Give a task its turn. Null: no controller is left to decide whether this host does the task, so the run ends. */
  async take(at: PlayOnHost, role: RoleRun, declared: DeclaredTask, ends: Ends): Promise<Ended | null> {
    const { runOnce, delegateTo } = declared.options;
    const ref: TaskRef = {
      task: this.#ledger.nextTask,
      play: at.play.name,
      role: role.use.role.name,
      name: declared.name,
      action: declared.action,
      ...(declared.handler ? { handler: true } : {}),
    };
    const leftOut = await this.#leaveOut(ref, at.index);
    if (leftOut !== undefined) return this.#isOrphaned ? null : leftOut;
    const { earlier } = this.#effects.state;
    const taken = earlier?.take(ref);
    const nth = runOnce === true || delegateTo !== undefined ? this.#nth(ref, at.index) : 0;
    const asked: AskedTask = { ...ref, index: at.index, nth };
    const reply = runOnce === true ? await this.#askOnce(asked) : DO;
    if (reply.kind === "gone") return null;
    this.#ledger.begin();
    if (reply.kind === "done")
      return { ref, result: this.#takeOver(ref, declared.options, reply, taken !== undefined) };
    // Another host did the task in the earlier run; this run gave it to this host.
    const recorded = taken?.kind === "done" && taken.result.from !== undefined ? undefined : taken;
    if (recorded?.kind === "done")
      return { ref, result: this.#repeat(ref, declared.options, recorded.result) };
    this.#ledger.stopRetracing();
    this.#effects.state.begin?.(ref.task);
    // An earlier life of the run told that the task which restarted the host had begun.
    if (recorded === undefined || earlier?.sameRun !== true)
      this.#ledger.emit({ type: "task:start", ...ref });
    const restartedMs = recorded === undefined ? undefined : Math.max(0, Date.now() - recorded.begunAt);
    return { ref, result: await this.#run(at, role, declared, asked, { ...ends, restartedMs }) };
  }

  /** Give a task of a play that carries itself out its turn. */
  async perform(
    at: PlayOnHost,
    { role, name, action, handler, runOnce = false, run }: ProgramTask,
  ): Promise<Ended> {
    const ref: TaskRef = {
      task: this.#ledger.nextTask,
      play: at.play.name,
      role,
      name,
      action,
      ...(handler === true ? { handler: true } : {}),
    };
    const leftOut = await this.#leaveOut(ref, at.index);
    if (leftOut !== undefined) return leftOut;
    const { earlier } = this.#effects.state;
    const taken = earlier?.take(ref);
    const reply = runOnce
      ? await this.#askOnce({ ...ref, index: at.index, nth: this.#nth(ref, at.index) })
      : DO;
    if (reply.kind === "gone") return { ref, result: NOBODY };
    this.#ledger.begin();
    if (reply.kind === "done") return { ref, result: this.#takeOver(ref, {}, reply, taken !== undefined) };
    if (taken?.kind === "done") return { ref, result: this.#repeat(ref, { runOnce }, taken.result) };
    this.#ledger.stopRetracing();
    this.#effects.state.begin?.(ref.task);
    if (taken === undefined || earlier?.sameRun !== true) this.#ledger.emit({ type: "task:start", ...ref });
    const restartedMs = taken === undefined ? undefined : Math.max(0, Date.now() - taken.begunAt);
    const startedAt = performance.now() - (restartedMs ?? 0);
    const begunAt = Date.now() - (restartedMs ?? 0);
    const output = maskOutput(maskOfJob(this.#job), (stream, text) =>
      this.#ledger.emit({ type: "task:output", task: ref.task, stream, text }),
    );
    let isOver = false;
    const show = (stream: "stdout" | "stderr", text: string): void => {
      if (!isOver) output.push(stream, text);
    };
    const { assets, render, survivesRestart } = this.#effects;
    const { result, noLog = false } = await run({
      restartedMs,
      output: show,
      context: ({ vars, check, signal, files, facts = at.view.facts, registered, silent = false }) => ({
        ...createActionContext({
          role,
          vars,
          facts,
          ...(registered === undefined ? {} : { registered }),
          check,
          signal,
          // Another machine is another memory.
          memo: facts === at.view.facts ? this.#memo : createMemo(),
          assets,
          render,
          output: silent ? () => {} : show,
          restart: survivesRestart
            ? (timeoutMs) => {
                if (!isOver) this.#restart(ref, begunAt, timeoutMs);
              }
            : undefined,
        }),
        vars,
        ...files,
      }),
    });
    isOver = true;
    this.#ledger.count(result);
    output.end();
    this.#tellEnd(ref, { noLog, runOnce }, result, { elapsedMs: round(performance.now() - startedAt) });
    return { ref, result };
  }

  /** What actions keep for the rest of the run. */
  get memo(): Memo {
    return this.#memo;
  }

  async #run(
    { play, view, hostVars }: PlayOnHost,
    { use, context }: RoleRun,
    declared: DeclaredTask,
    asked: AskedTask,
    { cancel, kill, restartedMs }: Ends & { readonly restartedMs: number | undefined },
  ): Promise<Result> {
    const { assets, render, survivesRestart } = this.#effects;
    const { index: _index, nth: _nth, ...ref } = asked;
    const { task } = ref;
    const { noLog = false, ignoreErrors = false, become, delegateTo } = declared.options;
    const startedAt = performance.now() - (restartedMs ?? 0);
    const begunAt = Date.now() - (restartedMs ?? 0);
    const output = maskOutput(maskOfJob(this.#job), (stream, text) =>
      this.#ledger.emit({ type: "task:output", task, stream, text }),
    );
    // An action that was left behind when its time was up tells nothing any more.
    let isOver = false;
    let { action } = ref;
    const variables = roleVariables(hostVars, play.vars ?? {}, use, context.vars);
    const result = await runTask(declared, {
      system: view.systemOf(become ?? use.options.become),
      check: this.#job.options.check,
      roleCondition: roleCondition(use, context),
      kill,
      cancel,
      restartedMs,
      onAction: (name) => {
        action ||= name;
      },
      delegate: (item, attempt, limitMs) =>
        this.#delegate({ ...asked, item, attempt, ...(limitMs < Infinity ? { limitMs } : {}) }),
      elsewhere:
        delegateTo && this.#effects.world?.elsewhere(delegateTo, this.#job, become ?? use.options.become),
      context: (check, vars, signal) =>
        createActionContext({
          role: use.role.directory ?? use.role.name,
          vars: extendScope(variables, restoreVars(vars)),
          facts: context.facts,
          check,
          signal,
          memo: this.#memo,
          assets,
          render,
          output: (stream, text) => {
            if (!noLog && !isOver) output.push(stream, text);
          },
          restart: survivesRestart
            ? (timeoutMs) => {
                if (!isOver) this.#restart(ref, begunAt, timeoutMs);
              }
            : undefined,
        }),
    });
    isOver = true;
    const ended: Result = result.state === "failed" && ignoreErrors ? { ...result, ignored: true } : result;
    this.#ledger.count(ended);
    output.end();
    this.#tellEnd({ ...ref, action }, declared.options, ended, {
      elapsedMs: round(performance.now() - startedAt),
    });
    return ended;
  }

  /** Tell the end of a task. Where the event does not tell all of it, keep the whole for code, here and on other hosts. */
  #tellEnd(
    ref: TaskRef,
    { noLog = false, runOnce = false }: Secrecy,
    ended: Result,
    { elapsedMs, resumed }: { readonly elapsedMs: number; readonly resumed?: true },
  ): void {
    const shown = noLog ? hideResult(ended) : tellResult(ended, maskOfJob(this.#job), this.#job.options.diff);
    const { diff: _diff, ...whole } = ended;
    const { diff: _shown, ...told } = shown;
    const partial = !isDeepStrictEqual(told, whole);
    // An earlier life of this run kept it already.
    if (!this.#ledger.isRetracing) this.#effects.state.keep?.(ref, whole, partial);
    if (partial && runOnce && this.#ask !== undefined) this.#ledger.share(ref.task, whole);
    this.#ledger.emit({
      type: "task:end",
      ...ref,
      result: resumed === undefined ? shown : { ...shown, resumed },
      elapsedMs,
      ...(partial ? { partial } : {}),
    });
  }

  /** Take a task as done in an earlier life of the run, or in the run it resumes. */
  #repeat(ref: TaskRef, options: Secrecy, result: Result): Result {
    this.#ledger.count(result);
    const sameRun = this.#effects.state.earlier?.sameRun === true;
    if (!sameRun) this.#ledger.emit({ type: "task:start", ...ref });
    this.#tellEnd(ref, options, result, { elapsedMs: 0, ...(sameRun ? {} : { resumed: true }) });
    return result;
  }

  /** Take a task as done by another host. */
  #takeOver(
    ref: TaskRef,
    options: Pick<DeclaredTask["options"], "ignoreErrors">,
    done: Done,
    isRecorded: boolean,
  ): Result {
    const { result } = done;
    const ignored = result.state === "failed" && options.ignoreErrors === true ? { ignored: true } : {};
    const ended = Object.assign(resultFrom(done), ignored);
    // Not the result that code gets, which may hold secrets.
    const told = toldFrom({ ...result, ...ignored });
    this.#ledger.count(told);
    if (!isRecorded) this.#ledger.stopRetracing();
    if (!this.#ledger.isRetracing) this.#effects.state.keep?.(ref, told, false);
    this.#ledger.emit({ type: "task:start", ...ref });
    this.#ledger.emit({ type: "task:end", ...ref, result: told, elapsedMs: 0 });
    return ended;
  }

  /**
   * Return the end of a task that is not to be done: the first task was not reached, or the person at the terminal does
   * not want it. As in Ansible nothing is told of it.
   */
  async #leaveOut(ref: TaskRef, index: number): Promise<Ended | undefined> {
    const leftOut = (message: string): Ended => ({
      ref,
      result: { state: "skipped", message },
      leftOut: true,
    });
    if (!this.#hasStarted(ref, index)) return leftOut("it comes before the task to start at");
    const reply = await this.#askStep(ref, index);
    switch (reply.kind) {
      case "do":
        return undefined;
      case "done":
        return { ...leftOut(""), result: reply.result };
      case "gone":
        return leftOut("nobody is left to ask whether it is wanted");
    }
  }

  /** Return whether the first task to do has been reached; handlers of earlier runs do not wait for it. */
  #hasStarted(ref: TaskRef, index: number): boolean {
    const start = this.#startAt;
    if (start === undefined || ref.handler === true) return true;
    // The task is in an earlier play, which other hosts do.
    const isBehind = index > (this.#job.options.startAtPlay ?? Infinity);
    const has = isBehind || isStart(start, ref);
    if (has) this.#startAt = undefined;
    return has;
  }

  /** Ask whether a task is done, in a run that goes step by step. */
  async #askStep(ref: TaskRef, index: number): Promise<Reply> {
    if (this.#job.options.step !== true) return DO;
    const nth = this.#nth({ ...ref, role: `step ${ref.role}` }, index);
    const reply = await this.#ask?.({ kind: "step", step: ++this.#steps, ...ref, index, nth });
    if (reply?.kind === "gone") this.#isOrphaned = true;
    return reply ?? DO;
  }

  /** Ask whether this host does a `runOnce` task; without a controller each host does. */
  async #askOnce(asked: AskedTask): Promise<Reply> {
    const reply = (await this.#ask?.({ kind: "once", ...asked })) ?? DO;
    if (reply.kind === "gone") this.#isOrphaned = true;
    return reply;
  }

  /** Have the controller perform an action. */
  async #delegate(asked: DelegatedTask): Promise<Result> {
    if (this.#ask === undefined)
      throw new VolleyError("USAGE", "this is done on the controller, and a bundle that is carried has none");
    const reply = await this.#ask({ kind: "delegate", ...asked });
    if (reply.kind === "done") return reply.whole ?? reply.result;
    this.#isOrphaned = true;
    throw new VolleyError("CANCELLED", "the controller is gone that was to do this");
  }

  get #ask(): Effects["ask"] {
    return this.#job.options.barriers ? this.#effects.ask : undefined;
  }

  #restart(ref: TaskRef, begunAt: number, timeoutMs: number): void {
    this.#effects.state.restart?.(ref, begunAt);
    this.#ledger.emit({ type: "restart", task: ref.task, timeoutMs });
  }

  /** Count the tasks of the same play, role and name, from 1. */
  #nth({ role, name }: TaskRef, index: number): number {
    const key = JSON.stringify([index, role, name]);
    const nth = (this.#asked.get(key) ?? 0) + 1;
    this.#asked.set(key, nth);
    return nth;
  }
}

/** The options of a task that decide who learns of its result. */
interface Secrecy {
  readonly noLog?: boolean;
  readonly runOnce?: boolean;
}

const DO: Reply = { kind: "do" };

/** The result of a task that no controller is left to give to a host. */
const NOBODY: Result = {
  state: "failed",
  error: { code: "CANCELLED", message: "the controller is gone that decides which host does this" },
};

function roleCondition(use: RoleUse, context: RoleContext): (() => boolean | Promise<boolean>) | undefined {
  const { when } = use.options;
  return when === undefined ? undefined : () => (typeof when === "function" ? when(context) : when);
}

function round(milliseconds: number): number {
  return Math.round(milliseconds * 100) / 100;
}

/** The events and counts of a run. */
export class Ledger {
  readonly #effects: Effects;
  #tally: Tally = EMPTY_TALLY;
  #tasks = 0;
  #announced = 0;
  /** True as long as an earlier life of the run told everything that happens. */
  #isRetracing: boolean;

  constructor(effects: Effects) {
    this.#effects = effects;
    this.#isRetracing = effects.state.earlier?.sameRun ?? false;
  }

  get tally(): Tally {
    return this.#tally;
  }

  get isRetracing(): boolean {
    return this.#isRetracing;
  }

  /** From here on events are new: no earlier life of the run told them. */
  stopRetracing(): void {
    this.#isRetracing = false;
  }

  /** Tell an event, unless an earlier life of the run has. */
  emit(event: TargetEvent): void {
    if (!this.#isRetracing) this.#effects.emit(event);
  }

  log(level: "info" | "warn", text: string): void {
    this.emit({ type: "log", level, text });
  }

  /** Share a result with the other hosts, unless an earlier life of the run has. */
  share(task: number, result: Result): void {
    if (!this.#isRetracing) this.#effects.share?.(task, result);
  }

  /** The number of the task that begins next. */
  get nextTask(): number {
    return this.#tasks + 1;
  }

  begin(): void {
    this.#tasks++;
  }

  count(result: Result): void {
    this.#tally = countResult(this.#tally, result);
  }

  countNotExecuted(many: number): void {
    this.#tally = countState(this.#tally, "notExecuted", many);
  }

  /** A task that failed counts as rescued. */
  rescue(ref: TaskRef): void {
    this.#tally = countRescued(this.#tally);
    this.#effects.state.rescue?.(ref.task);
    this.emit({ type: "task:rescued", ...ref });
  }

  /** The number of tasks known of when so many are waiting. */
  total(waiting: number): number {
    this.#announced = this.#tasks + this.#tally.notExecuted + waiting;
    return this.#announced;
  }

  /** Tell the number of tasks known of, where it is another than told before. */
  plan(waiting: number): void {
    const before = this.#announced;
    const total = this.total(waiting);
    if (total !== before) this.emit({ type: "play:plan", total });
  }
}
