import type { HostResult } from "../../fanout/exec/exec-host.ts";
import type { FanOutListener } from "../../fanout/exec/fan-out.ts";
import { createTextWriter, type TextWriter } from "../../reporter/output.ts";
import type { Symbols } from "../../reporter/rows/wording.ts";

/** Shows what a fan-out prints. */
export interface ExecPrinter {
  readonly listener: FanOutListener;
  /** Shows what is shown at the end; gives what a person chose to come next. */
  end(results: readonly HostResult[], elapsedMs: number): Promise<"shell" | undefined>;
  /** Gives back what it holds; also after a failure. */
  close(): Promise<void>;
}

/** What a printer works with. */
export interface ExecPrinterOptions {
  readonly stdout: PrinterStream;
  readonly stderr: PrinterStream;
  readonly symbols: Symbols;
  /** All hosts' names. */
  readonly hosts: readonly string[];
}

/** A stream and how it is written to. */
export interface PrinterStream {
  readonly writer: PacedWriter;
  readonly colors: boolean;
  /** Its width where it is a terminal; undefined: lines are not broken. */
  readonly columns: number | undefined;
}

/** A writer that asks those who write much to wait. */
export interface PacedWriter extends TextWriter {
  /** A promise when much is waiting to be written. */
  ready(): Promise<void> | undefined;
}

const MUCH = 256 * 1024;

/** Paces what is written to a stream. */
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
