import * as fs from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { UNKNOWN_RUN_EXIT } from "../core/bundle.ts";
import { encodeLine, MAX_SHARE_BYTES, PROTOCOL_VERSION, type ShareLine } from "../core/protocol.ts";
import { readLines } from "../system/output.ts";
import { bootId, isAlive } from "../system/this-process.ts";
import { type JournalHeader, type JournalLine, openRunStore, type RunStore } from "./journal.ts";
import { forgetState, openState } from "./state-store.ts";

// A controller that comes back: the run's own process listens for it, and a process started with `--attach` connects
// the two.

/** The longest line that the agent takes from a controller, in UTF-16 code units. */
export const MAX_COMMAND_LENGTH = 64 << 20;

/** The bytes that a controller which has come back may leave unread. */
const MAX_UNREAD_BYTES = 16 << 20;

/** The handlers of controllers that attach. */
interface ControlHandlers {
  /** Take a command's line. */
  onLine(line: string): void;
  /** A controller has come or gone. */
  onChange(): void;
  /** Lines that a controller gets before the events that it missed, and behind them. */
  before(): Iterable<string>;
  behind(): Iterable<string>;
}

/** The controllers attached to a running run. */
interface Control {
  count(): number;
  send(line: string): void;
  /** Resolve once what was sent has left. */
  close(): Promise<void>;
}

/** The first line of an attaching controller: the number of the first event that it wants. */
interface AttachRequest {
  readonly attach: number;
}

/** Listen on a socket in the run's directory, which only this user can reach, for controllers that come back. */
export function listenForControllers(
  store: RunStore,
  bundle: string,
  { onLine, onChange, before, behind }: ControlHandlers,
): Control {
  const attached = new Set<Socket>();
  const greet = (socket: Socket, request: string): void => {
    const from = readRequest(request);
    if (from === undefined) {
      socket.destroy();
      return;
    }
    const missed = store.lines().filter(({ event }) => event.seq >= from);
    socket.write(greeting(bundle, process.pid, from));
    // No event can slip in between: reading the missed events and adding the socket is one synchronous step.
    for (const line of before()) socket.write(line);
    for (const { line } of missed) socket.write(line);
    for (const line of behind()) socket.write(line);
    attached.add(socket);
    onChange();
  };
  const server = createServer((socket) => {
    let greeted = false;
    socket.on("error", () => socket.destroy());
    socket.once("close", () => {
      attached.delete(socket);
      onChange();
    });
    readLines(
      socket,
      (line) => {
        if (greeted) return onLine(line);
        greeted = true;
        greet(socket, line);
      },
      MAX_COMMAND_LENGTH,
    );
  });
  server.on("error", () => {
    // Without a socket no controller can come back; the run itself goes on.
  });
  fs.rmSync(store.socket, { force: true });
  server.listen(socketPath(store.directory, store.socket));
  server.unref();
  return {
    count: () => attached.size,
    send: (line) => {
      for (const socket of attached) {
        socket.write(line);
        // The controller finds the rest in the journal.
        if (socket.writableLength > MAX_UNREAD_BYTES) socket.destroy();
      }
    },
    close: async () => {
      // Node removes the file of a socket that it closes.
      server.close();
      await Promise.all([...attached].map((socket) => new Promise<void>((resolve) => socket.end(resolve))));
    },
  };
}

function readRequest(line: string): number | undefined {
  try {
    const { attach } = JSON.parse(line) as Partial<AttachRequest>;
    return Number.isInteger(attach) ? attach : undefined;
  } catch {
    return undefined;
  }
}

/** The `hello` of a process that was started before. */
export function greeting(bundle: string, pid: number, next: number): string {
  const hello = {
    type: "hello",
    seq: next - 1,
    time: Date.now(),
    protocol: PROTOCOL_VERSION,
    bundle,
    pid,
    node: process.version,
    next,
  };
  return encodeLine(hello);
}

/** The line of a shared result; without it where the result is too long. */
export function shareLine(task: number, whole: string): string {
  const line = encodeLine({ type: "share", task, whole } satisfies ShareLine);
  return Buffer.byteLength(line) <= MAX_SHARE_BYTES
    ? line
    : encodeLine({ type: "share", task } satisfies ShareLine);
}

/** The path of a socket, which may hold 107 bytes only (unix(7)): through an open directory it is always short. */
function socketPath(directory: string, path: string): string {
  if (Buffer.byteLength(path) <= 100) return path;
  return `/proc/self/fd/${fs.openSync(directory, "r")}/control`;
}

const JOURNAL_TRIES = 3;
const JOURNAL_PAUSE_MS = 100;
const FOLLOW_PAUSE_MS = 200;

/**
 * Give a controller that lost its connection the events from a sequence number on, from the process that carries out
 * the host's part of a run as long as there is one, else from its journal. `part` is the host's name among files.
 */
export async function attach(run: string, from: number, part: string): Promise<number> {
  const store = openRunStore(run, part);
  const { stdout } = process;
  // A reader that is gone must not affect the run.
  const reading = new AbortController();
  stdout.on("error", () => reading.abort());
  let { header } = store;
  // A process that has just started opens its journal when it has read its job.
  for (let tries = 0; header === undefined && tries < JOURNAL_TRIES; tries++) {
    await pause(JOURNAL_PAUSE_MS);
    ({ header } = store);
  }
  if (header === undefined) {
    process.stderr.write(`volley: this host knows no run ${run}\n`);
    return UNKNOWN_RUN_EXIT;
  }
  const told = createTeller(from, header, (line) => stdout.write(line));
  if (isAlive(header)) await relay(store, told, reading);
  if (!reading.signal.aborted)
    for (const [task, whole] of openState(store.directory).untaken()) told.pass(shareLine(task, whole));
  // The process may be alive and yet not reachable.
  for (;;) {
    const alive = isAlive(header);
    const lines = store.lines();
    const untold = lines.filter(({ event }) => event.seq >= told.next);
    for (const { line, event } of untold) told.tell(line, event.seq);
    if (reading.signal.aborted || lines.at(-1)?.event.type === "bye") break;
    if (!alive) {
      const restarted = header.boot !== bootId();
      const asked = isRestartAsked(lines);
      told.tell(encodeLine({ type: "gone", seq: told.next, time: Date.now(), restarted, asked }), told.next);
      break;
    }
    await pause(FOLLOW_PAUSE_MS);
  }
  if (!reading.signal.aborted) await new Promise<void>((resolve) => stdout.write("", () => resolve()));
  if (!reading.signal.aborted) forgetState(store);
  return 0;
}

/** True for a run that ended with a restart of the host and has not gone on since. */
function isRestartAsked(lines: readonly JournalLine[]): boolean {
  let task: number | undefined;
  for (const { event } of lines) {
    if (event.type === "restart") task = event.task;
    // A process begins with facts.
    if (event.type === "facts" || (event.type === "task:end" && event.task === task)) task = undefined;
  }
  return task !== undefined;
}

/** Passes each event on to the controller once, behind a `hello`. */
interface Teller {
  /** Sequence number of the next event. */
  readonly next: number;
  tell(line: string, sequence: number): void;
  /** Pass on a line that is no event. */
  pass(line: string): void;
}

function createTeller(from: number, { bundle, pid }: JournalHeader, write: (line: string) => void): Teller {
  let next = from;
  write(greeting(bundle, pid, from));
  return {
    get next() {
      return next;
    },
    tell: (line, sequence) => {
      write(line);
      next = sequence + 1;
    },
    pass: write,
  };
}

/** Connect this process's standard streams with the run's process, until that ends or cannot be reached. */
function relay(store: RunStore, told: Teller, reading: AbortController): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(socketPath(store.directory, store.socket));
    socket.once("error", () => socket.destroy());
    socket.once("close", () => resolve());
    socket.once("connect", () => {
      socket.write(encodeLine({ attach: told.next } satisfies AttachRequest));
      process.stdin.pipe(socket, { end: false });
      process.stdin.once("end", () => {
        reading.abort();
        socket.end();
      });
    });
    readLines(
      socket,
      (line) => {
        const sequence = sequenceOf(line);
        if (sequence === undefined) told.pass(`${line}\n`);
        else if (sequence === told.next) told.tell(`${line}\n`, sequence);
        // A slow reader holds up this process, not the run.
        if (process.stdout.writableNeedDrain) {
          socket.pause();
          process.stdout.once("drain", () => socket.resume());
        }
      },
      MAX_COMMAND_LENGTH,
    );
    reading.signal.addEventListener("abort", () => socket.destroy(), { once: true });
  });
}

/** The sequence number of an event's line, behind its type; undefined for a question or a shared result. */
function sequenceOf(line: string): number | undefined {
  const found = /^\{"type":"[\w:]+","seq":(\d+)[,}]/.exec(line);
  return found === null ? undefined : Number(found[1]);
}
