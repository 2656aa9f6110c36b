/** Writes text to a stream in order, never more at a time than it takes, and tells when all of it has left. */
export interface TextWriter {
  write(text: string): void;
  /** Resolves once everything written so far is with the operating system, or can never be. */
  flush(): Promise<void>;
}

/** A writer that waits for `drain`; when the reader has gone away (`EPIPE`) it drops the rest quietly. */
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

/** Puts pieces of output together into lines, per stream. */
export interface OutputLines {
  /** Takes a piece in and returns the lines that are now complete. */
  add(stream: "stdout" | "stderr", text: string): readonly string[];
  /** The lines that were left without an end. */
  rest(): readonly string[];
}

/** Starts with nothing; a line that grows too long is given out in parts. */
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
 * Whether to colour what is written to a stream: `NO_COLOR` (no-color.org) wins, then `FORCE_COLOR` (force-color.org),
 * then whether it is a terminal that is not `dumb`.
 */
export function colorsWanted(stream: { readonly isTTY?: boolean | undefined }, env: Environment): boolean {
  if ((env.NO_COLOR ?? "") !== "") return false;
  const forced = env.FORCE_COLOR;
  if (forced !== undefined) return forced !== "0" && forced !== "false";
  return stream.isTTY === true && env.TERM !== "dumb";
}

/** Whether the locale is UTF-8, as POSIX has it: `LC_ALL` over `LC_CTYPE` over `LANG`; the Linux console lacks the signs. */
export function unicodeWanted(env: Environment): boolean {
  if (env.TERM === "linux") return false;
  const locale = [env.LC_ALL, env.LC_CTYPE, env.LANG].find((value) => value !== undefined && value !== "");
  return locale !== undefined && /utf-?8/i.test(locale);
}

/** Whether a person can watch: a terminal that can be drawn on, not a build server's, and not read aloud (ink's variable). */
export function isWatched(stream: { readonly isTTY?: boolean | undefined }, env: Environment): boolean {
  if (stream.isTTY !== true || env.TERM === "dumb" || env.INK_SCREEN_READER === "true") return false;
  return env.CI === undefined || env.CI === "" || env.CI === "false" || env.CI === "0";
}
