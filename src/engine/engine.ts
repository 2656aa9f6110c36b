import { type SerializedError, serializeError } from "../core/errors.ts";
import type { TargetEvent, TaskRef } from "../core/events.ts";
import { type Playbook, type PlayDefinition, waitsBetween } from "../core/playbook.ts";
import type { Job } from "../core/protocol.ts";
import { EMPTY_TALLY, type Tally } from "../core/result.ts";
import type { Vars } from "../core/values/vars.ts";
import { type DeclareOptions, declareGuest, declareRoles, hostVariables } from "./context.ts";
import type { Effects, HostView } from "./effects.ts";
import { Included } from "./guests.ts";
import { followAskers, watchStrays } from "./handle.ts";
import { withEither } from "./limits.ts";
import { runPlay } from "./play.ts";
import { type ProgramHost, runProgram } from "./program.ts";
import type { RoleRun } from "./role.ts";
import { Ledger, type PlayOnHost, Turns } from "./turn.ts";

/** The end of a Job. */
export interface JobEnd {
  readonly tally: Tally;
  readonly cancelled: boolean;
  /** True when a task failed and was neither ignored nor rescued. */
  readonly failed: boolean;
  /** The reason of an early end that no task's failure gives. */
  readonly error?: SerializedError;
}

/** Carry out a Job: its plays in order, each play's roles in order, each role's tasks in order. Never throws. */
export async function runJob(playbook: Playbook, job: Job, effects: Effects): Promise<JobEnd> {
  if (job.options.check) followAskers();
  const ledger = new Ledger(effects);
  // Aborted with an error of the playbook's code that nothing caught.
  const stray = new AbortController();
  try {
    const end = await watchStrays(
      (thrown) => stray.abort(thrown),
      () =>
        withEither([effects.cancel, stray.signal], (cancel) =>
          runPlays(playbook, job, { ...effects, cancel }, ledger),
        ),
    );
    stray.signal.throwIfAborted();
    return end;
  } catch (thrown) {
    const cancelled = effects.cancel.aborted;
    return { tally: ledger.tally, cancelled, failed: true, error: serializeError(thrown) };
  }
}

async function runPlays(playbook: Playbook, job: Job, effects: Effects, ledger: Ledger): Promise<JobEnd> {
  const { cancel, state } = effects;
  const turns = new Turns(job, effects, ledger);
  /** Plays of one user share their view and the vars rendered for it. */
  const scopes = new Map<HostView, Vars>();
  const onHost = async (play: PlayDefinition, index: number): Promise<PlayOnHost> => {
    const view = await effects.view(index, play.program !== undefined);
    const hostVars = scopes.get(view) ?? hostVariables(job, view.facts, effects.renderVar);
    scopes.set(view, hostVars);
    return { play, index, view, hostVars };
  };
  const declaring = ({ play, hostVars, view: { facts, systemOf } }: PlayOnHost): DeclareOptions => {
    const log = (text: string): void => ledger.log("info", text);
    return { play, job, hostVars, facts, systemOf, cancel, log, templatesOf: effects.templatesOf };
  };
  const hostOfPlay = ({ name }: PlayDefinition) => ({
    rescue: (task: TaskRef) => ledger.rescue(task),
    planned: (left: number) => ledger.plan(left),
    ends: effects,
    forcesHandlers: job.options.forceHandlers === true,
    log: (level: "info" | "warn", text: string) => ledger.log(level, text),
    leftOver: state.leftovers?.load(name) ?? [],
  });
  const hostOfProgram = (at: PlayOnHost): ProgramHost => {
    const host = hostOfPlay(at.play);
    return {
      ...host,
      job,
      play: at.play,
      index: at.index,
      facts: at.view.facts,
      gather: async () => (await at.view.gather?.()) ?? at.view.facts,
      systemOf: at.view.systemOf,
      world: effects.world,
      assets: effects.assets,
      memo: turns.memo,
      makeTemplates: effects.makeTemplates,
      perform: (task) => turns.perform(at, task),
      guestHost: (around) => ({
        host: { ...host, around },
        declare: (guest, handlers) => declareGuest(guest, handlers, declaring(at)),
        perform: (role, task, { vars }, ends) => turns.take({ ...at, hostVars: vars }, role, task, ends),
      }),
    };
  };
  const indexes = job.plays.filter((index) => playbook.plays[index] !== undefined);
  let cancelled = false;
  let failed = false;
  let error: SerializedError | undefined;
  const notBegun: PlayDefinition[] = [];
  for (const [position, index] of indexes.entries()) {
    const play = playbook.plays[index]!;
    let begun:
      | {
          readonly at: PlayOnHost;
          readonly roles: readonly RoleRun[];
          readonly included: Included;
          readonly waiting: number;
        }
      | undefined;
    if (!failed && !cancelled) {
      try {
        const at = await onHost(play, index);
        const included = new Included(playbook, (around) => ({ ...hostOfProgram(at), around }));
        const roles = play.program === undefined ? await declareRoles({ ...declaring(at), included }) : [];
        const waiting = roles.reduce(
          (sum, role) => sum + role.waiting,
          (play.program?.estimate ?? 0) + (included.opened?.waiting ?? 0),
        );
        begun = { at, roles, included, waiting };
      } catch (thrown) {
        error = serializeError(thrown);
        failed = true;
      }
    }
    if (begun === undefined) {
      notBegun.push(play);
      continue;
    }
    const { at, roles, included, waiting } = begun;
    const total = ledger.total(waiting);
    state.beginPlay?.(index);
    ledger.emit({ type: "play:start", index, play: play.name, total });
    const end =
      play.program === undefined
        ? await runPlay(roles, {
            ...hostOfPlay(play),
            included,
            perform: (role, task, ends) => turns.take(at, role, task, ends),
          })
        : await runProgram(play.program, hostOfProgram(at));
    state.leftovers?.save(play.name, end.pending);
    ledger.countNotExecuted(end.notExecuted);
    cancelled = end.cancelled || turns.isOrphaned;
    failed = end.failed;
    ledger.emit({ type: "play:end", index, play: play.name, failed });
    const next = indexes[position + 1];
    if (next === undefined) continue;
    // The run passed this barrier before the restart: the controller does not send `continue` again.
    if (ledger.isRetracing && state.earlier?.begun(next) === true) continue;
    ledger.stopRetracing();
    const waits = waitsBetween(play, playbook.plays[next]!) && job.options.barriers;
    if (waits && !failed && !cancelled) cancelled = !(await effects.waitForOthers(index)) || cancel.aborted;
  }
  countNotBegun(notBegun, ledger);
  if (turns.unmatchedStart !== undefined && job.options.startAtPlay === undefined && !failed && !cancelled)
    ledger.log(
      "warn",
      `no task is called "${turns.unmatchedStart}", where the run was to start: no task was run`,
    );
  return { tally: ledger.tally, cancelled, failed, ...(error === undefined ? {} : { error }) };
}

/** Count the tasks of plays that are not begun. The number is an estimate, because the plays' code is not executed. */
function countNotBegun(plays: readonly PlayDefinition[], ledger: Ledger): void {
  const many = plays.reduce((sum, play) => sum + estimateTasks(play), 0);
  if (many === 0) return;
  ledger.countNotExecuted(many);
  const names = plays.map(({ name }) => `"${name}"`).join(", ");
  ledger.log(
    "info",
    `not begun: ${names}; how many tasks that leaves not executed is estimated from the code: ${many}`,
  );
}

/** Estimate the number of a play's tasks by the text of its roles; loops, conditions and tags do not count. */
function estimateTasks({ roles, program }: PlayDefinition): number {
  return roles.reduce((sum, { role }) => sum + countCalls(String(role.tasks)), program?.estimate ?? 0);
}

function countCalls(text: string): number {
  // Where the bundle has another `task` above, the role calls it by another name: `{ task: task2 }`.
  const name = /^[^{]*\{[^}]*?\btask\s*:\s*([\w$]+)/.exec(text)?.[1] ?? "task";
  return text.split(new RegExp(`(?<![\\w$])${name.replaceAll("$", "\\$")}\\s*\\(`)).length - 1;
}

/** The event that ends a stream whose run could not be carried out. */
export function byeForError(thrown: unknown, elapsedMs: number): Extract<TargetEvent, { type: "bye" }> {
  return {
    type: "bye",
    tally: EMPTY_TALLY,
    elapsedMs: Math.round(elapsedMs * 100) / 100,
    error: serializeError(thrown),
  };
}
