import { performance } from "node:perf_hooks";
import { isDeepStrictEqual } from "node:util";
import { type ResultStore, readResult } from "../agent/result-store.ts";
import type { UserSystems } from "../agent/user-systems.ts";
import { writeWhole } from "../agent/whole-value.ts";
import { createMemo } from "../core/action.ts";
import type { AssetStore } from "../core/asset.ts";
import { type SerializedError, serializeError, VolleyError } from "../core/errors.ts";
import type { AskedTask, DelegatedTask, TargetEvent, TaskRef } from "../core/events.ts";
import type { Facts } from "../core/facts.ts";
import type { Vars } from "../core/json.ts";
import { restoreVars } from "../core/plain-vars.ts";
import { type Playbook, type PlayDefinition, waitsBetween } from "../core/playbook.ts";

import { type Answer, delegateQuestion, type Job } from "../core/protocol.ts";
import { countState, EMPTY_TALLY, type Result, type Tally } from "../core/result.ts";
import type { RoleContext, RoleUse } from "../core/role.ts";
import type { System } from "../core/system.ts";
import { extendScope, type RenderVar } from "../vars/scope.ts";
import { createActionContext, type Render } from "./action-context.ts";
import { hideResult, tellResult } from "./bounds.ts";
import { declareRoles } from "./declare.ts";
import type { DeclaredTask } from "./declared-task.ts";
import { estimateTasks } from "./estimate-tasks.ts";
import { maskOfJob, maskToo } from "./job-mask.ts";
import { maskOutput } from "./mask-output.ts";
import { runPlay } from "./play-run.ts";
import { createPlayViews, type PlayView } from "./play-view.ts";
import type { Replay } from "./replay.ts";
import type { RoleRun } from "./role-run.ts";
import { runTask } from "./run-task.ts";
import { resultFrom, toldFrom } from "./shared-result.ts";
import { hostVariables, roleVariables } from "./variables.ts";

/** What a Job is carried out with. */
export interface ExecutorOptions {
  readonly playbook: Playbook;
  readonly job: Job;
  readonly system: System;
  /** Absent: everything is done as who this process is. */
  readonly systems?: UserSystems;
  readonly facts: Facts;
  readonly assets: AssetStore;
  readonly render: Render;
  readonly renderVar: RenderVar;
  emit(event: TargetEvent): void;
  /** Called between plays that are barriers; false: nobody is left to say `continue`, so the run ends. */
  waitForOthers(play: number): Promise<boolean>;
  /**
   * Waits for the controller's answer to what an event asked: of a task that is done once in a batch null to do it, else
   * what it came to elsewhere; undefined: nobody is left to say, so the run ends. Absent: there is no controller.
   */
  ask?(question: string): Promise<Answer | null | undefined>;
  /** What an earlier life of this run, or the run it resumes, has done. */
  readonly replay?: Replay;
  /** Where results are kept that events do not tell whole. */
  readonly results?: Pick<ResultStore, "keep" | "sync">;
  /** Handlers left over from runs that failed. */
  readonly leftovers?: Leftovers;
  /** Whether somebody is there to go on with the run after a restart of the host. */
  readonly survivesRestart?: boolean;
  /** Aborted: finish the action now running, then end. */
  readonly stop: AbortSignal;
  /** Aborted: end the action now running too. */
  readonly kill: AbortSignal;
}

/** What a Job came to. */
export interface ExecutorEnd {
  readonly tally: Tally;
  readonly cancelled: boolean;
  /** Whether a task failed and was not ignored. */
  readonly failed: boolean;
  /** Why it ended early, when no task's failure says so. */
  readonly error?: SerializedError;
}

/** Carries out a Job: its plays in order, each play's roles in order, each role's tasks in order. */
export async function execute(options: ExecutorOptions): Promise<ExecutorEnd> {
  return new Executor(options).run();
}

class Executor {
  readonly #options: ExecutorOptions;
  readonly #memo = createMemo();
  readonly #viewOf: (index: number) => Promise<PlayView>;
  #tally: Tally = EMPTY_TALLY;
  #tasks = 0;
  #announced = 0;
  /** How often each task that the controller is asked about was come to, by play, role and name. */
  readonly #asked = new Map<string, number>();
  /** True once nobody was left to say what to do. */
  #orphaned = false;
  /** True as long as everything that happens was told by an earlier life of the run. */
  #retracing: boolean;

  constructor(options: ExecutorOptions) {
    this.#options = options;
    const { job, facts, renderVar, replay } = options;
    this.#retracing = replay?.sameRun ?? false;
    const { system, systems } = options;
    const variables = (seen: Facts): Vars => hostVariables(job, seen, renderVar);
    this.#viewOf = createPlayViews({ system, systems, facts, variables });
  }

  /** Whatever goes wrong, what was done is counted. */
  async run(): Promise<ExecutorEnd> {
    try {
      return await this.#carryOut();
    } catch (thrown) {
      const cancelled = this.#options.stop.aborted;
      return { tally: this.#tally, cancelled, failed: true, error: serializeError(thrown) };
    }
  }

  async #carryOut(): Promise<ExecutorEnd> {
    const { job, playbook, waitForOthers, stop, replay, leftovers } = this.#options;
    const emit = this.#emit;
    const indexes = job.plays.filter((index) => playbook.plays[index] !== undefined);
    let cancelled = false;
    let failed = false;
    let error: SerializedError | undefined;
    const notBegun: PlayDefinition[] = [];
    for (const [position, index] of indexes.entries()) {
      const play = playbook.plays[index]!;
      let roles: readonly RoleRun[] | undefined;
      if (!failed && !cancelled) {
        try {
          roles = await this.#declare(play, await this.#viewOf(index));
        } catch (thrown) {
          error = serializeError(thrown);
          failed = true;
        }
      }
      if (roles === undefined) {
        notBegun.push(play);
        continue;
      }
      const total = roles.reduce((sum, role) => sum + role.waiting, this.#tasks);
      this.#announced = total;
      emit({ type: "play:start", index, play: play.name, total });
      const end = await runPlay(roles, {
        perform: (role, task) => this.#perform(play, role, task, index),
        planned: (waiting) => this.#announce(waiting),
        stop,
        log: (level, text) => emit({ type: "log", level, text }),
        leftOver: leftovers?.load(play.name) ?? [],
      });
      leftovers?.save(play.name, end.pending);
      this.#count("notExecuted", end.notExecuted);
      cancelled = stop.aborted || this.#orphaned;
      failed = end.failed;
      emit({ type: "play:end", index, play: play.name, failed });
      const next = indexes[position + 1];
      // Gone on with before the restart: nobody will say so again.
      if (next !== undefined && this.#retracing && replay?.begun(next) === true) continue;
      if (next !== undefined) this.#retracing = false;
      const waits = next !== undefined && waitsBetween(play, playbook.plays[next]!);
      if (waits && !failed && !cancelled && job.options.barriers) {
        cancelled = !(await waitForOthers(index)) || stop.aborted;
      }
    }
    this.#countNotBegun(notBegun);
    return { tally: this.#tally, cancelled, failed, ...(error === undefined ? {} : { error }) };
  }

  /** Tells of an event, unless an earlier life of the run has. */
  readonly #emit = (event: TargetEvent): void => {
    if (!this.#retracing) this.#options.emit(event);
  };

  #count(state: keyof Tally, many: number): void {
    for (let index = 0; index < many; index++) this.#tally = countState(this.#tally, state);
  }

  /** Nothing of these plays is executed, their roles' code included, so nobody knows how many tasks they have. */
  #countNotBegun(plays: readonly PlayDefinition[]): void {
    const many = plays.reduce((sum, play) => sum + estimateTasks(play), 0);
    if (many === 0) return;
    this.#count("notExecuted", many);
    const names = plays.map(({ name }) => `"${name}"`).join(", ");
    const text = `not begun: ${names}; how many tasks that leaves not executed is estimated from the code: ${many}`;
    this.#emit({ type: "log", level: "info", text });
  }

  #announce(waiting: number): void {
    const total = this.#tasks + waiting;
    if (total === this.#announced) return;
    this.#announced = total;
    this.#emit({ type: "play:plan", total });
  }

  #declare(play: PlayDefinition, { facts, hostVars, systemOf }: PlayView): Promise<readonly RoleRun[]> {
    const { job, stop } = this.#options;
    const log = (text: string): void => this.#emit({ type: "log", level: "info", text });
    return declareRoles({ play, job, hostVars, facts, systemOf, stop, log });
  }

  async #perform(
    play: PlayDefinition,
    role: RoleRun,
    declared: DeclaredTask,
    index: number,
  ): Promise<Result | null> {
    const { job, assets, render, kill, stop, replay, survivesRestart } = this.#options;
    const view = await this.#viewOf(index);
    const emit = this.#emit;
    const { use, context } = role;
    const { noLog = false, ignoreErrors = false } = declared.options;
    const task = ++this.#tasks;
    const ref = {
      task,
      play: play.name,
      role: use.role.name,
      name: declared.name,
      action: declared.action,
      ...(declared.handler ? { handler: true } : {}),
    };
    const taken = replay?.take(ref);
    const { runOnce, delegateTo } = declared.options;
    const nth = runOnce === true || delegateTo !== undefined ? this.#nth(ref, index) : 0;
    const elsewhere = runOnce === true ? await this.#askOnce({ ...ref, index, nth }) : null;
    if (elsewhere === undefined) {
      this.#tasks--;
      return null;
    }
    if (elsewhere !== null) return this.#takeOver(ref, declared, elsewhere, taken !== undefined);
    const recorded = taken?.kind === "done" && taken.result.from !== undefined ? undefined : taken;
    if (recorded?.kind === "done") return this.#replay(ref, declared, recorded.result);
    this.#retracing = false;
    // The task that restarted the host was begun by an earlier life of the run, which told of it.
    if (recorded === undefined || replay?.sameRun !== true) emit({ type: "task:start", ...ref });
    const restartedMs = recorded === undefined ? undefined : Math.max(0, Date.now() - recorded.begunAt);
    const startedAt = performance.now() - (restartedMs ?? 0);
    const output = maskOutput(maskOfJob(job), (stream, text) =>
      emit({ type: "task:output", task, stream, text }),
    );
    // What was left behind when its time was up tells nothing any more.
    let isOver = false;
    const variables = roleVariables(view.hostVars, play.vars ?? {}, use, context.vars);
    const result = await runTask(declared, {
      system: view.systemOf(declared.options.become ?? use.options.become),
      check: job.options.check,
      roleCondition: roleCondition(use, context),
      kill,
      stop,
      restartedMs,
      delegate: (item, attempt, limitMs) =>
        this.#delegate({ ...ref, index, nth, item, attempt, ...(limitMs < Infinity ? { limitMs } : {}) }),
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
          restart:
            survivesRestart === true
              ? (timeoutMs) => {
                  if (!isOver) this.#restart(task, timeoutMs);
                }
              : undefined,
        }),
    });
    isOver = true;
    const ended: Result = result.state === "failed" && ignoreErrors ? { ...result, ignored: true } : result;
    this.#tally = countState(this.#tally, ended.state);
    output.end();
    this.#tellEnd(ref, declared, ended, { elapsedMs: round(performance.now() - startedAt) });
    return ended;
  }

  /** Tells what a task came to; where that is not all of it, the whole is kept for code, and for that of other hosts. */
  #tellEnd(
    ref: TaskRef,
    { options: { noLog = false, runOnce = false } }: DeclaredTask,
    ended: Result,
    { elapsedMs, resumed }: { readonly elapsedMs: number; readonly resumed?: true },
  ): void {
    const { job, results, ask } = this.#options;
    const shown = noLog ? hideResult(ended) : tellResult(ended, maskOfJob(job), job.options.diff);
    const { diff: _diff, ...whole } = ended;
    const { diff: _shown, ...told } = shown;
    const partial = !isDeepStrictEqual(told, whole);
    if (partial) {
      const text = writeWhole(whole);
      results?.keep(ref.task, text);
      if (runOnce && ask !== undefined && job.options.barriers)
        this.#emit({ type: "task:result", task: ref.task, whole: text });
    }
    this.#emit({
      type: "task:end",
      ...ref,
      result: resumed === undefined ? shown : { ...shown, resumed },
      elapsedMs,
      ...(partial ? { partial } : {}),
    });
  }

  #restart(task: number, timeoutMs: number): void {
    this.#options.results?.sync();
    this.#emit({ type: "restart", task, timeoutMs });
  }

  /** Which of the tasks of the same play, role and name this one is, from 1. */
  #nth({ role, name }: TaskRef, index: number): number {
    const key = JSON.stringify([index, role, name]);
    const nth = (this.#asked.get(key) ?? 0) + 1;
    this.#asked.set(key, nth);
    return nth;
  }

  /** What to do about a task that is done once, as `ask` gives it; the same question is asked again after a restart. */
  async #askOnce(asked: AskedTask): Promise<Answer | null | undefined> {
    const { ask, job, emit } = this.#options;
    if (ask === undefined || !job.options.barriers) return null;
    emit({ type: "task:once", ...asked });
    const answer = await ask(String(asked.task));
    if (answer === undefined) this.#orphaned = true;
    return answer;
  }

  /** Has the controller perform an action: it knows by itself which, and is told only of what task and item it is. */
  async #delegate(asked: DelegatedTask): Promise<Result> {
    const { ask, job, emit } = this.#options;
    if (ask === undefined || !job.options.barriers)
      throw new VolleyError("USAGE", "this is done on the controller, and a bundle that is carried has none");
    emit({ type: "task:delegate", ...asked });
    const answer = await ask(delegateQuestion(asked.task, asked.item, asked.attempt));
    if (answer) return readResult(answer.whole) ?? answer.result;
    this.#orphaned = true;
    throw new VolleyError("CANCELLED", "the controller is gone that was to do this");
  }

  /** Takes a task as done by another host. */
  #takeOver(ref: TaskRef, { options }: DeclaredTask, answer: Answer, recorded: boolean): Result {
    maskToo(this.#options.job, answer.secrets ?? []);
    const ignored =
      answer.result.state === "failed" && options.ignoreErrors === true ? { ignored: true } : {};
    const ended = Object.assign(resultFrom(answer), ignored);
    // Not what code is told: it may hold what is to be told by nobody.
    const told = toldFrom({ ...answer.result, ...ignored });
    this.#tally = countState(this.#tally, told.state);
    if (!recorded) this.#retracing = false;
    this.#emit({ type: "task:start", ...ref });
    this.#emit({ type: "task:end", ...ref, result: told, elapsedMs: 0 });
    return ended;
  }

  /** Takes a task as done. */
  #replay(ref: TaskRef, declared: DeclaredTask, result: Result): Result {
    this.#tally = countState(this.#tally, result.state);
    const sameRun = this.#options.replay?.sameRun === true;
    if (!sameRun) this.#emit({ type: "task:start", ...ref });
    this.#tellEnd(ref, declared, result, { elapsedMs: 0, ...(sameRun ? {} : { resumed: true }) });
    return result;
  }
}

/** Handlers that were notified in a run that failed before they could run. */
export interface Leftovers {
  /** `role:handler` for each. */
  load(play: string): readonly string[];
  save(play: string, handlers: readonly string[]): void;
}

function roleCondition(use: RoleUse, context: RoleContext): (() => boolean | Promise<boolean>) | undefined {
  const { when } = use.options;
  return when === undefined ? undefined : () => (typeof when === "function" ? when(context) : when);
}

function round(milliseconds: number): number {
  return Math.round(milliseconds * 100) / 100;
}

/** The event that ends a stream whose run could not be carried out. */
export function byeForError(thrown: unknown, elapsedMs: number): Extract<TargetEvent, { type: "bye" }> {
  return { type: "bye", tally: EMPTY_TALLY, elapsedMs: round(elapsedMs), error: serializeError(thrown) };
}
