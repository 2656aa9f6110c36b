import type { Readable } from "node:stream";
import { StringDecoder } from "node:string_decoder";
import { VolleyError } from "../core/errors.ts";
import { isRecord } from "../core/json.ts";
import { HELLO_PREFIX, MAX_LINE_BYTES, PROTOCOL_VERSION, type WireEvent } from "../core/protocol.ts";
import { ABSENT, CORRUPT } from "./launch.ts";

/** What a host's standard output amounts to. */
export interface ReceiveHandlers {
  event(event: WireEvent): void;
  /** A line before `hello`, or one that is not of the protocol. */
  noise(text: string): void;
  /** The host has no copy of the bundle, or the one it was sent is not whole. */
  answer(word: typeof ABSENT | typeof CORRUPT): void;
  /** The host says what cannot be understood; nothing after it is read. */
  broken(error: VolleyError): void;
}

const MAX_NOISE_LINES = 200;

/**
 * Takes a host's standard output apart into events; bounded, because what is at the other end may be anything.
 * `after` is the sequence number of the last event of the run that has been taken in, over other connections.
 */
export function receive(stream: Readable, handlers: ReceiveHandlers, after = 0): void {
  const decoder = new StringDecoder("utf8");
  let buffered = "";
  let greeted = false;
  let noiseLines = 0;
  let stopped = false;
  let lastSequence = 0;

  const fail = (message: string): void => {
    stopped = true;
    buffered = "";
    handlers.broken(new VolleyError("PROTOCOL_INVALID", message));
  };
  const noise = (text: string): void => {
    if (text.trim() !== "" && noiseLines++ < MAX_NOISE_LINES) handlers.noise(text.slice(0, 1_000));
  };
  const takeLine = (line: string): void => {
    if (!greeted) {
      // A .bashrc may print without ending its line.
      const at = line.indexOf(HELLO_PREFIX);
      if (at < 0) {
        const word = [ABSENT, CORRUPT].find((candidate) => line.endsWith(candidate));
        if (word === undefined) noise(line);
        else {
          noise(line.slice(0, -word.length));
          handlers.answer(word as typeof ABSENT);
        }
        return;
      }
      noise(line.slice(0, at));
      greeted = true;
      takeEvent(line.slice(at));
    } else takeEvent(line);
  };
  const takeEvent = (line: string): void => {
    let event: unknown;
    try {
      event = JSON.parse(line);
    } catch {
      return noise(line);
    }
    if (!isRecord(event) || typeof event.type !== "string" || typeof event.seq !== "number")
      return noise(line);
    if (event.type === "hello" && event.protocol !== PROTOCOL_VERSION) {
      return fail(`the host speaks protocol ${String(event.protocol)}, this controller ${PROTOCOL_VERSION}`);
    }
    if (event.type === "hello" && typeof event.next === "number") {
      // Of a process that has been at work before: what it says next may not be what is wanted, but must say so.
      lastSequence = event.next - 1;
      return handlers.event(event as unknown as WireEvent);
    }
    // A process started again goes on counting where its journal ends.
    const goesOn = lastSequence === 1 && event.seq === after + 1;
    if (event.seq !== lastSequence + 1 && !goesOn)
      return fail(`the host's events are out of order: ${event.seq} after ${lastSequence}`);
    lastSequence = event.seq;
    handlers.event(event as unknown as WireEvent);
  };

  stream.on("data", (chunk: Buffer) => {
    if (stopped) return;
    buffered += decoder.write(chunk);
    let from = 0;
    for (let end = buffered.indexOf("\n", from); end >= 0 && !stopped; end = buffered.indexOf("\n", from)) {
      takeLine(buffered.slice(from, end));
      from = end + 1;
    }
    buffered = stopped ? "" : buffered.slice(from);
    if (buffered.length > MAX_LINE_BYTES) {
      if (greeted) fail(`the host sent a line of more than ${MAX_LINE_BYTES >> 20} MiB`);
      else buffered = "";
    }
  });
  stream.once("end", () => {
    if (!stopped && buffered !== "") takeLine(buffered);
  });
}
