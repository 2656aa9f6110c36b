import type { Readable } from "node:stream";
import { StringDecoder } from "node:string_decoder";
import { bytesToText } from "../core/values/bytes.ts";

/** Splits text that arrives in pieces into lines. */
export interface LineSplitter {
  push(chunk: string | Uint8Array): void;
  /** Pass on the last line, which has no end. */
  end(): void;
  /** Drop the unfinished line, and all that follows. */
  stop(): void;
}

/** The limit of a line. */
export interface LineLimit {
  /** In UTF-16 code units. */
  readonly maxLength: number;
  /** Called with the beginning of a line that is too long. The line is dropped, unless this returns "keep". */
  onTooLong(beginning: string): "keep" | "drop";
}

/** Create a splitter that calls `onLine` with each line that is not empty, without its end, however the bytes are cut. */
export function createLineSplitter(onLine: (line: string) => void, limit?: LineLimit): LineSplitter {
  const decoder = new StringDecoder("utf8");
  // The held piece has no line end, and is not searched again: a long line may come byte by byte.
  let held = "";
  let isStopped = false;
  const pass = (line: string): void => {
    held = "";
    if (line !== "" && !isStopped) onLine(line);
  };
  return {
    push: (chunk) => {
      if (isStopped) return;
      const text = typeof chunk === "string" ? chunk : decoder.write(chunk as Buffer);
      let from = 0;
      for (let end = text.indexOf("\n"); end >= 0 && !isStopped; end = text.indexOf("\n", from)) {
        pass(held + text.slice(from, end));
        from = end + 1;
      }
      if (isStopped) return;
      held += text.slice(from);
      if (limit !== undefined && held.length > limit.maxLength && limit.onTooLong(held) === "drop") held = "";
    },
    end: () => pass(held + decoder.end()),
    stop: () => {
      isStopped = true;
      held = "";
    },
  };
}

/** Call `onLine` with each line of a stream that is not empty. A line of more than `maxLength` code units destroys the stream. */
export function readLines(stream: Readable, onLine: (line: string) => void, maxLength: number): void {
  const lines = createLineSplitter(onLine, {
    maxLength,
    onTooLong: () => {
      stream.destroy(new Error("a line is too long"));
      return "drop";
    },
  });
  stream.on("data", lines.push);
}

/**
 * Parse a file of JSON lines that several processes may have written. Broken lines are skipped: a process that is killed
 * while it writes leaves half of one.
 */
export function parseJsonLines(text: string): readonly unknown[] {
  return text.split("\n").flatMap((line) => {
    try {
      return line === "" ? [] : [JSON.parse(line) as unknown];
    } catch {
      return [];
    }
  });
}

/** The default limit of kept output, in bytes a stream. */
export const DEFAULT_MAX_OUTPUT = 1 << 20;

/** Collects one stream of a process up to a limit, and passes every piece on as text. */
export class Capture {
  #chunks: Buffer[] = [];
  #bytes = 0;
  readonly #decoder = new StringDecoder("utf8");
  readonly #limit: number;
  readonly #onText: ((text: string) => void) | undefined;
  truncated = false;

  constructor(limit: number, onText: ((text: string) => void) | undefined) {
    this.#limit = limit;
    this.#onText = onText;
  }

  add(chunk: Buffer): void {
    const kept = chunk.subarray(0, this.#limit - this.#bytes);
    if (kept.length < chunk.length) this.truncated = true;
    if (kept.length > 0) this.#chunks.push(kept);
    this.#bytes += kept.length;
    if (this.#onText !== undefined) {
      const text = this.#decoder.write(chunk);
      if (text !== "") this.#onText(text);
    }
  }

  end(keepsBytes = false): string {
    const rest = this.#decoder.end();
    if (rest !== "") this.#onText?.(rest);
    const bytes = Buffer.concat(this.#chunks);
    return keepsBytes ? bytesToText(bytes) : bytes.toString("utf8");
  }
}
