import * as fs from "node:fs";
import { join } from "node:path";
import { encodeLine, type WireEvent } from "../core/protocol.ts";
import type { Result } from "../core/result.ts";
import type { Earlier, Recorded, TaskIdentity } from "../engine/effects.ts";
import { withoutData } from "../engine/results.ts";
import type { JournalLine, RunStore } from "./journal.ts";
import { readWhole } from "./whole-value.ts";

const FILE = "results.ndjson";

/**
 * The results of a run that its events do not tell whole, for the code that goes on behind them: neither cut nor masked,
 * so apart from the journal, for this account alone, and removed when the run has ended well.
 */
export interface ResultStore {
  /** Keeps what a task came to, as `whole-value.ts` writes it. */
  keep(task: number, whole: string): void;
  /** Those that were kept, by the task's number. */
  read(): ReadonlyMap<number, string>;
  /** Gets what was kept onto the disk: the host is about to go down. */
  sync(): void;
  remove(): void;
}

/** The store in a run's directory on a host, which is made when the journal is opened. */
export function openResults(directory: string): ResultStore {
  const file = join(directory, FILE);
  let opened: number | undefined;
  return {
    keep: (task, whole) => {
      try {
        opened ??= fs.openSync(file, "a", 0o600);
        // A process that was killed as it wrote has left a line without an end.
        fs.writeSync(opened, `\n${JSON.stringify([task, whole])}\n`);
      } catch {
        // The disk is full: the journal says that there was more, and who asks for it is told.
      }
    },
    read: () => {
      const found = new Map<number, string>();
      const lines = fs.existsSync(file) ? fs.readFileSync(file, "utf8").split("\n") : [];
      for (const line of lines) {
        try {
          const [task, whole] = JSON.parse(line) as [number, string];
          found.set(task, whole);
        } catch {
          // An empty line, or one that was cut off.
        }
      }
      return found;
    },
    sync: () => {
      try {
        if (opened !== undefined) fs.fsyncSync(opened);
      } catch {
        // As where it cannot be written.
      }
    },
    remove: () => fs.rmSync(file, { force: true }),
  };
}

/** Removes the results of a run that has ended well, by its journal. */
export function forgetResults(store: RunStore): void {
  if (!fs.existsSync(join(store.directory, FILE))) return;
  const lines = store.lines();
  const last = lines.at(-1)?.event;
  if (last?.type !== "bye" || last.error !== undefined || last.cancelled === true) return;
  const rescued = rescuedIn(lines);
  const failed = lines.some(
    ({ event }) =>
      event.type === "task:end" &&
      event.result.state === "failed" &&
      event.result.ignored !== true &&
      !rescued.has(event.task),
  );
  if (!failed) openResults(store.directory).remove();
}

/** Journal lines as a controller is to be told them: the journal itself has no result for code. */
export function tellable(directory: string, lines: readonly JournalLine[]): readonly JournalLine[] {
  if (!lines.some(({ event }) => event.type === "task:result")) return lines;
  const results = openResults(directory).read();
  return lines.map((line) => {
    const { event } = line;
    if (event.type !== "task:result") return line;
    const whole = results.get(event.task);
    return whole === undefined ? line : { event, line: encodeLine({ ...event, whole }) };
  });
}

/** What a task came to, whole; undefined when it was not written whole. */
export function readResult(whole: string | undefined): Result | undefined {
  try {
    return whole === undefined ? undefined : (readWhole(whole) as Result);
  } catch {
    return undefined;
  }
}

/** How a journal is read. */
interface ReplayOptions {
  readonly sameRun: boolean;
  /** Whether the host was restarted since: only then has the last task that wanted it got it. */
  readonly restarted: boolean;
  /** What the journal has in part, whole, by the task's number. */
  readonly results: ReadonlyMap<number, string>;
}

/**
 * Read the results in a journal. A task that failed, could not be known, or whose result is not whole is done again. So is
 * everything a role did behind a failure that it had not rescued: another try may take another way. A run that goes on
 * under its own name, though, keeps the failures it has gone on behind.
 */
export function readReplay(
  lines: readonly JournalLine[],
  { sameRun, restarted, results }: ReplayOptions,
): Earlier {
  /** By number, in the order they were begun. One that cannot be used still takes its place, so that those after it keep theirs. */
  const tasks = new Map<number, { task: TaskIdentity; begunAt: number; recorded?: Recorded }>();
  const plays = new Set<number>();
  const rescued = rescuedIn(lines);
  const lastBegun = lines.reduce(
    (last, { event }) => (event.type === "task:start" ? Math.max(last, event.task) : last),
    0,
  );
  /** Roles with a failure that they had not rescued. */
  const broken = new Set<string>();
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
        const isFailure = event.result.state === "failed" && event.result.ignored !== true;
        const known = sameRun
          ? resultSoFar(event, whole, !isFailure || rescued.has(task) || task < lastBegun)
          : resultToTrust(event, whole, rescued.has(task));
        const role = JSON.stringify([event.play, event.role]);
        if (!sameRun && isFailure && known === undefined) broken.add(role);
        const usable = broken.has(role) ? undefined : known;
        tasks.set(task, {
          // The event of its start has the name of its action as it was declared.
          task: tasks.get(task)?.task ?? event,
          begunAt: event.time,
          ...(usable === undefined ? {} : { recorded: { kind: "done", result: usable } }),
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

/** The numbers of the tasks whose failure was rescued. */
function rescuedIn(lines: readonly JournalLine[]): ReadonlySet<number> {
  return new Set(lines.flatMap(({ event }) => (event.type === "task:rescued" ? [event.task] : [])));
}

type TaskEnd = Extract<WireEvent, { readonly type: "task:end" }>;

/** What another run can take for done. */
function resultToTrust(
  { result, partial }: TaskEnd,
  whole: Result | undefined,
  isRescued: boolean,
): Result | undefined {
  if ((result.state === "failed" && !isRescued) || result.unknown === true) return undefined;
  return whole ?? (partial === true ? undefined : result);
}

/** What the same run has gone on behind: done is done, also where not all of it could be written down. */
function resultSoFar(
  { result, partial }: TaskEnd,
  whole: Result | undefined,
  isPast: boolean,
): Result | undefined {
  if (!isPast) return undefined;
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
