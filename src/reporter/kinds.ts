import type { Event } from "../core/events.ts";
import {
  colorsWanted,
  createTextWriter,
  isWatched,
  type Reporter,
  type ReporterOptions,
  unicodeWanted,
} from "./reporter.ts";
import { ASCII_SYMBOLS, UNICODE_SYMBOLS } from "./rows/wording.ts";

/** The kinds of reporters; `auto` is `ink` on a terminal that a person watches, else `plain`. */
export type ReporterKind = "auto" | "ink" | "plain" | "json" | "ansible";

/** Create a reporter, loading only the packages of its kind: ink and react are large. */
export async function createReporter(kind: ReporterKind, options: ReporterOptions): Promise<Reporter> {
  const { stdout, env, verbosity, diff } = options;
  const colors = colorsWanted(stdout, env);
  const symbols = unicodeWanted(env) ? UNICODE_SYMBOLS : ASCII_SYMBOLS;
  switch (kind === "auto" ? (isWatched(stdout, env) ? "ink" : "plain") : kind) {
    case "json":
      return createJsonReporter(stdout);
    case "plain":
      return (await import("./plain.ts")).createPlainReporter({ stdout, colors, symbols, verbosity, diff });
    case "ansible":
      return (await import("./ansible.ts")).createAnsibleReporter({
        ...{ stdout, env, verbosity, diff },
        stderr: options.stderr ?? process.stderr,
      });
    case "ink":
      return (await import("./ink/ink-reporter.ts")).createInkReporter({
        ...options,
        colors,
        symbols,
      });
  }
}

/** Write the event stream as NDJSON: one event a line; the last one is `run:end` with the summary. */
export function createJsonReporter(stdout: NodeJS.WritableStream): Reporter {
  const writer = createTextWriter(stdout);
  return {
    event: (event: Event) => writer.write(`${encodeLine(event)}\n`),
    end: writer.flush,
    close: writer.flush,
  };
}

const LEFT_BARE = /[\x7f-\x9f\u2028\u2029]/g;

/** Encode a value as a line of JSON without raw control characters: a terminal obeys some that JSON need not escape. */
export function encodeLine(value: object): string {
  return JSON.stringify(value).replace(
    LEFT_BARE,
    (control) => `\\u${control.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
