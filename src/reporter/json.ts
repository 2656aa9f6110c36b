import type { Event } from "../core/events.ts";
import { createTextWriter } from "./output-stream.ts";
import type { Reporter } from "./reporter.ts";

/** The event stream as NDJSON: one event a line, as it happened, the last being `run:end` with the summary. */
export function createJsonReporter(stdout: NodeJS.WritableStream): Reporter {
  const writer = createTextWriter(stdout);
  return {
    event: (event: Event) => writer.write(`${JSON.stringify(event)}\n`),
    end: writer.flush,
    close: writer.flush,
  };
}
