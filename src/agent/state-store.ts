import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { join } from "node:path";
import { VolleyError } from "../core/errors.ts";
import type { TaskRef } from "../core/events.ts";
import { isState, type Result } from "../core/result.ts";
import { isRecord } from "../core/values/value.ts";
import type { Earlier, Leftovers, Recorded, RunState, TaskIdentity } from "../engine/effects.ts";
import { withoutData } from "../engine/results.ts";
import { parseJsonLines } from "../system/output.ts";
import { hostDirectory } from "../system/own-files.ts";
import { decodeWhole, encodeWhole } from "../vars/whole-value.ts";
import type { RunStore } from "./journal.ts";

// The state that outlives a run's process: results of tasks in a run's directory, and leftover handlers beside the
// bundles.

/** The state of a host's part of a run, in the directory of its journal. */
const FILE = "state.ndjson";
/** The mark of a secret result in the file. */
const SECRET = '"kept":"secret"';

/** A line of the state store. */
export type StateRecord =
  /** A play began. */
  | { readonly play: number }
  /** A task restarts the host; it began at this time, in milliseconds since the epoch. */
  | { readonly task: TaskRef; readonly begunAt: number }
  /** The controller is given the result of the task with this number. */
  | { readonly shared: number }
  /** The controller has it. */
  | { readonly taken: number }
  /** A task has begun, of those behind one that failed. */
  | { readonly begun: number }
  /** The failure of this task was rescued. */
  | { readonly rescued: number }
  /** A task has ended. */
  | {
      readonly task: TaskRef;
      /** As {@link encodeWhole} writes it, neither masked nor cut. */
      readonly result: unknown;
      /**
       * `told`: the event of the task's end tells all of it. `secret`: the event does not, so the result is dropped when
       * the run has ended well. `lost`: only the state is left, because the run has ended well or the disk was full.
       */
      readonly kept: "told" | "secret" | "lost";
    };

/**
 * The state that outlives the process of a run, for code: whole and unmasked, so for this account alone (mode 0600).
 * Resume, restarts of the host and other hosts of a `runOnce` task read it. People read the journal instead.
 */
export interface StateStore
  extends Required<Pick<RunState, "beginPlay" | "begin" | "keep" | "rescue" | "restart">> {
  read(): readonly StateRecord[];
  /** Record that the controller is given the result of a task, until it has taken it. */
  share(task: number): void;
  taken(task: number): void;
  /** The shared results that the controller has not taken, as `writeWhole` writes them. */
  untaken(): ReadonlyMap<number, string>;
  /** Drop the results that events do not tell: the run has ended well. */
  forget(): void;
}

/** Open the state store in a directory, which exists once something is kept. */
export function openState(directory: string): StateStore {
  const file = join(directory, FILE);
  let opened: number | undefined;
  /** True when the last task to end failed: the run has gone on behind it once the next task begins. */
  let hasFailed = false;
  const write = (record: StateRecord): boolean => {
    try {
      opened ??= fs.openSync(file, "a", 0o600);
      // A process that was killed while it wrote has left a line without an end.
      fs.writeSync(opened, `\n${JSON.stringify(record)}\n`);
      return true;
    } catch {
      return false;
    }
  };
  const text = (): string => (fs.existsSync(file) ? fs.readFileSync(file, "utf8") : "");
  const read = (): readonly StateRecord[] => parseJsonLines(text()).filter(isStateRecord);
  return {
    read,
    beginPlay: (play) => void write({ play }),
    begin: (task) => {
      if (hasFailed) write({ begun: task });
      hasFailed = false;
    },
    rescue: (task) => void write({ rescued: task }),
    keep: (task, result, partial) => {
      const kept = partial ? "secret" : "told";
      hasFailed = isFailure(result);
      // On a full disk a short line may still have room: code that reads the result is then told why it is not there.
      if (!write({ task, result: encodeWhole(result), kept })) write(lost(task, result));
    },
    restart: (task, begunAt) => {
      write({ task, begunAt });
      try {
        if (opened !== undefined) fs.fsyncSync(opened);
      } catch {
        // A disk that fails here has failed for the record as well.
      }
    },
    share: (task) => void write({ shared: task }),
    taken: (task) => void write({ taken: task }),
    untaken: () => untakenOf(read()),
    forget: () => {
      // Most runs have no secret results: their state need not be parsed.
      if (!text().includes(SECRET)) return;
      const left = read().map((record) =>
        "kept" in record && record.kept === "secret"
          ? lost(record.task, record.result as Partial<Result>)
          : record,
      );
      if (opened !== undefined) fs.closeSync(opened);
      opened = undefined;
      try {
        fs.writeFileSync(`${file}.new`, left.map((record) => `${JSON.stringify(record)}\n`).join(""), {
          mode: 0o600,
        });
        fs.renameSync(`${file}.new`, file);
      } catch {
        fs.rmSync(`${file}.new`, { force: true });
        fs.rmSync(file, { force: true });
      }
    },
  };
}

function untakenOf(records: readonly StateRecord[]): ReadonlyMap<number, string> {
  const shared = new Set<number>();
  const results = new Map<number, string>();
  for (const record of records) {
    if ("shared" in record) shared.add(record.shared);
    if ("taken" in record) shared.delete(record.taken);
    if ("kept" in record) results.set(record.task.task, JSON.stringify(record.result));
  }
  return new Map([...results].filter(([task]) => shared.has(task)));
}

function lost(task: TaskRef, { state, ignored, unknown, from }: Partial<Result>): StateRecord {
  return { task, result: { state, ignored, unknown, from }, kept: "lost" };
}

/** True for a record; the disk may have kept other bytes than were written. */
function isStateRecord(value: unknown): value is StateRecord {
  if (!isRecord(value)) return false;
  if (["play", "shared", "taken", "begun", "rescued"].some((key) => Number.isSafeInteger(value[key])))
    return true;
  const { task } = value;
  if (!isRecord(task) || !Number.isSafeInteger(task.task)) return false;
  if (Number.isFinite(value.begunAt)) return true;
  return (
    isRecord(value.result) &&
    isState(value.result.state) &&
    ["told", "secret", "lost"].includes(value.kept as string)
  );
}

/** How the state of an earlier run is read. */
interface EarlierOptions {
  /** True when the run goes on under its own name. */
  readonly sameRun: boolean;
  /** True when the host was restarted since: only then was the last request for a restart granted. */
  readonly restarted: boolean;
}

/**
 * Read the results of an earlier run that need not be found out again. A task that failed, could not be known, or whose
 * result is lost is done again. So is everything a role did behind a failure that it had not rescued: another try may
 * take another way. A run that goes on under its own name, though, keeps the failures it has gone on behind.
 */
export function readEarlier(
  records: readonly StateRecord[],
  { sameRun, restarted }: EarlierOptions,
): Earlier {
  /** By number, in the order they ended. A result that cannot be used takes its place, so that those behind it keep theirs. */
  const tasks = new Map<number, { readonly task: TaskIdentity; readonly recorded: Recorded | undefined }>();
  const plays = new Set<number>();
  const rescued = new Set(records.flatMap((record) => ("rescued" in record ? [record.rescued] : [])));
  const lastBegun = records.reduce(
    (last, record) =>
      Math.max(last, "begun" in record ? record.begun : "task" in record ? record.task.task : 0),
    0,
  );
  /** Roles with a failure that they had not rescued. */
  const broken = new Set<string>();
  for (const record of records) {
    if ("play" in record) plays.add(record.play);
    else if ("kept" in record) {
      const { task } = record;
      const isRescued = rescued.has(task.task);
      const known = sameRun
        ? resultSoFar(record, isRescued || task.task < lastBegun)
        : resultToTrust(record, isRescued);
      const role = JSON.stringify([task.play, task.role]);
      if (!sameRun && known === undefined && isFailure(record.result as Partial<Result>)) broken.add(role);
      const result = broken.has(role) ? undefined : known;
      const recorded = result === undefined ? undefined : ({ kind: "done", result } as const);
      tasks.set(task.task, { task, recorded });
    } else if ("begunAt" in record) {
      const { task, begunAt } = record;
      tasks.set(task.task, { task, recorded: restarted ? { kind: "restarted", begunAt } : undefined });
    }
  }
  const done = new Map<string, (Recorded | undefined)[]>();
  for (const { task, recorded } of tasks.values()) {
    const key = keyOf(task);
    done.set(key, [...(done.get(key) ?? []), recorded]);
  }
  return { sameRun, take: (task) => done.get(keyOf(task))?.shift(), begun: (index) => plays.has(index) };
}

type Ended = Extract<StateRecord, { readonly kept: string }>;

/** The result that another run can take for done. */
function resultToTrust({ result, kept }: Ended, isRescued: boolean): Result | undefined {
  const known = kept === "lost" ? undefined : readResult(result);
  if (known === undefined || known.unknown === true) return undefined;
  return known.state === "failed" && !isRescued ? undefined : known;
}

/** The result that the same run has gone on behind: done is done, even where the result is lost. */
function resultSoFar({ result, kept }: Ended, isPast: boolean): Result | undefined {
  const known = readResult(result);
  if (known === undefined || (isFailure(known) && !isPast)) return undefined;
  if (kept !== "lost") return known;
  return withoutData(
    known,
    "what this task found out could not be written down, and is forgotten since the host was restarted",
    "make room on the host's disk, or find it out again in a task behind the restart",
  );
}

function isFailure({ state, ignored }: Partial<Result>): boolean {
  return state === "failed" && ignored !== true;
}

function readResult(written: unknown): Result | undefined {
  try {
    return decodeWhole(written) as Result;
  } catch {
    return undefined;
  }
}

function keyOf({ play, role, name, action, handler = false }: TaskIdentity): string {
  return JSON.stringify([play, role, name, action, handler]);
}

/** Forget the secret results of a run that has ended well, by its journal. */
export function forgetState(store: RunStore): void {
  const lines = store.lines();
  const last = lines.at(-1)?.event;
  if (last?.type !== "bye" || last.error !== undefined || last.cancelled === true) return;
  const rescued = new Set(lines.flatMap(({ event }) => (event.type === "task:rescued" ? [event.task] : [])));
  const failed = lines.some(
    ({ event }) => event.type === "task:end" && isFailure(event.result) && !rescued.has(event.task),
  );
  if (!failed) openState(store.directory).forget();
}

/** The owner of handlers left over: one host, for one playbook of one project. */
export interface LeftoversOwner {
  /** The project's directory on the controller. */
  readonly project: string;
  readonly playbook: string;
  /** The inventory name: several may share a home. */
  readonly host: string;
}

/** Open the handlers that failed runs of a playbook have left over on this host. */
export function openLeftovers(owner: LeftoversOwner): Leftovers {
  const file = join(hostDirectory(), leftoversName(owner));
  let text = "";
  try {
    text = fs.readFileSync(file, "utf8");
  } catch {
    // None are left over.
  }
  return createLeftovers(owner, text, (kept) => {
    try {
      if (kept === null) return fs.rmSync(file, { force: true });
      fs.writeFileSync(`${file}.new`, kept, { mode: 0o600 });
      fs.renameSync(`${file}.new`, file);
    } catch (thrown) {
      const why = (thrown as Error).message;
      throw new VolleyError("FILE_FAILED", `handlers that have not run cannot be kept: ${why}`, {
        cause: thrown,
        hint: "no later run knows of them: see to what they would have done",
      });
    }
  });
}

/** The file where they are kept, beside the bundles. No other process writes it while the host's part of a run goes on. */
export function leftoversName({ project, playbook, host }: LeftoversOwner): string {
  const hash = createHash("sha256").update(JSON.stringify([project, playbook, host]));
  return `handlers-${hash.digest("hex").slice(0, 32)}.json`;
}

/** Read handlers left over from the file's text; `keep` writes the new text, null for no file. */
export function createLeftovers(
  owner: LeftoversOwner,
  text: string,
  keep: (text: string | null) => void,
): Leftovers {
  const plays = parsePlays(text);
  return {
    load: (play) => plays.get(play) ?? [],
    save: (play, handlers) => {
      if (handlers.length === 0 && !plays.has(play)) return;
      if (handlers.length === 0) plays.delete(play);
      else plays.set(play, handlers);
      keep(plays.size === 0 ? null : JSON.stringify({ ...owner, plays: [...plays] }));
    },
  };
}

function parsePlays(text: string): Map<string, readonly string[]> {
  const plays = new Map<string, readonly string[]>();
  try {
    const value: unknown = JSON.parse(text);
    for (const entry of isRecord(value) && Array.isArray(value.plays) ? value.plays : []) {
      const [play, handlers] = Array.isArray(entry) ? entry : [];
      if (typeof play !== "string" || !Array.isArray(handlers)) continue;
      plays.set(
        play,
        handlers.filter((name): name is string => typeof name === "string"),
      );
    }
  } catch {
    // A disk that was full, or a file that was damaged: none are known of.
  }
  return plays;
}
