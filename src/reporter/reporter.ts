import type { Event, Summary } from "../core/events.ts";

// The interface of all reporters, and their output: text at the reader's pace, lines, and the abilities of a terminal.

/** Turns a run's events into text or a screen. */
export interface Reporter {
  event(event: Event): void;
  /** Show the summary; resolves once everything has been written and the terminal is as it was. */
  end(summary: Summary): Promise<void> | void;
  /** Give the terminal back without a summary, after a run that broke off; not needed after `end`. */
  close(): Promise<void>;
}

/** The options of a reporter. */
export interface ReporterOptions {
  readonly stdout: NodeJS.WriteStream;
  /** Where Ansible's output has its warnings. Default: the process's own. */
  readonly stderr?: NodeJS.WritableStream;
  /** The keyboard; without it, or when it is not a terminal, the UI takes no keys. */
  readonly stdin?: NodeJS.ReadStream;
  readonly env: Environment;
  /**
   * Plain output shows at 0 changed, failed and unknown tasks, at 1 all tasks, at 2 their output too, at 3 how hosts are
   * reached and what they are, at 4 the bundle and the processes.
   */
  readonly verbosity: 0 | 1 | 2 | 3 | 4;
  /** True when plain output shows diffs. The logs of the ink UI show all diffs that events carry. */
  readonly diff: boolean;
  /** The address at which browsers see the run, for a screen that hides what was printed before. */
  readonly address?: string;
  /** Called for every Ctrl-C that the UI takes in raw mode: the first cancels the run, the next kills it. */
  onCancel(): void;
}

/** Writes text to a stream in order, at the pace of its reader. */
export interface TextWriter {
  write(text: string): void;
  /** Resolve once everything written so far is with the operating system, or can never be. */
  flush(): Promise<void>;
}

/** Create a writer that waits for `drain`, and drops the rest without an error when the reader has gone away (`EPIPE`). */
export function createTextWriter(stream: NodeJS.WritableStream): TextWriter {
  let waiting: string[] = [];
  let blocked = false;
  let gone = false;
  let flushed: (() => void)[] = [];

  const settle = (): void => {
    const resolvers = flushed;
    flushed = [];
    for (const resolve of resolvers) resolve();
  };
  const pump = (): void => {
    if (gone || blocked) return;
    if (waiting.length > 0) {
      const text = waiting.join("");
      waiting = [];
      if (!stream.write(text)) {
        blocked = true;
        stream.once("drain", () => {
          blocked = false;
          pump();
        });
        return;
      }
    }
    if (flushed.length > 0) stream.write("", settle);
  };
  const giveUp = (): void => {
    gone = true;
    waiting = [];
    settle();
  };
  stream.on("error", giveUp);
  stream.on("close", giveUp);

  return {
    write(text) {
      if (gone) return;
      waiting.push(text);
      pump();
    },
    flush() {
      return new Promise((resolve) => {
        if (gone) return resolve();
        flushed.push(resolve);
        pump();
      });
    },
  };
}

const MAX_PARTIAL = 4_000;

/** Joins pieces of output into lines, per stream. */
export interface OutputLines {
  /** Add a piece and return the lines that it completes. */
  add(stream: "stdout" | "stderr", text: string): readonly string[];
  /** Return the lines that were left without an end. */
  rest(): readonly string[];
}

/** Start without lines; a line that grows too long is returned in parts. */
export function createOutputLines(): OutputLines {
  const partial = { stdout: "", stderr: "" };
  return {
    add(stream, text) {
      const lines = (partial[stream] + text).split("\n");
      const last = lines.pop() ?? "";
      partial[stream] = last.length > MAX_PARTIAL ? "" : last;
      return last.length > MAX_PARTIAL ? [...lines, last] : lines;
    },
    rest() {
      const lines = [partial.stdout, partial.stderr].filter((text) => text !== "");
      partial.stdout = "";
      partial.stderr = "";
      return lines;
    },
  };
}

/** The environment variables of a process. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Return whether a stream gets colours: `NO_COLOR` (no-color.org) wins, then `FORCE_COLOR` (force-color.org); without
 * them, terminals that are not `dumb` do.
 */
export function colorsWanted(stream: { readonly isTTY?: boolean | undefined }, env: Environment): boolean {
  if ((env.NO_COLOR ?? "") !== "") return false;
  const forced = env.FORCE_COLOR;
  if (forced !== undefined) return forced !== "0" && forced !== "false";
  return stream.isTTY === true && env.TERM !== "dumb";
}

/** Return whether the locale is UTF-8 by POSIX (`LC_ALL` over `LC_CTYPE` over `LANG`); the Linux console lacks the signs. */
export function unicodeWanted(env: Environment): boolean {
  if (env.TERM === "linux") return false;
  const locale = [env.LC_ALL, env.LC_CTYPE, env.LANG].find((value) => value !== undefined && value !== "");
  return locale !== undefined && /utf-?8/i.test(locale);
}

/** Return whether to draw a screen: on a terminal that is not `dumb`, not a build server's (`CI`) and not read aloud (ink's `INK_SCREEN_READER`). */
export function isWatched(stream: { readonly isTTY?: boolean | undefined }, env: Environment): boolean {
  if (stream.isTTY !== true || env.TERM === "dumb" || env.INK_SCREEN_READER === "true") return false;
  return env.CI === undefined || env.CI === "" || env.CI === "false" || env.CI === "0";
}
