import type { Event, Summary } from "../core/events.ts";
import { colorsWanted, type Environment, isWatched, unicodeWanted } from "./output.ts";
import { ASCII_SYMBOLS, UNICODE_SYMBOLS } from "./rows/wording.ts";

/** Turns a run's events into what a person sees or a program reads. */
export interface Reporter {
  event(event: Event): void;
  /** Says what the run came to; resolves once everything has been written and the terminal is as it was. */
  end(summary: Summary): Promise<void> | void;
  /** Gives the terminal back without a summary, for a run that broke off and has none; not needed after `end`. */
  close(): Promise<void>;
}

/** Which reporter; `auto` is `ink` on a terminal that is watched by a person, else `plain`. */
export type ReporterKind = "auto" | "ink" | "plain" | "json";

/** What a reporter works with. */
export interface ReporterOptions {
  readonly stdout: NodeJS.WriteStream;
  /** Where keys come from; without it, or when it is no terminal, the UI is only watched. */
  readonly stdin?: NodeJS.ReadStream;
  readonly env: Environment;
  /** Plain: 0 changed, failed and unknown tasks; 1 all tasks; 2 also what they print. */
  readonly verbosity: 0 | 1 | 2;
  /** Whether plain output shows diffs; the ink UI has them in each host's log whenever events carry them. */
  readonly diff: boolean;
  /** Called for every Ctrl-C the UI takes in raw mode: the first asks for a clean stop, the next for one at once. */
  onCancel(): void;
}

/** Makes a reporter; what the other kinds need, ink and react above all, is not loaded. */
export async function createReporter(kind: ReporterKind, options: ReporterOptions): Promise<Reporter> {
  const { stdout, env, verbosity, diff } = options;
  const colors = colorsWanted(stdout, env);
  const symbols = unicodeWanted(env) ? UNICODE_SYMBOLS : ASCII_SYMBOLS;
  switch (kind === "auto" ? (isWatched(stdout, env) ? "ink" : "plain") : kind) {
    case "json":
      return (await import("./json.ts")).createJsonReporter(stdout);
    case "plain":
      return (await import("./plain.ts")).createPlainReporter({ stdout, colors, symbols, verbosity, diff });
    case "ink":
      return (await importInk()).createInkReporter({ ...options, colors, symbols });
  }
}

/**
 * React and its reconciler look at NODE_ENV once, when they are first loaded; their development builds take a third
 * more time for every frame. It is taken back at once, since processes started later inherit it.
 */
async function importInk(): Promise<typeof import("./ink/ink-reporter.ts")> {
  if (process.env.NODE_ENV !== undefined) return import("./ink/ink-reporter.ts");
  process.env.NODE_ENV = "production";
  try {
    return await import("./ink/ink-reporter.ts");
  } finally {
    delete process.env.NODE_ENV;
  }
}
