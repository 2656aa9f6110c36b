import type { Result } from "../core/result.ts";
import type { JournalLine } from "./run-store.ts";

/** Which task of a play: names may repeat, so their order counts too. */
export interface TaskIdentity {
  readonly play: string;
  readonly role: string;
  readonly name: string;
  readonly action: string;
  readonly handler?: boolean;
}

/** What an earlier run came to with a task. */
export interface Recorded {
  readonly result: Result;
  /** False for the task that restarted the host: nobody has been told of its end. */
  readonly told: boolean;
}

/** Results of a run that did not come to its end, given out in the order they came. */
export interface Replay {
  /** True when the run goes on under its own name: what the journal holds has been told already. */
  readonly sameRun: boolean;
  /** What was recorded of a task that need not be repeated. */
  take(task: TaskIdentity): Recorded | undefined;
  /** Whether a play had begun. */
  begun(index: number): boolean;
}

/** What masked text looks like: a Result that holds some cannot stand for the real one. */
const MASK = "********";

/** Reads what a journal says was done; what failed, could not be known, or cannot be told again is not. */
export function readReplay(lines: readonly JournalLine[], sameRun: boolean): Replay {
  const done = new Map<string, (Recorded | undefined)[]>();
  const plays = new Set<number>();
  const started = new Map<number, TaskIdentity>();
  const add = (task: TaskIdentity, recorded: Recorded | undefined): void => {
    const key = keyOf(task);
    // One that cannot be used still takes its place, so that those after it keep theirs.
    done.set(key, [...(done.get(key) ?? []), recorded]);
  };
  for (const { event, line } of lines) {
    switch (event.type) {
      case "play:start":
        plays.add(event.index);
        break;
      case "task:start":
        started.set(event.task, event);
        break;
      case "restart": {
        const task = started.get(event.task);
        if (task !== undefined)
          add(task, { result: { state: "changed", message: "the host was restarted" }, told: false });
        break;
      }
      case "task:end": {
        const { result } = event;
        const usable =
          result.state !== "failed" &&
          result.unknown !== true &&
          result.hidden !== true &&
          !line.includes(MASK);
        add(event, usable ? { result, told: true } : undefined);
        break;
      }
      default:
        break;
    }
  }
  return { sameRun, take: (task) => done.get(keyOf(task))?.shift(), begun: (index) => plays.has(index) };
}

function keyOf({ play, role, name, action, handler = false }: TaskIdentity): string {
  return JSON.stringify([play, role, name, action, handler]);
}
