import * as fs from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { VolleyError } from "../core/errors.ts";
import { isRecord } from "../core/json.ts";
import { encodeLine, type WireEvent } from "../core/protocol.ts";
import { TALLY_KEYS } from "../core/result.ts";
import { bootId, processStart } from "../system/process-identity.ts";

const KEPT_RUNS = 20;
/** From here on a journal holds results and what else happens, but nothing of what programs and roles print. */
const MAX_JOURNAL_BYTES = 32 << 20;
const LEFT_OUT = "(what is printed from here on is not in this run's journal, which is full)\n";
const PRINTED = /^\{"type":"(?:task:output|log)",/;
const RUN_ID = /^[\w-]{1,64}$/;

/** Who is carrying out a run on this host: the first line of its journal. */
export interface JournalHeader {
  readonly type: "journal";
  readonly run: string;
  readonly bundle: string;
  readonly pid: number;
  readonly start: string;
  readonly boot: string;
}

/** The host's own copy of a run's events, which outlives the connection. */
export interface RunStore {
  readonly directory: string;
  /** Where a controller that comes back finds the process that carries out the run. */
  readonly socket: string;
  /** The last header, when there is a journal. */
  readonly header: JournalHeader | undefined;
  /** What was written so far: each line with its sequence number. */
  lines(): readonly JournalLine[];
  /** Begins the journal, or goes on with one after a restart. */
  open(bundle: string): void;
  append(line: string): void;
  /** Gets what was written onto the disk: the host is about to go down. */
  sync(): void;
  close(): void;
}

/** One event of a journal, as it was sent. */
export interface JournalLine {
  readonly line: string;
  readonly event: WireEvent;
}

/** Where Volley keeps things on a host: the same directory the bundles lie in. */
export function hostDirectory(): string {
  return join(process.env.HOME || homedir(), ".cache", "volley");
}

/** The store of a run on this host; the directory is made when the journal is opened. */
export function findRunStore(run: string, maxBytes = MAX_JOURNAL_BYTES): RunStore {
  if (!RUN_ID.test(run)) throw new VolleyError("PROTOCOL_INVALID", `"${run}" is no run's name`);
  const directory = join(hostDirectory(), "runs", run);
  const file = join(directory, "journal.ndjson");
  let descriptor: number | undefined;
  let bytes = 0;
  let full = false;
  /** The line as it is kept: what has no room is left out, but its number, for without that nothing after it could be told. */
  const bounded = (line: string): string => {
    if (bytes + line.length <= maxBytes || !PRINTED.test(line)) return line;
    const text = full ? "" : LEFT_OUT;
    full = true;
    return encodeLine({ ...JSON.parse(line), text });
  };
  const write = (to: number, line: string): void => {
    bytes += fs.writeSync(to, line);
  };
  const read = (): readonly string[] =>
    fs.existsSync(file) ? fs.readFileSync(file, "utf8").split("\n") : [];
  return {
    directory,
    socket: join(directory, "control"),
    get header() {
      return read().map(parse).findLast(isHeader);
    },
    lines: () =>
      read().flatMap((line) => {
        const event = parse(line);
        return isTold(event) ? [{ line: `${line}\n`, event }] : [];
      }),
    open: (bundle) => {
      fs.mkdirSync(directory, { recursive: true, mode: 0o700 });
      prune(join(directory, ".."), run);
      descriptor = fs.openSync(file, "a", 0o600);
      bytes = fs.fstatSync(descriptor).size;
      const header: JournalHeader = {
        type: "journal",
        run,
        bundle,
        pid: process.pid,
        start: processStart(process.pid) ?? "",
        boot: bootId(),
      };
      // A process that was killed as it wrote has left a line without an end.
      write(descriptor, `\n${JSON.stringify(header)}\n`);
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

function parse(line: string): unknown {
  if (line === "") return undefined;
  try {
    return JSON.parse(line);
  } catch {
    // The last line of a process that was killed as it wrote.
    return undefined;
  }
}

function isHeader(value: unknown): value is JournalHeader {
  return isRecord(value) && value.type === "journal";
}

/** A line of which the disk kept the wrong bytes is passed over, as one that was cut off is. */
function isTold(value: unknown): value is WireEvent {
  return (
    isRecord(value) &&
    Number.isSafeInteger(value.seq) &&
    (value.type !== "task:end" ||
      (isRecord(value.result) && (TALLY_KEYS as readonly unknown[]).includes(value.result.state)))
  );
}

/** Removes the oldest runs; their names begin with the time they were started. */
function prune(runs: string, current: string): void {
  const others = fs
    .readdirSync(runs)
    .filter((name) => name !== current)
    .sort();
  for (const name of others.slice(0, Math.max(0, others.length - KEPT_RUNS))) {
    fs.rmSync(join(runs, name), { recursive: true, force: true });
  }
}
