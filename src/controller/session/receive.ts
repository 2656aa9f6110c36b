import type { Readable } from "node:stream";
import { isVolleyError, VolleyError } from "../../core/errors.ts";
import { isRecord } from "../../core/json.ts";
import {
  HELLO_PREFIX,
  type Job,
  MAX_LINE_BYTES,
  MAX_RESULT_BYTES,
  PROTOCOL_VERSION,
  RESULT_PREFIX,
  type WireEvent,
} from "../../core/protocol.ts";
import { printable } from "../../core/text.ts";
import { createLineSplitter } from "../../system/lines.ts";
import { checkEvent } from "./check-event.ts";
import { ABSENT, CORRUPT, NO_NODE } from "./launch.ts";

const ANSWERS = [ABSENT, CORRUPT, NO_NODE] as const;

/** What a launching script says instead of starting a bundle. */
export type LaunchAnswer = (typeof ANSWERS)[number];

/** What a host's standard output amounts to. */
export interface ReceiveHandlers {
  event(event: WireEvent): void;
  /** A line before `hello`, or one that is not of the protocol. */
  noise(text: string): void;
  /** The host has no copy of the bundle, or the one it was sent is not whole, or it could start none. */
  answer(word: LaunchAnswer): void;
  /** The host says what cannot be understood; nothing after it is read. */
  broken(error: VolleyError): void;
}

/** How much is read of a host over one connection. */
export interface ReceiveLimits {
  /** Before `hello`. */
  readonly noiseBytes: number;
  /** Altogether. */
  readonly totalBytes: number;
  readonly events: number;
}

/** Far more than a run has to say; what says more is no bundle of Volley's. */
export const RECEIVE_LIMITS: ReceiveLimits = {
  noiseBytes: 16 << 20,
  totalBytes: 1 << 30,
  events: 2_000_000,
};

/** Lines beside the protocol that are passed on, each cut to 1,000 characters. */
const MAX_NOISE_LINES = 200;
const MAX_NOISE_LENGTH = 1_000;
/** The first event is the `hello` of whoever speaks; those after it are in the journal. */
export const FIRST_JOURNALED = 2;

/** What a process that is started anew may say before it goes on where the one before it was. */
const FIRST_WORDS: ReadonlySet<WireEvent["type"]> = new Set(["hello", "log", "gone", "bye"]);

/**
 * Takes a host's standard output apart into events; bounded, because what is at the other end may be anything.
 * `after` is the sequence number of the last event of the run that has been taken in, over other connections.
 */
export function receive(
  stream: Readable,
  handlers: ReceiveHandlers,
  after = 0,
  limits: ReceiveLimits = RECEIVE_LIMITS,
): void {
  let greeted = false;
  let stopped = false;
  let noiseLines = 0;
  let bytes = 0;
  let events = 0;
  /** Sequence number of the last event, here and over all connections. */
  let last = 0;
  let latest = after;

  const fail = (error: VolleyError): void => {
    stop();
    handlers.broken(error);
  };
  const refuse = (message: string): void => fail(new VolleyError("PROTOCOL_INVALID", message));
  const noise = (text: string): void => {
    if (text.trim() !== "" && noiseLines++ < MAX_NOISE_LINES) handlers.noise(text.slice(0, MAX_NOISE_LENGTH));
  };
  const takeLine = (line: string): void => {
    if (greeted) return takeEvent(line);
    // A .bashrc may print without ending its line.
    const at = line.indexOf(HELLO_PREFIX);
    if (at >= 0) {
      noise(line.slice(0, at));
      greeted = true;
      return takeEvent(line.slice(at));
    }
    const word = ANSWERS.find((candidate) => line.endsWith(candidate));
    if (word === undefined) return noise(line);
    noise(line.slice(0, -word.length));
    handlers.answer(word);
  };
  const takeEvent = (line: string): void => {
    const value = parse(line);
    if (!isRecord(value) || typeof value.type !== "string" || !Number.isSafeInteger(value.seq))
      return noise(line);
    if (++events > limits.events) return refuse(`the host sent more than ${limits.events} events`);
    const { type, seq } = value as { readonly type: string; readonly seq: number };
    if (type === "hello" && value.protocol !== PROTOCOL_VERSION) {
      return refuse(
        `the host speaks protocol ${printable(JSON.stringify(value.protocol) ?? "undefined", 20)}, this controller ${PROTOCOL_VERSION}`,
      );
    }
    try {
      takeChecked(checkEvent(value as { readonly type: string }), seq, line);
    } catch (thrown) {
      // Whatever goes wrong with what a host says is that host's trouble alone.
      fail(isVolleyError(thrown) ? thrown : new VolleyError("INTERNAL", String(thrown), { cause: thrown }));
    }
  };
  const takeChecked = (event: WireEvent | undefined, seq: number, line: string): void => {
    if (event?.type === "hello" && event.next !== undefined) {
      // Of a process that has been at work before: what it says next must be what is wanted.
      const wanted = Math.max(FIRST_JOURNALED, latest + 1);
      if (event.next !== wanted) return refuse(`the host begins with event ${event.next}, not ${wanted}`);
      last = event.next - 1;
      return handlers.event(event);
    }
    if (seq !== last + 1) return refuse(`the host's events are out of order: ${seq} after ${last}`);
    if (event?.type === "hello" && seq !== 1) return refuse("the host says hello amid its events");
    if (seq <= latest && event !== undefined && !FIRST_WORDS.has(event.type))
      return refuse(`the host tells again what it has told: event ${seq}, "${event.type}"`);
    last = seq;
    latest = Math.max(latest, seq);
    // Of a type that a later version may know.
    if (event === undefined) return noise(line);
    // Whatever follows is not of the run.
    if (event.type === "bye" || event.type === "gone") stop();
    handlers.event(event);
  };
  const stop = (): void => {
    stopped = true;
    lines.stop();
    // Read on and drop the rest: a host that is stuck in writing could not notice the connection's end.
    stream.resume();
  };
  const lines = createLineSplitter(takeLine, {
    maxLength: MAX_LINE_BYTES,
    onTooLong: (beginning) => {
      const limit = beginning.startsWith(RESULT_PREFIX) ? MAX_RESULT_BYTES : MAX_LINE_BYTES;
      if (beginning.length <= limit) return "keep";
      if (greeted) refuse(`the host sent a line of more than ${limit >> 20} MiB`);
      return "drop";
    },
  });

  stream.on("data", (chunk: Buffer) => {
    if (stopped) return;
    bytes += chunk.length;
    if (bytes > (greeted ? limits.totalBytes : limits.noiseBytes)) {
      const limit = (greeted ? limits.totalBytes : limits.noiseBytes) >> 20;
      return refuse(
        greeted
          ? `the host sent more than ${limit} MiB`
          : `the host sent more than ${limit} MiB before the bundle had said a word`,
      );
    }
    lines.push(chunk);
  });
  stream.once("end", lines.end);
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

/** The job of a run of which events have been taken in already: it goes on telling after the last of them. */
export function jobAfter(job: Job, lastSequence: number): Job {
  if (job.session === undefined || lastSequence < FIRST_JOURNALED) return job;
  return { ...job, session: { ...job.session, after: lastSequence } };
}
