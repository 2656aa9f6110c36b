import type { Event } from "../core/events.ts";
import { createTextWriter, type Reporter } from "./output.ts";

const LEFT_BARE = /[\x7f-\x9f\u2028\u2029]/g;

/** Encode an event as JSON without raw control characters: a terminal obeys some that JSON need not escape. */
function encode(event: Event): string {
  return JSON.stringify(event).replace(
    LEFT_BARE,
    (control) => `\\u${control.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** Write the event stream as NDJSON: one event a line; the last one is `run:end` with the summary. */
export function createJsonReporter(stdout: NodeJS.WritableStream): Reporter {
  const writer = createTextWriter(stdout);
  return {
    event: (event: Event) => writer.write(`${encode(event)}\n`),
    end: writer.flush,
    close: writer.flush,
  };
}
