import { VolleyError } from "../core/errors.ts";
import type { Result } from "../core/result.ts";
import type { DeclaredTask } from "./declared-task.ts";
import { createHandle } from "./task-handle.ts";
import { UnknownInCheckMode } from "./unknown.ts";
import type { RoleRun } from "./role-run.ts";
import { notifyList } from "./role-run.ts";

/** What a play needs from the executor. */
export interface PlayHost {
  /** Runs one task, tells of it, and counts it. */
  perform(role: RoleRun, task: DeclaredTask): Promise<Result>;
  /** How many tasks are still waiting has changed. */
  planned(waiting: number): void;
  /** True once the run is to stop after the action now running. */
  readonly stopping: () => boolean;
  readonly log: (level: "info" | "warn", text: string) => void;
}

/** How a play ended on this host. */
export interface PlayEnd {
  readonly failed: boolean;
  readonly notExecuted: number;
}

/** A handler that was notified and has not run. */
interface PendingHandler {
  readonly role: RoleRun;
  readonly name: string;
}

/** Runs the declared roles of one play in order, and its handlers at the end. */
export async function runPlay(roles: readonly RoleRun[], host: PlayHost): Promise<PlayEnd> {
  const pending = new Set<string>();
  const unknown = new Set<string>();
  const keyOf = (role: RoleRun, name: string): string => `${roles.indexOf(role)}:${name}`;
  const waitingTasks = (): number => roles.reduce((sum, role) => sum + role.waiting, 0) + countHandlers(roles, pending, keyOf);

  const notify = (from: RoleRun, task: DeclaredTask, result: Result): void => {
    if (result.state !== "changed" && result.unknown !== true) return;
    for (const name of notifyList(task.options.notify)) {
      const target = findHandler(roles, from, name);
      (result.state === "changed" ? pending : unknown).add(keyOf(target.role, target.name));
    }
  };

  const runHandlers = async (): Promise<boolean> => {
    for (const role of roles) {
      for (const [name, calls] of role.handlers) {
        const key = keyOf(role, name);
        const certain = pending.delete(key);
        const perhaps = unknown.delete(key);
        if (!certain && !perhaps) continue;
        for (const call of calls) {
          if (host.stopping()) {
            pending.add(key);
            return false;
          }
          const task: DeclaredTask = {
            kind: "task",
            name: calls.length === 1 ? name : `${name} (${call.action})`,
            action: call.action,
            call,
            options: certain ? {} : { when: unknownNotification as never },
            control: createHandle(name),
            handler: true,
          };
          host.planned(waitingTasks());
          const result = await host.perform(role, task);
          if (result.state === "failed") return false;
        }
      }
    }
    return true;
  };

  const stopAll = (extra: number): PlayEnd => {
    const left = roles.reduce((sum, role) => sum + role.stop(), 0) + countHandlers(roles, pending, keyOf);
    return { failed: true, notExecuted: left + extra };
  };

  for (const role of roles) {
    for (;;) {
      host.planned(waitingTasks());
      const queued = await role.next();
      if (queued === null) break;
      if (host.stopping()) return stopAll(queued.kind === "task" ? 1 : 0);
      if (queued.kind === "flush") {
        if (!(await runHandlers())) return stopAll(0);
        continue;
      }
      const result = await host.perform(role, queued);
      notify(role, queued, result);
      const ended = result.state === "failed" && result.ignored !== true;
      queued.control.settle(result, ended);
      if (ended) return stopAll(0);
    }
    const { end } = role;
    if (end?.kind === "failed") {
      await host.perform(role, codeFailure(role, end.error));
      return stopAll(0);
    }
    if (end?.kind === "unknown") host.log("warn", `role "${role.use.role.name}": the rest cannot be predicted: ${end.message}`);
  }
  return (await runHandlers()) ? { failed: false, notExecuted: 0 } : stopAll(0);
}

function countHandlers(
  roles: readonly RoleRun[],
  pending: ReadonlySet<string>,
  keyOf: (role: RoleRun, name: string) => string,
): number {
  let count = 0;
  for (const role of roles) for (const [name, calls] of role.handlers) if (pending.has(keyOf(role, name))) count += calls.length;
  return count;
}

function findHandler(roles: readonly RoleRun[], from: RoleRun, name: string): PendingHandler {
  if (from.handlers.has(name)) return { role: from, name };
  const [roleName, handler = ""] = splitHandlerName(name);
  const role = roles.find(({ use, handlers }) => use.role.name === roleName && handlers.has(handler));
  if (role === undefined) throw new VolleyError("PLAYBOOK_INVALID", `there is no handler "${name}" in this play`);
  return { role, name: handler };
}

/** `role:handler` taken apart. */
export function splitHandlerName(name: string): readonly string[] {
  const colon = name.indexOf(":");
  return colon < 0 ? [name] : [name.slice(0, colon).trim(), name.slice(colon + 1).trim()];
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
