import { setTimeout as pause } from "node:timers/promises";
import { VolleyError } from "../../core/errors.ts";
import type { WireEvent } from "../../core/protocol.ts";
import type { BecomeTalk } from "../../transport/become/talk.ts";
import type { Connection, ExecOptions, RemoteExit, RemoteProcess } from "../../transport/transport.ts";
import type { Mask } from "../../vars/mask.ts";
import { onMaskedText } from "./masked-text.ts";
import { type LaunchAnswer, receive } from "./receive.ts";

/** How long a host that has said its last word may take to end. */
const LAST_WORD_MS = 5_000;
/** What a connection that has gone may take to be known to have. */
const CLOSING_MS = 100;

/** The first thing a command says, or how it ended without saying any. */
export type FirstWord =
  | { readonly kind: "hello" }
  | { readonly kind: LaunchAnswer }
  | { readonly kind: "ended"; readonly exit: RemoteExit };

/** How a command that speaks the protocol is started. */
export interface SpeakOptions {
  readonly host: string;
  readonly command: string;
  readonly signal: AbortSignal;
  /** Sequence number of the last event of the run. */
  readonly after: number;
  /** How long its first word may take. */
  readonly timeoutMs: number;
  readonly mask: Mask | null;
  event(event: WireEvent): void;
  noise(text: string): void;
  stderr(text: string): void;
  broken(error: VolleyError): void;
  readonly exec?: ExecOptions;
  /** Answers what is asked before the command runs as who it is to. Default: nothing is. */
  readonly talk?: ((process: RemoteProcess) => BecomeTalk) | undefined;
  /** Called once there is a process, which may not be the wanted user's yet. */
  started(process: RemoteProcess): void;
  /** Called once it reads what is meant for it, before it has said anything. */
  ready(): void;
}

/** Starts a command that speaks the protocol on a host. Fails with `TIMEOUT` or `BECOME_FAILED`, and as `Connection.exec` does. */
export async function speak(connection: Connection, options: SpeakOptions): Promise<FirstWord> {
  const { host, command, signal, after, timeoutMs, mask, noise, stderr } = options;
  const raw = await connection.exec(command, signal, options.exec);
  const talk = options.talk?.(raw);
  const process = talk?.process ?? raw;
  onMaskedText(process.stderr, mask, stderr);
  const first = new Promise<FirstWord>((resolve) => {
    let answer: LaunchAnswer | undefined;
    receive(
      process.stdout,
      {
        event: (event) => {
          options.event(event);
          if (event.type === "hello") resolve({ kind: "hello" });
        },
        noise,
        answer: (kind) => {
          answer = kind;
        },
        broken: (error) => {
          options.broken(error);
          connection.close();
        },
      },
      after,
    );
    // The script that only answers must be gone before the next one is started in its place.
    void process.exit.then(async (exit) =>
      resolve(
        answer === undefined ? { kind: "ended", exit: await wholeExit(exit, connection) } : { kind: answer },
      ),
    );
  });
  options.started(process);
  const refused = whenRefused(talk, options.ready);
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new VolleyError("TIMEOUT", `${host}: the bundle did not start within ${timeoutMs / 1_000} s`));
    }, timeoutMs);
  });
  try {
    return await Promise.race([first, late, refused]);
  } finally {
    clearTimeout(timer);
  }
}

/** How a process ended; one that has said its last word and does not end is not waited for. */
export async function exitAfter(lastWord: Promise<void>, process: RemoteProcess): Promise<RemoteExit> {
  const late: RemoteExit = { kind: "lost", reason: "its process did not end" };
  return Promise.race([process.exit, lastWord.then(() => atMost(process.exit, LAST_WORD_MS, late))]);
}

/**
 * How a process ended that has not said all it should have: sshd tells of its end before all of its output has been
 * sent, so that the connection may have gone in between.
 */
export async function wholeExit(exit: RemoteExit, connection: Connection): Promise<RemoteExit> {
  if (exit.kind === "lost") return exit;
  const gone = connection.closed.then(() => true);
  const isGone = await atMost(gone, CLOSING_MS, false);
  return isGone ? { kind: "lost", reason: "the connection went before all was said" } : exit;
}

/** What comes in time, or something else: the time counts even when nothing else keeps this process going. */
async function atMost<Value>(coming: Promise<Value>, limitMs: number, otherwise: Value): Promise<Value> {
  const over = new AbortController();
  const late = pause(limitMs, otherwise, { signal: over.signal }).catch(() => otherwise);
  try {
    return await Promise.race([coming, late]);
  } finally {
    over.abort();
  }
}

/** Says when the process can be spoken to; rejects when it will not be. */
async function whenRefused(talk: BecomeTalk | undefined, ready: () => void): Promise<never> {
  if (talk === undefined) ready();
  else {
    await talk.ready;
    ready();
  }
  return new Promise<never>(() => {});
}
