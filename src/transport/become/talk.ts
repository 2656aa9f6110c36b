import { randomBytes } from "node:crypto";
import { PassThrough, type Readable } from "node:stream";
import { finished } from "node:stream/promises";
import { type Become, createBecomeReader, needsTerminal } from "../../core/become.ts";

import { VolleyError } from "../../core/errors.ts";
import type { RemoteProcess } from "../transport.ts";
import { wantedPassword, wrongPassword } from "./explain.ts";

/** The terminal of a program that asks for passwords nowhere else; nothing is ever shown on it. */
export const BECOME_TERMINAL = { columns: 80, rows: 24 } as const;

const SAID_KEPT = 4_000;

/** Makes what tells the words said on the way to another user from what else is printed. */
export function makeBecomeNonce(): string {
  return `volley-${randomBytes(8).toString("hex")}`;
}

/** How a command becomes another user. */
export interface BecomeTalkOptions {
  readonly host: string;
  /** Who is logged in. */
  readonly login: string;
  readonly become: Become;
  /** What its words begin with; see launch.ts. */
  readonly nonce: string;
  readonly signal: AbortSignal;
  /** Writes the bundle to the process, whose user has no copy of it. Default: it is never asked for. */
  sendBundle?(): Promise<void>;
  /** Whether it is on a terminal, and what is said until it is ready is not passed on. Default: no. */
  readonly onTerminal?: boolean;
}

/** A process on its way to another user. */
export interface BecomeTalk {
  /** The process without what is said on the way. */
  readonly process: RemoteProcess;
  /** Resolves once it reads what is meant for it. Fails with `BECOME_FAILED` or `CANCELLED`; the process then ends. */
  readonly ready: Promise<void>;
  /** Whether it has been given the password. */
  readonly asked: () => boolean;
  /** What was said until then, the end of it: on a terminal it is not on standard error. */
  readonly said: () => string;
}

/** Answers what a command asks on its way to another user: the password once, and the bundle. */
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
  // Nobody may be waiting any more when the process is found to have ended.
  ready.catch(() => {});
  const settle = (how: () => void): void => {
    if (settled) return;
    settled = true;
    signal.removeEventListener("abort", onAbort);
    how();
  };
  const fail = (error: unknown): void =>
    settle(() => {
      // No second try with the same password: accounts get locked.
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

/** Passes a stream on without what `hear` takes out of it; byte for byte. */
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
