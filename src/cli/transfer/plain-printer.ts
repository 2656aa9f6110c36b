import type { FileEvent, TransferResult } from "../../fanout/transfer/result.ts";
import { count, formatBytes, formatElapsed, formatRate } from "../../reporter/rows/amounts.ts";
import { padText, textWidth } from "../../reporter/rows/layout.ts";
import { DIM, paintRow, type Row, segment } from "../../reporter/rows/row.ts";
import { safeLine } from "../../reporter/rows/sanitize.ts";
import {
  endRows,
  reasonOf,
  signOf,
  styleOf,
  type TransferPrinter,
  type TransferPrinterOptions,
} from "./printer.ts";

/** Failed files to show of one host. */
const FAILURES_TOLD = 20;

/** Describe what happened to a file; undefined when it is not worth a line. */
export function fileRow(
  { path, action, bytes, error }: FileEvent,
  host: string,
  { check, verbose, kind, symbols }: Pick<TransferPrinterOptions, "check" | "verbose" | "kind" | "symbols">,
): Row | undefined {
  const name = safeLine(path);
  if (action === "failed")
    return [segment(`${symbols.failed} ${reasonOf({ host, error })}`, { color: "red" })];
  if (action === "skipped") {
    const why = error === undefined ? `${name} was skipped: it is no file` : reasonOf({ host, error });
    return [segment(`${symbols.skipped} ${why}`, { color: "yellow" })];
  }
  if (!verbose && !(check && action !== "unchanged")) return undefined;
  const verb = kind === "put" ? "send" : "fetch";
  const done = kind === "put" ? "sent" : "fetched";
  const words = {
    sent: check ? `would ${verb}` : done,
    resumed: `${done}, from where it was cut,`,
    unchanged: "unchanged",
    linked: check ? "would link" : "linked",
    made: check ? "would make the directory" : "made the directory",
  };
  const size = action === "sent" || action === "resumed" ? ` (${formatBytes(bytes)})` : "";
  return [segment(`${words[action]} ${name}${size}`)];
}

/** Print lines as things happen: each host's end and failures; with `--verbose` or `--check` each file too. */
export function createPlainPrinter(options: TransferPrinterOptions): TransferPrinter {
  const { hosts, writer, colors, symbols } = options;
  const nameColumns = Math.max(0, ...hosts.map((host) => textWidth(safeLine(host))));
  const failures = new Map<string, number>();
  const print = (host: string, row: Row): void =>
    writer.write(`${paintRow([segment(`${padText(safeLine(host), nameColumns)}  `), ...row], colors)}\n`);
  return {
    listener: {
      file: (host, event) => {
        if (event.action === "failed" || event.action === "skipped") {
          const told = (failures.get(host) ?? 0) + 1;
          failures.set(host, told);
          if (told > FAILURES_TOLD) return;
        }
        const row = fileRow(event, host, options);
        if (row !== undefined) print(host, row);
      },
      end: (result) => {
        const untold = (failures.get(result.host) ?? 0) - FAILURES_TOLD;
        failures.delete(result.host);
        if (untold > 0) print(result.host, [segment(`and ${count(untold, "more file")}`, DIM)]);
        print(result.host, hostRow(result, options));
      },
      ready: () => writer.ready(),
    },
    end: async (results, elapsedMs) => {
      const rows = endRows(results, elapsedMs, { ...options, symbols });
      writer.write(rows.map((row) => `${paintRow(row, colors)}\n`).join(""));
      await writer.flush();
    },
    close: () => {},
  };
}

/** Describe one host's end in a line. */
export function hostRow(
  result: TransferResult,
  { symbols, kind, check }: Pick<TransferPrinterOptions, "symbols" | "kind" | "check">,
): Row {
  const { outcome, files, sentBytes, elapsedMs } = result;
  const lead = segment(`${signOf(outcome, symbols)} ${outcome}`, styleOf(outcome));
  // The failed files are shown already.
  if (outcome === "failed" && files.failed > 0) return [lead, segment(`  ${count(files.failed, "file")}`)];
  if (outcome !== "ok") return [lead, segment(`  ${reasonOf(result)}`)];
  const sent = files.sent + files.resumed + files.linked;
  const verb = check ? `to be ${kind === "put" ? "sent" : "fetched"}` : kind === "put" ? "sent" : "fetched";
  const rate = sentBytes === 0 ? "" : `, ${formatBytes(sentBytes)} at ${formatRate(sentBytes, elapsedMs)}`;
  return [
    lead,
    segment(`  ${count(sent, "file")} ${verb}, ${files.unchanged} unchanged${rate}`),
    segment(`  in ${formatElapsed(elapsedMs)}`, DIM),
  ];
}
