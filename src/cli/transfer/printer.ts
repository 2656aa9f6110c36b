import type { TransferListener, TransferResult } from "../../fanout/transfer/result.ts";
import { colorsWanted, isWatched, unicodeWanted } from "../../reporter/output.ts";
import { ASCII_SYMBOLS, type Symbols, UNICODE_SYMBOLS } from "../../reporter/rows/wording.ts";
import { createPacedWriter, type PacedWriter } from "../exec/printer.ts";
import type { TransferFlags } from "./options.ts";

/** Shows a transfer. */
export interface TransferPrinter {
  readonly listener: TransferListener;
  /** Shows how it went. */
  end(results: readonly TransferResult[], elapsedMs: number): Promise<void>;
  /** Gives the terminal back; also after a failure. */
  close(): void;
}

/** What is shown. */
export interface TransferShown {
  readonly kind: "put" | "get";
  /** Nothing is sent: it is said what would be. */
  readonly check: boolean;
  readonly hosts: readonly string[];
  /** Where it is known beforehand. */
  readonly bytesPerHost: number | undefined;
}

/** What a printer works with. */
export interface TransferPrinterOptions extends TransferShown {
  readonly writer: PacedWriter;
  readonly colors: boolean;
  readonly symbols: Symbols;
  readonly verbose: boolean;
  /** Of the terminal, as it is now; undefined: none, lines are not cut. */
  size(): { readonly columns: number; readonly rows: number } | undefined;
}

/** The printer that the flags and the terminal ask for. All is shown on stdout. */
export async function createTransferPrinter(
  flags: TransferFlags,
  shown: TransferShown,
): Promise<TransferPrinter> {
  const { stdout, env } = process;
  const options: TransferPrinterOptions = {
    ...shown,
    writer: createPacedWriter(stdout),
    colors: colorsWanted(stdout, env),
    symbols: unicodeWanted(env) ? UNICODE_SYMBOLS : ASCII_SYMBOLS,
    verbose: flags.verbose === true,
    size: () =>
      stdout.isTTY === true ? { columns: stdout.columns ?? 80, rows: stdout.rows ?? 24 } : undefined,
  };
  const isLive = flags.output === "ink" || (flags.output === "auto" && isWatched(stdout, env));
  if (flags.output === "json") return (await import("./json-printer.ts")).createJsonPrinter(options);
  if (isLive && stdout.isTTY === true && !shown.check)
    return (await import("./live-printer.ts")).createLivePrinter(options);
  return (await import("./plain-printer.ts")).createPlainPrinter(options);
}
