import { connect } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { UNKNOWN_RUN_EXIT } from "../core/manifest.ts";
import { encodeLine } from "../core/protocol.ts";
import { type AttachRequest, greeting, socketPath } from "./control.ts";
import { bootId, isAlive } from "./process-identity.ts";
import { findRunStore, type JournalLine, type RunStore } from "./run-store.ts";

const JOURNAL_TRIES = 3;
const JOURNAL_PAUSE_MS = 100;

/**
 * Gives a controller that lost its connection the events from a sequence number on, from the process that carries out
 * the run as long as there is one, else from its journal.
 */
export async function attach(run: string, from: number): Promise<number> {
  const store = findRunStore(run);
  // A process that has just been started opens its journal once it has read its job.
  for (let tries = 0; store.header === undefined && tries < JOURNAL_TRIES; tries++)
    await pause(JOURNAL_PAUSE_MS);
  const { header } = store;
  if (header === undefined) {
    process.stderr.write(`volley: this host knows no run ${run}\n`);
    return UNKNOWN_RUN_EXIT;
  }
  if (isAlive(header) && (await relay(store, from))) return 0;
  process.stdout.write(greeting(header.bundle, header.pid, from));
  const lines = store.lines();
  let next = from;
  for (const { line, event } of lines) {
    if (event.seq < from) continue;
    process.stdout.write(line);
    next = event.seq + 1;
  }
  if (lines.at(-1)?.event.type !== "bye") {
    const restarted = header.boot !== bootId();
    const gone = { type: "gone", seq: next, time: Date.now(), restarted, asked: isRestartAsked(lines) };
    process.stdout.write(encodeLine(gone));
  }
  return 0;
}

/** Whether the last thing a run did was to restart the host, and it has not been at work since. */
function isRestartAsked(lines: readonly JournalLine[]): boolean {
  let asked: number | undefined;
  for (const { event } of lines) {
    if (event.type === "restart") asked = event.task;
    // Facts are what a process begins with.
    if (event.type === "facts" || (event.type === "task:end" && event.task === asked)) asked = undefined;
  }
  return asked !== undefined;
}

/** Connects this process's standard streams with the run's process; false when it cannot be reached. */
function relay(store: RunStore, from: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(socketPath(store.directory, store.socket));
    socket.once("error", () => resolve(false));
    socket.once("connect", () => {
      socket.write(encodeLine({ attach: from } satisfies AttachRequest));
      process.stdin.pipe(socket, { end: false });
      process.stdin.once("end", () => socket.end());
      socket.pipe(process.stdout, { end: false });
      // The reader may be gone: the run is not to notice.
      process.stdout.on("error", () => socket.destroy());
      socket.once("close", () => resolve(true));
    });
  });
}
