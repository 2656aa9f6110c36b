import type { Event, Summary } from "../core/events.ts";
import { colorsWanted, type Environment, isWatched, unicodeWanted } from "./output.ts";
import { ASCII_SYMBOLS, UNICODE_SYMBOLS } from "./rows/wording.ts";

/** Turns a run's events into text or a screen. */
export interface Reporter {
  event(event: Event): void;
  /** Show the summary; resolves once everything has been written and the terminal is as it was. */
  end(summary: Summary): Promise<void> | void;
  /** Give the terminal back without a summary, after a run that broke off; not needed after `end`. */
  close(): Promise<void>;
}

/** The kinds of reporters; `auto` is `ink` on a terminal that a person watches, else `plain`. */
export type ReporterKind = "auto" | "ink" | "plain" | "json";

/** The options of a reporter. */
export interface ReporterOptions {
  readonly stdout: NodeJS.WriteStream;
  /** The keyboard; without it, or when it is not a terminal, the UI takes no keys. */
  readonly stdin?: NodeJS.ReadStream;
  readonly env: Environment;
  /** Plain output shows at 0 changed, failed and unknown tasks, at 1 all tasks, at 2 their output too. */
  readonly verbosity: 0 | 1 | 2;
  /** Whether plain output shows diffs. The logs of the ink UI show all diffs that events carry. */
  readonly diff: boolean;
  /** Called for every Ctrl-C that the UI takes in raw mode: the first cancels the run, the next kills it. */
  onCancel(): void;
}

/** Create a reporter, loading only the packages of its kind: ink and react are large. */
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
      return (await loadDrawing(() => import("./ink/ink-reporter.ts"))).createInkReporter({
        ...options,
        colors,
        symbols,
      });
  }
}

/**
 * Load a module that draws with ink. React and its reconciler read NODE_ENV once, when they are first loaded; their
 * development builds take a third more time for every frame. The variable is removed at once, because processes started
 * later inherit it.
 */
export async function loadDrawing<Module>(load: () => Promise<Module>): Promise<Module> {
  if (process.env.NODE_ENV !== undefined) return load();
  process.env.NODE_ENV = "production";
  try {
    return await load();
  } finally {
    delete process.env.NODE_ENV;
  }
}
