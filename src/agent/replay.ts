import type { WireEvent } from "../core/protocol.ts";
import type { Result } from "../core/result.ts";
import type { Earlier, Recorded, TaskIdentity } from "../engine/effects.ts";
import { withoutData } from "../engine/results.ts";
import { readResult } from "./result-store.ts";
import type { JournalLine } from "./run-store.ts";

/** How a journal is read. */
export interface ReplayOptions {
  readonly sameRun: boolean;
  /** Whether the host was restarted since: only then has the last task that wanted it got it. */
  readonly restarted: boolean;
  /** What the journal has in part, whole, by the task's number. */
  readonly results: ReadonlyMap<number, string>;
}

/** Reads what a journal says was done; what failed, could not be known, or cannot be told again is not. */
export function readReplay(
  lines: readonly JournalLine[],
  { sameRun, restarted, results }: ReplayOptions,
): Earlier {
  /** By number, in the order they were begun. One that cannot be used still takes its place, so that those after it keep theirs. */
  const tasks = new Map<number, { task: TaskIdentity; begunAt: number; recorded?: Recorded }>();
  const plays = new Set<number>();
  for (const { event } of lines) {
    switch (event.type) {
      case "play:start":
        plays.add(event.index);
        break;
      case "task:start":
        tasks.set(event.task, { task: event, begunAt: event.time });
        break;
      case "restart": {
        const begun = tasks.get(event.task);
        if (begun !== undefined && restarted)
          tasks.set(event.task, { ...begun, recorded: { kind: "restarted", begunAt: begun.begunAt } });
        break;
      }
      case "task:end": {
        const { task } = event;
        const whole = readResult(results.get(task));
        const known = sameRun ? resultSoFar(event, whole) : resultToTrust(event, whole);
        tasks.set(task, {
          task: event,
          begunAt: event.time,
          ...(known === undefined ? {} : { recorded: { kind: "done", result: known } }),
        });
        break;
      }
      default:
        break;
    }
  }
  const done = new Map<string, (Recorded | undefined)[]>();
  for (const { task, recorded } of tasks.values()) {
    const key = keyOf(task);
    done.set(key, [...(done.get(key) ?? []), recorded]);
  }
  return { sameRun, take: (task) => done.get(keyOf(task))?.shift(), begun: (index) => plays.has(index) };
}

type TaskEnd = Extract<WireEvent, { readonly type: "task:end" }>;

/** What another run can take for done. */
function resultToTrust({ result, partial }: TaskEnd, whole: Result | undefined): Result | undefined {
  if (result.state === "failed" || result.unknown === true) return undefined;
  return whole ?? (partial === true ? undefined : result);
}

/** What the same run has gone on behind: done is done, also where not all of it could be written down. */
function resultSoFar({ result, partial }: TaskEnd, whole: Result | undefined): Result | undefined {
  if (result.state === "failed" && result.ignored !== true) return undefined;
  if (whole !== undefined || partial !== true) return whole ?? result;
  return withoutData(
    result,
    "what this task found out could not be written down, and is forgotten since the host was restarted",
    "make room on the host's disk, or find it out again in a task behind the restart",
  );
}

function keyOf({ play, role, name, action, handler = false }: TaskIdentity): string {
  return JSON.stringify([play, role, name, action, handler]);
}
