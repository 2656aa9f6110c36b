import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { join } from "node:path";
import { VolleyError } from "../core/errors.ts";
import { encodeLine, type WireEvent } from "../core/protocol.ts";
import { isState } from "../core/result.ts";
import { isRecord } from "../core/values/value.ts";
import { makeDirectories } from "../system/directories.ts";
import { parseJsonLines } from "../system/output.ts";
import { hostDirectory } from "../system/own-files.ts";
import { isAlive, machineId, thisProcess } from "../system/this-process.ts";

/** Of runs that changed something, and as many of check mode. */
const KEPT_RUNS = 20;
/** How long a run of another machine that shares this home is taken to go on without writing anything. */
const SILENT_MS = 24 * 3_600_000;
/** A header has some three hundred. */
const HEADER_BYTES = 4_096;
const JOURNAL = "journal.ndjson";
/** From here on a journal holds results and what else happens, but nothing of what programs and roles print. */
const MAX_JOURNAL_BYTES = 32 << 20;
const LEFT_OUT = "(what is printed from here on is not in this run's journal, which is full)\n";
const PRINTED = /^\{"type":"(?:task:output|log)",/;
const RUN_ID = /^[\w-]{1,64}$/;
const PART_NAME = /^(?!\.)[\w.~-]{1,80}$/;

/** A host's part of a run: several names may be one account of one machine, or machines that share a home. */
export interface RunPart {
  readonly run: string;
  /** The inventory name. */
  readonly host: string;
}

/** The process that carries out a part of a run: a line of its journal. */
export interface JournalHeader extends RunPart {
  readonly type: "journal";
  readonly bundle: string;
  readonly pid: number;
  readonly start: string;
  readonly boot: string;
  readonly machine: string;
  readonly check: boolean;
}

/** The host's own copy of its part's events, which outlives the connection. */
export interface RunStore {
  readonly directory: string;
  /** Where a controller that comes back finds the process that carries out the run. */
  readonly socket: string;
  /** The last header, when there is a journal. */
  readonly header: JournalHeader | undefined;
  /** The events written so far. */
  lines(): readonly JournalLine[];
  /** Begins the journal, or goes on with one after a restart. */
  open(bundle: string, check?: boolean): void;
  append(line: string): void;
  /** Get what was written onto the disk: the host is about to go down. */
  sync(): void;
  close(): void;
}

/** An event of a journal, as it was sent. */
export interface JournalLine {
  readonly line: string;
  readonly event: WireEvent;
}

/** The file name of an inventory name: the name itself where it is plain, else with a hash that tells it from others. */
export function partName(host: string): string {
  if (/^[a-z\d][a-z\d._-]{0,63}$/.test(host)) return host;
  const hash = createHash("sha256").update(host).digest("hex").slice(0, 16);
  return `${host.replace(/[^\w-]/g, "_").slice(0, 32)}~${hash}`;
}

/** The store of a part of a run on this host; the directory is made when the journal is opened. */
export function findRunStore({ run, host }: RunPart, maxBytes = MAX_JOURNAL_BYTES): RunStore {
  return openRunStore(run, partName(host), { host, maxBytes });
}

/** The same, by what the name is called among files. */
export function openRunStore(
  run: string,
  part: string,
  { host = part, maxBytes = MAX_JOURNAL_BYTES }: { readonly host?: string; readonly maxBytes?: number } = {},
): RunStore {
  if (!RUN_ID.test(run)) throw new VolleyError("PROTOCOL_INVALID", `"${run}" is no run's name`);
  if (!PART_NAME.test(part)) throw new VolleyError("PROTOCOL_INVALID", `"${part}" is no name of a part`);
  const directory = join(hostDirectory(), "runs", run, part);
  const file = join(directory, JOURNAL);
  let descriptor: number | undefined;
  let bytes = 0;
  let full = false;
  /** The line as it is kept. Without room its text is dropped, but not its number: numbers have no gaps. */
  const bounded = (line: string): string => {
    if (bytes + line.length <= maxBytes || !PRINTED.test(line)) return line;
    const text = full ? "" : LEFT_OUT;
    full = true;
    return encodeLine({ ...JSON.parse(line), text });
  };
  const write = (to: number, line: string): void => {
    bytes += fs.writeSync(to, line);
  };
  return {
    directory,
    socket: join(directory, "control"),
    get header() {
      return lastHeader(textOf(file));
    },
    lines: () =>
      textOf(file)
        .split("\n")
        .flatMap((line) => {
          const [event] = parseJsonLines(line);
          return isTold(event) ? [{ line: `${line}\n`, event }] : [];
        }),
    open: (bundle, check = false) => {
      const header: JournalHeader = {
        type: "journal",
        run,
        host,
        bundle,
        ...thisProcess(),
        machine: machineId(),
        check,
      };
      try {
        makeDirectories(directory, 0o700);
        descriptor = fs.openSync(file, "a", 0o600);
        bytes = fs.fstatSync(descriptor).size;
        // A process that was killed as it wrote has left a line without an end.
        write(descriptor, `\n${JSON.stringify(header)}\n`);
      } catch (thrown) {
        throw new VolleyError(
          "FILE_FAILED",
          `the run's journal cannot be written: ${(thrown as Error).message}`,
          {
            cause: thrown,
          },
        );
      }
    },
    append: (line) => {
      if (descriptor === undefined) return;
      try {
        write(descriptor, bounded(line));
      } catch {
        // The disk is full: the run goes on, only what is told live can be told.
        fs.closeSync(descriptor);
        descriptor = undefined;
      }
    },
    sync: () => {
      if (descriptor !== undefined) fs.fsyncSync(descriptor);
    },
    close: () => {
      if (descriptor !== undefined) fs.closeSync(descriptor);
      descriptor = undefined;
    },
  };
}

function isHeader(value: unknown): value is JournalHeader {
  return isRecord(value) && value.type === "journal";
}

/** A line of which the disk kept the wrong bytes is passed over, as one that was cut off is. */
function isTold(value: unknown): value is WireEvent {
  return (
    isRecord(value) &&
    Number.isSafeInteger(value.seq) &&
    (value.type !== "task:end" || (isRecord(value.result) && isState(value.result.state)))
  );
}

function textOf(file: string): string {
  return fs.existsSync(file) ? fs.readFileSync(file, "utf8") : "";
}

function lastHeader(text: string): JournalHeader | undefined {
  // A journal may have many megabytes of other lines.
  const headers = text.match(/^\{"type":"journal",.*/gm) ?? [];
  return parseJsonLines(headers.join("\n")).findLast(isHeader);
}

/** A run that lies in this home. */
export interface KeptRun {
  readonly directory: string;
  readonly journals: readonly string[];
  /** When something was written there last, in milliseconds. */
  readonly usedAt: number;
  readonly check: boolean;
}

/** Look at the runs of this home, unless they are few. */
export function lookAtRuns(): readonly KeptRun[] {
  const runs = join(hostDirectory(), "runs");
  try {
    const names = fs.readdirSync(runs);
    return names.length <= KEPT_RUNS ? [] : names.flatMap((name) => lookAt(join(runs, name)) ?? []);
  } catch {
    // There is none yet, or the journal tells of the fault.
    return [];
  }
}

/**
 * Remove the runs that ended and were used least recently, unless they were used since they were looked at. Runs in check
 * mode are counted apart, because they are many.
 */
export function pruneRuns(runs: readonly KeptRun[], current: string): void {
  for (const check of [false, true]) {
    const alike = runs
      .filter((each) => each.check === check && !each.directory.endsWith(`/${current}`))
      .sort((one, other) => other.usedAt - one.usedAt);
    for (const each of alike.slice(KEPT_RUNS)) {
      try {
        const now = lookAt(each.directory)!;
        if (now.usedAt === each.usedAt && !isGoingOn(now))
          fs.rmSync(each.directory, { recursive: true, force: true });
      } catch {
        // Another process is at it.
      }
    }
  }
}

/** Undefined for what is no run, or is being removed by another process. */
function lookAt(directory: string): KeptRun | undefined {
  try {
    const journals = fs
      .readdirSync(directory)
      .map((part) => join(directory, part, JOURNAL))
      .filter((file) => fs.existsSync(file));
    const times = [directory, ...journals].map((path) => fs.statSync(path).mtimeMs);
    const check = journals.some((file) => lastHeader(beginning(file))?.check);
    return { directory, journals, usedAt: Math.max(...times), check };
  } catch {
    return undefined;
  }
}

function beginning(file: string): string {
  const descriptor = fs.openSync(file, "r");
  try {
    const bytes = Buffer.alloc(HEADER_BYTES);
    return bytes.toString("utf8", 0, fs.readSync(descriptor, bytes));
  } finally {
    fs.closeSync(descriptor);
  }
}

/** True when a process carries out a part of the run; for a process of another machine, when it has written lately. */
function isGoingOn({ journals, usedAt }: KeptRun): boolean {
  return journals.some((file) => {
    const header = lastHeader(textOf(file));
    if (header === undefined) return false;
    return header.machine === machineId() ? isAlive(header) : Date.now() - usedAt < SILENT_MS;
  });
}
