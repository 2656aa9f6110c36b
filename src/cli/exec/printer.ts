import { isUtf8 } from "node:buffer";
import type { HostResult } from "../../fanout/exec/exec-host.ts";
import type { FanOutListener } from "../../fanout/exec/fan-out.ts";
import { createTextWriter, type TextWriter } from "../../reporter/output.ts";
import { safeWhole } from "../../reporter/rows/sanitize.ts";
import type { Symbols } from "../../reporter/rows/wording.ts";

/** Shows the output of a fan-out. */
export interface ExecPrinter {
  readonly listener: FanOutListener;
  /** Show the result; returns the user's choice of what to do next. */
  end(results: readonly HostResult[], elapsedMs: number): Promise<"shell" | undefined>;
  /** Give the terminal back; also called after a failure. */
  close(): Promise<void>;
}

/** Options of a printer. */
export interface ExecPrinterOptions {
  readonly stdout: PrinterStream;
  readonly stderr: PrinterStream;
  readonly symbols: Symbols;
  /** The names of all hosts. */
  readonly hosts: readonly string[];
}

/** A stream, and how to write to it. */
export interface PrinterStream {
  readonly writer: PacedWriter;
  readonly colors: boolean;
  /** The terminal's width; undefined: no terminal, lines are not broken. */
  readonly columns: number | undefined;
}

/** A writer that asks the source of much output to wait. */
export interface PacedWriter extends TextWriter {
  /** Return a promise to wait for when much is waiting to be written. */
  ready(): Promise<void> | undefined;
}

const MUCH = 256 * 1024;

/** Make a paced writer for a stream. */
export function createPacedWriter(stream: NodeJS.WritableStream): PacedWriter {
  const writer = createTextWriter(stream);
  let written = 0;
  let flushing: Promise<void> | undefined;
  return {
    write: (text) => {
      written += text.length;
      writer.write(text);
    },
    flush: () => writer.flush(),
    ready: () => {
      if (written < MUCH) return flushing;
      written = 0;
      flushing = writer.flush().then(() => {
        flushing = undefined;
      });
      return flushing;
    },
  };
}

/** A line of output, or a piece of one. */
export interface OutputLine {
  /** Bytes that are no UTF-8 appear as U+FFFD. */
  readonly text: string;
  /** The bytes of a line that is no UTF-8. */
  readonly bytes?: Buffer;
  /** Set when the line goes on in the next piece, because it is too long to hold. */
  readonly continues?: true;
}

/** Longer lines come in pieces, so that one host cannot fill the memory. */
export const MAX_LINE_BYTES = 1 << 20;
/** The mark at the end of a piece. */
const GOES_ON = " [the line goes on]";
const NEWLINE = 10;

/** Make a line safe to show. Text that a carriage return would overwrite stays, behind a `^M`. */
export function shownLine({ text, continues }: OutputLine): string {
  const shown = safeWhole(text.endsWith("\r") && continues === undefined ? text.slice(0, -1) : text);
  return continues === undefined ? shown : `${shown}${GOES_ON}`;
}

/** Joins the bytes of each host's streams to lines. */
export interface HostLines {
  /** Add bytes; returns the lines that are now complete. */
  add(host: string, stream: "stdout" | "stderr", chunk: Buffer): readonly OutputLine[];
  /** Return the unfinished lines of a host, and forget the host. */
  finish(host: string): readonly { readonly stream: "stdout" | "stderr"; readonly line: OutputLine }[];
}

/** Make a {@link HostLines}. */
export function createHostLines(): HostLines {
  const hosts = new Map<string, ReturnType<typeof streamLines>[]>();
  const of = (host: string) => {
    const streams = hosts.get(host) ?? [streamLines("stdout"), streamLines("stderr")];
    hosts.set(host, streams);
    return streams;
  };
  return {
    add: (host, stream, chunk) => of(host)[stream === "stdout" ? 0 : 1]!.add(chunk),
    finish: (host) => {
      const streams = hosts.get(host) ?? [];
      hosts.delete(host);
      return streams.flatMap(({ stream, rest }) => rest().map((line) => ({ stream, line })));
    },
  };
}

function streamLines(stream: "stdout" | "stderr") {
  let held: Buffer[] = [];
  let heldBytes = 0;
  let isPiece = false;
  const take = (): Buffer => {
    const bytes = held.length === 1 ? held[0]! : Buffer.concat(held);
    held = [];
    heldBytes = 0;
    return bytes;
  };
  const hold = (bytes: Buffer): void => {
    if (bytes.length === 0) return;
    held.push(bytes);
    heldBytes += bytes.length;
  };
  return {
    stream,
    add: (chunk: Buffer): readonly OutputLine[] => {
      const lines: OutputLine[] = [];
      let from = 0;
      for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, from)) {
        hold(chunk.subarray(from, end));
        lines.push(lineOf(take()));
        isPiece = false;
        from = end + 1;
      }
      // Copy: the chunk is a view of a larger packet.
      hold(Buffer.from(chunk.subarray(from)));
      if (heldBytes >= MAX_LINE_BYTES) {
        const bytes = take();
        const end = bytes.length - cutCharacter(bytes);
        lines.push({ ...lineOf(bytes.subarray(0, end)), continues: true });
        hold(bytes.subarray(end));
        isPiece = true;
      }
      return lines;
    },
    rest: (): readonly OutputLine[] => (heldBytes > 0 || isPiece ? [lineOf(take())] : []),
  };
}

function lineOf(bytes: Buffer): OutputLine {
  const text = bytes.toString("utf8");
  return isUtf8(bytes) ? { text } : { text, bytes };
}

/** Count the bytes at the end that begin an unfinished character of UTF-8. */
function cutCharacter(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back]!;
    if (byte >= 0xc0) return back < (byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2) ? back : 0;
    if (byte < 0x80) return 0;
  }
  return 0;
}
