import { VolleyError } from "../core/errors.ts";
import type { Result } from "../core/result.ts";
import { notifyList, splitHandlerName } from "./check-task.ts";
import { createHandle, UnknownInCheckMode } from "./handle.ts";
import type { DeclaredTask, RoleRun } from "./role.ts";
import { ROLE_SKIPPED } from "./task.ts";

/** What a play needs from the engine. */
export interface PlayHost {
  /** Runs one task, tells of it, and counts it; null when it is not to be run because the run ends. */
  perform(role: RoleRun, task: DeclaredTask): Promise<Result | null>;
  /** How many tasks are still waiting has changed. */
  planned(waiting: number): void;
  /** Aborted: the run is to end after the action now running. */
  readonly cancel: AbortSignal;
  readonly log: (level: "info" | "warn", text: string) => void;
  /** Handlers, as `role:handler`, that were notified in an earlier run that failed. */
  readonly leftOver: readonly string[];
}

/** How a play ended on this host. */
export interface PlayEnd {
  readonly failed: boolean;
  readonly notExecuted: number;
  /** Handlers, as `role:handler`, that were notified and have not run. */
  readonly pending: readonly string[];
}

/** A handler that was notified and has not run. */
interface PendingHandler {
  readonly role: RoleRun;
  readonly name: string;
}

/** Runs the declared roles of one play in order, and its handlers at the end. */
export async function runPlay(roles: readonly RoleRun[], host: PlayHost): Promise<PlayEnd> {
  const onCancel = (): void => {
    for (const role of roles) role.cancel();
  };
  host.cancel.addEventListener("abort", onCancel, { once: true });
  try {
    return await runRoles(roles, host);
  } finally {
    host.cancel.removeEventListener("abort", onCancel);
  }
}

async function runRoles(roles: readonly RoleRun[], host: PlayHost): Promise<PlayEnd> {
  /** Handlers to run, by key; those of `unknown` may have been notified, which only a real run tells. */
  const pending = new Set<string>();
  const unknown = new Set<string>();
  /** Actions left of the handler now running. */
  let unfinished = 0;
  /** The handler now running: when it fails it has not run. */
  let running: PendingHandler | undefined;
  const keyOf = (role: RoleRun, name: string): string => `${roles.indexOf(role)}:${name}`;
  for (const role of roles) {
    for (const name of role.handlers.keys()) {
      const full = `${role.use.role.name}:${name}`;
      if (!host.leftOver.includes(full)) continue;
      pending.add(keyOf(role, name));
      host.log(
        "info",
        `handler ${full} is left over from a run that failed: it runs at the end of this play`,
      );
    }
  }
  const waitingTasks = (): number => {
    let count = unfinished;
    for (const role of roles) {
      count += role.waiting;
      for (const [name, calls] of role.handlers) {
        const key = keyOf(role, name);
        if (pending.has(key) || unknown.has(key)) count += calls.length;
      }
    }
    return count;
  };

  const notify = (from: RoleRun, task: DeclaredTask, result: Result): void => {
    // What another host has done is no change here.
    if ((result.state !== "changed" && result.unknown !== true) || result.from !== undefined) return;
    for (const name of notifyList(task.options.notify)) {
      const target = findHandler(roles, from, name);
      (result.state === "changed" ? pending : unknown).add(keyOf(target.role, target.name));
    }
  };

  const end = (failed: boolean, notStarted = 0): PlayEnd => {
    const notExecuted = waitingTasks() + notStarted;
    const left = roles.flatMap((role) =>
      [...role.handlers.keys()]
        .filter((name) => pending.has(keyOf(role, name)) || (running?.role === role && running.name === name))
        .map((name) => `${role.use.role.name}:${name}`),
    );
    for (const role of roles) role.close();
    return { failed, notExecuted, pending: left };
  };

  /** Gives how the play ended, when a handler ended it. */
  const runHandlers = async (): Promise<PlayEnd | null> => {
    for (const role of roles) {
      for (const [name, calls] of role.handlers) {
        const key = keyOf(role, name);
        const certain = pending.delete(key);
        const perhaps = unknown.delete(key);
        if (!certain && !perhaps) continue;
        running = { role, name };
        for (const [index, call] of calls.entries()) {
          unfinished = calls.length - index;
          if (host.cancel.aborted) return end(false);
          host.planned(waitingTasks());
          unfinished--;
          const result = await host.perform(role, {
            kind: "task",
            name: calls.length === 1 ? name : `${name} (${call.action})`,
            action: call.action,
            call,
            options: certain ? {} : { when: unknownNotification as never },
            control: createHandle(name),
            handler: true,
          });
          if (result?.state === "failed") return end(true);
        }
        running = undefined;
      }
    }
    return null;
  };

  for (const role of roles) {
    for (;;) {
      const queued = await role.next();
      if (queued === null) break;
      const isTask = queued.kind === "task";
      if (host.cancel.aborted) {
        if (isTask) queued.control.drop();
        return end(false, isTask ? 1 : 0);
      }
      host.planned(waitingTasks() + (isTask ? 1 : 0));
      if (!isTask) {
        const ended = await runHandlers();
        if (ended !== null) return ended;
        continue;
      }
      const result = await host.perform(role, queued);
      if (result === null) {
        queued.control.drop();
        return end(false, 1);
      }
      notify(role, queued, result);
      const failed = result.state === "failed" && result.ignored !== true;
      // A role that is not wanted on this host must not go on with results that are not there.
      if (result === ROLE_SKIPPED) queued.control.drop();
      else queued.control.settle(result, failed);
      if (failed) return end(true);
    }
    if (role.end === undefined) return end(false);
    const error = codeError(role);
    if (error !== undefined) {
      host.planned(waitingTasks() + 1);
      await host.perform(role, codeFailure(role, error.thrown));
      return end(true);
    }
    if (role.end.kind === "unknown") {
      host.log("warn", `role "${role.use.role.name}": the rest cannot be predicted: ${role.end.message}`);
    }
  }
  return (await runHandlers()) ?? { failed: false, notExecuted: 0, pending: [] };
}

/** What a role's own code failed with; not knowing is a failure too, outside check mode. */
function codeError({ end, context }: RoleRun): { readonly thrown: unknown } | undefined {
  if (end?.kind === "failed") return { thrown: end.error };
  if (end?.kind !== "unknown" || context.check) return undefined;
  return { thrown: new VolleyError("PLAYBOOK_INVALID", `the role's code ${end.message}`) };
}

function findHandler(roles: readonly RoleRun[], from: RoleRun, name: string): PendingHandler {
  if (from.handlers.has(name)) return { role: from, name };
  const [roleName, handler = ""] = splitHandlerName(name);
  const role = roles.find(({ use, handlers }) => use.role.name === roleName && handlers.has(handler));
  if (role === undefined)
    throw new VolleyError("PLAYBOOK_INVALID", `there is no handler "${name}" in this play`);
  return { role, name: handler };
}

function unknownNotification(): boolean {
  throw new UnknownInCheckMode("whether it is notified depends on what check mode cannot know");
}

/** A role's own code threw: shown and counted as a task that failed. */
function codeFailure(role: RoleRun, error: unknown): DeclaredTask {
  return {
    kind: "task",
    name: "the role's own code",
    action: "",
    call: {
      action: "",
      params: {},
      title: "",
      inspect: () => Promise.reject(error),
      apply: () => Promise.reject(error),
    },
    options: {},
    control: createHandle(role.use.role.name),
    handler: false,
  };
}
