import type { Readable } from "node:stream";
import { StringDecoder } from "node:string_decoder";
import { isVolleyError, printable, VolleyError } from "../../core/errors.ts";
import type { ControllerEvent } from "../../core/events.ts";
import {
  HELLO_PREFIX,
  MAX_LINE_BYTES,
  MAX_SHARE_BYTES,
  PROTOCOL_VERSION,
  type Question,
  SHARE_PREFIX,
  type ShareLine,
  type WireEvent,
} from "../../core/protocol.ts";
import { isRecord } from "../../core/values/value.ts";
import { createLineSplitter } from "../../system/output.ts";
import type { Mask } from "../../vars/mask.ts";
import { LAUNCH_ANSWERS, type LaunchAnswer } from "./answers.ts";
import { checkEvent, checkQuestion, checkShare } from "./check-event.ts";
import { BEFORE_JOURNAL, FIRST_JOURNALED } from "./told.ts";

/** The parts of a process's standard output. */
export interface ReceiveHandlers {
  event(event: WireEvent): void;
  question(question: Question): void;
  share(share: ShareLine): void;
  /** A line before `hello`, or one that is not of the protocol. */
  noise(text: string): void;
  /** A launch script names its reason not to start the bundle. */
  answer(word: LaunchAnswer, rest: readonly string[]): void;
  /** The host broke the protocol; the rest of the output is dropped. */
  broken(error: VolleyError): void;
}

/** Limits for the output of one process. */
export interface ReceiveLimits {
  /** Bytes before `hello`. */
  readonly noiseBytes: number;
  /** Bytes altogether. */
  readonly totalBytes: number;
  readonly events: number;
}

/** Limits far above the output of a real run: a process that sends more is no bundle of Volley's. */
export const RECEIVE_LIMITS: ReceiveLimits = {
  noiseBytes: 16 << 20,
  totalBytes: 1 << 30,
  events: 2_000_000,
};

/** An answer of a launch script, and the words behind it. */
const ANSWER = new RegExp(`(${LAUNCH_ANSWERS.join("|")})((?: [\\w.:+~-]+)*)$`);

/** The beginning of every line of the protocol. */
const EVENT_PREFIX = '{"type":"';

/** Lines beside the protocol that are passed on of one process, each cut to 1,000 characters. */
const MAX_NOISE_LINES = 200;
const MAX_NOISE_LENGTH = 1_000;

/**
 * Take a process's standard output apart into events, within bounds, because any program may be at the other end.
 * `after`: sequence number of the last event of the run that came over other connections.
 */
export function receive(
  stream: Readable,
  handlers: ReceiveHandlers,
  after = 0,
  limits: ReceiveLimits = RECEIVE_LIMITS,
): void {
  let greeted = false;
  let stopped = false;
  let ended = false;
  let noiseLines = 0;
  let bytes = 0;
  let events = 0;
  /** Sequence number of the last event of this process, and of the run. */
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
    const said = ANSWER.exec(line);
    if (said === null) return noise(line);
    noise(line.slice(0, said.index));
    handlers.answer(said[1] as LaunchAnswer, said[2]!.split(" ").slice(1));
  };
  const takeEvent = (line: string): void => {
    const value = parse(line);
    // The connection was cut amid an event, which the journal has whole.
    if (value === undefined && ended && line.startsWith(EVENT_PREFIX)) return;
    const isAside = isRecord(value) && (value.type === "question" || value.type === "share");
    if (!isRecord(value) || typeof value.type !== "string" || (!isAside && !Number.isSafeInteger(value.seq)))
      return noise(line);
    if (++events > limits.events) return refuse(`the host sent more than ${limits.events} events`);
    const { type, seq } = value as { readonly type: string; readonly seq: number };
    if (type === "hello" && value.protocol !== PROTOCOL_VERSION) {
      return refuse(
        `the host speaks protocol ${printable(JSON.stringify(value.protocol) ?? "undefined", 20)}, this controller ${PROTOCOL_VERSION}`,
      );
    }
    try {
      if (type === "question") handlers.question(checkQuestion(value));
      else if (type === "share") handlers.share(checkShare(value));
      else takeChecked(checkEvent(value as { readonly type: string }), seq, line);
    } catch (thrown) {
      // An error in the handling of one host's output ends that host's part alone.
      fail(isVolleyError(thrown) ? thrown : new VolleyError("INTERNAL", String(thrown), { cause: thrown }));
    }
  };
  const takeChecked = (event: WireEvent | undefined, seq: number, line: string): void => {
    if (event?.type === "hello" && event.next !== undefined) {
      // After re-attaching, the next event must be the one after the last received.
      const wanted = Math.max(FIRST_JOURNALED, latest + 1);
      if (event.next !== wanted) return refuse(`the host begins with event ${event.next}, not ${wanted}`);
      last = event.next - 1;
      return handlers.event(event);
    }
    if (seq !== last + 1) return refuse(`the host's events are out of order: ${seq} after ${last}`);
    if (event?.type === "hello" && seq !== 1) return refuse("the host says hello amid its events");
    if (seq <= latest && event !== undefined && !BEFORE_JOURNAL.has(event.type))
      return refuse(`the host tells again what it has told: event ${seq}, "${event.type}"`);
    last = seq;
    latest = Math.max(latest, seq);
    // A later version may know more types of events.
    if (event === undefined) return noise(line);
    // The run ends here.
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
      const limit = beginning.startsWith(SHARE_PREFIX) ? MAX_SHARE_BYTES : MAX_LINE_BYTES;
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
  stream.once("end", () => {
    ended = true;
    lines.end();
  });
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

/** Lines beside the protocol that are passed on of one host, over all connections. */
const MAX_HOST_LINES = 500;
/** The end of standard error that is kept, in characters. */
const STDERR_KEPT = 4_000;

/** Reports the output of a host beside the protocol: standard error, and lines before the bundle's first word. */
export class HostNoise {
  readonly #host: string;
  readonly #emit: (event: ControllerEvent) => void;
  #lines = 0;
  #stderr = "";

  constructor(host: string, emit: (event: ControllerEvent) => void) {
    this.#host = host;
    this.#emit = emit;
  }

  /** The end of what the process that was started last has written to standard error. */
  get stderr(): string {
    return this.#stderr;
  }

  /** Forget the standard error of the process before. */
  begin(): void {
    this.#stderr = "";
  }

  takeStderr(text: string): void {
    this.#stderr = (this.#stderr + text).slice(-STDERR_KEPT);
    if (this.#lines >= MAX_HOST_LINES) return;
    for (const line of text.split("\n")) if (line.trim() !== "") this.tell(line.slice(0, MAX_NOISE_LENGTH));
  }

  tell(text: string): void {
    if (this.#lines++ < MAX_HOST_LINES) this.#emit({ type: "host:noise", host: this.#host, text });
  }
}

/** The longest part of a line that is held back until its end comes. */
const MAX_HELD = 64 << 10;

/** Pass a stream's text on in whole lines, with secrets masked wherever the stream was cut. */
export function onMaskedText(stream: Readable, mask: Mask | null, on: (text: string) => void): void {
  const decoder = new StringDecoder("utf8");
  const masking = mask?.stream();
  let unfinished = "";
  const take = (text: string, isLast: boolean): void => {
    unfinished += text;
    const end = isLast || unfinished.length > MAX_HELD ? unfinished.length : unfinished.lastIndexOf("\n") + 1;
    if (end > 0) on(unfinished.slice(0, end));
    unfinished = unfinished.slice(end);
  };
  stream.on("data", (chunk: Buffer) => {
    const text = decoder.write(chunk);
    take(masking === undefined ? text : masking.push(text), false);
  });
  stream.once("end", () => {
    const rest = decoder.end();
    take(masking === undefined ? rest : masking.push(rest) + masking.end(), true);
  });
}
