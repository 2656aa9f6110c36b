import { randomBytes } from "node:crypto";
import { PassThrough, type Readable } from "node:stream";
import { finished } from "node:stream/promises";
import { VolleyError } from "../../core/errors.ts";
import { type Become, createBecomeReader, needsTerminal } from "../../core/unix/become.ts";
import type { RemoteProcess } from "../transport.ts";
import { wantedPassword, wrongPassword } from "./explain.ts";

/** The terminal of a program that asks for passwords only there; its output is never shown. */
export const BECOME_TERMINAL = { columns: 80, rows: 24 } as const;

const SAID_KEPT = 4_000;

/** Make the nonce that marks the words of the become dialogue in other output. */
export function makeBecomeNonce(): string {
  return `volley-${randomBytes(8).toString("hex")}`;
}

/** Options of a become dialogue. */
export interface BecomeTalkOptions {
  readonly host: string;
  /** The login user. */
  readonly login: string;
  readonly become: Become;
  /** The beginning of the dialogue's words. */
  readonly nonce: string;
  readonly signal: AbortSignal;
  /** Write the bundle to the process, whose user has no copy of it. Absent: the process never asks. */
  sendBundle?(): Promise<void>;
  /** True when the process is on a terminal: its output until it is ready is then dropped. Default: false. */
  readonly onTerminal?: boolean;
}

/** A process that is becoming another user. */
export interface BecomeTalk {
  /** The process; its output is without the dialogue. */
  readonly process: RemoteProcess;
  /** Resolves when the process belongs to the other user. Fails with `BECOME_FAILED` or `CANCELLED`; the process then ends. */
  readonly ready: Promise<void>;
  /** Return whether the password was sent. */
  readonly asked: () => boolean;
  /** Return the end of the output so far: on a terminal it is not on standard error. */
  readonly said: () => string;
}

/** Answer the questions of a command that becomes another user: the password once, and the bundle. */
export function talkBecome(process: RemoteProcess, options: BecomeTalkOptions): BecomeTalk {
  const { host, become, nonce, signal, sendBundle, onTerminal = false } = options;
  const hearsStdout = onTerminal || needsTerminal(options.become);
  const { password, method, user } = become;
  const reader = createBecomeReader(nonce, method);
  let asked = false;
  let settled = false;
  let resolve!: () => void;
  let reject!: (thrown: unknown) => void;
  const ready = new Promise<void>((resolveReady, rejectReady) => {
    resolve = resolveReady;
    reject = rejectReady;
  });
  // The process may end when no caller awaits this any more.
  ready.catch(() => {});
  const settle = (how: () => void): void => {
    if (settled) return;
    settled = true;
    signal.removeEventListener("abort", onAbort);
    how();
  };
  const fail = (error: unknown): void =>
    settle(() => {
      // No second try with the same password: it could lock the account.
      process.stdin.end();
      reject(error);
    });
  const onAbort = (): void => fail(new VolleyError("CANCELLED", `${host}: cancelled before it was ${user}`));
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();

  const answer = (): void => {
    if (settled) return;
    if (asked) return fail(wrongPassword(options, whose));
    if (password === undefined) return fail(wantedPassword(options));
    asked = true;
    process.stdin.write(`${password}\n`);
  };
  let said = "";
  let whose: string | undefined;
  const hear = (text: string): string => {
    const piece = reader.push(text);
    whose = piece.whose ?? whose;
    const isReady = piece.heard.includes("ready");
    const passed = !onTerminal || settled ? piece.text : isReady ? piece.text.slice(piece.readyAt) : "";
    if (!settled) said = (said + piece.text).slice(-SAID_KEPT);
    for (const word of piece.heard) {
      if (word === "ask") answer();
      else if (word === "ready") settle(resolve);
      else if (!settled) void sendBundle?.().then(() => settle(resolve), fail);
    }
    return passed;
  };
  const filtered = filter(hearsStdout ? process.stdout : process.stderr, hear, reader.end);
  const exit = process.exit.then(async (how) => {
    signal.removeEventListener("abort", onAbort);
    await finished(filtered, { readable: false }).catch(() => {});
    return how;
  });
  const talked = hearsStdout ? { ...process, stdout: filtered } : { ...process, stderr: filtered };
  return { process: { ...talked, exit }, ready, asked: () => asked, said: () => said };
}

/** Pass a stream on, byte for byte, without the words that `hear` removes. */
function filter(stream: Readable, hear: (text: string) => string, end: () => string): PassThrough {
  const passed = new PassThrough();
  stream.on("data", (chunk: Buffer) => {
    const text = hear(chunk.toString("latin1"));
    if (text !== "") passed.write(Buffer.from(text, "latin1"));
  });
  let ended = false;
  const finish = (): void => {
    if (ended) return;
    ended = true;
    passed.end(Buffer.from(end(), "latin1"));
  };
  stream.once("end", finish);
  stream.once("close", finish);
  stream.once("error", finish);
  return passed;
}
