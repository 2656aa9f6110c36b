import { exitCodeOf, type HostResult } from "../../fanout/exec/exec-host.ts";
import { count, formatElapsed } from "../../reporter/rows/amounts.ts";
import { paintRow, type Row } from "../../reporter/rows/row.ts";

import type { Symbols } from "../../reporter/rows/wording.ts";
import type { ExecPrinterOptions } from "./printer.ts";
import { OK, OUTCOME_ORDER } from "./status.ts";

/** Prints how it went to stderr: a table, failures first, where there are any, and what it came to. */
export async function printStatus(
  { stderr, symbols }: Pick<ExecPrinterOptions, "stderr" | "symbols">,
  results: readonly HostResult[],
  elapsedMs: number,
): Promise<void> {
  // Measuring the widths of tables takes as long to load as all else: a run without failures has none.
  const table =
    exitCodeOf(results) === 0
      ? []
      : (await import("./status-table.ts")).statusTable(results, { symbols, columns: stderr.columns });
  const rows = [...table, totalRow(results, elapsedMs, symbols)];
  stderr.writer.write(rows.map((row) => `${paintRow(row, stderr.colors)}\n`).join(""));
  await stderr.writer.flush();
}

function totalRow(results: readonly HostResult[], elapsedMs: number, symbols: Symbols): Row {
  const amounts = new Map<string, number>();
  for (const { outcome } of results) amounts.set(outcome, (amounts.get(outcome) ?? 0) + 1);
  const words = {
    ok: "ok",
    failed: "failed",
    timedOut: "timed out",
    unreachable: "unreachable",
    lost: "lost",
    cancelled: "cancelled",
  };
  const isOk = amounts.get("ok") === results.length;
  const parts = OUTCOME_ORDER.filter((outcome) => amounts.has(outcome)).map(
    (outcome) => `${amounts.get(outcome)} ${words[outcome]}`,
  );
  const text = isOk
    ? `${count(results.length, "host")} ok`
    : `${count(results.length, "host")}: ${parts.join(", ")}`;
  return [
    ...(isOk ? [{ text: `${symbols.ok} `, style: OK }] : []),
    { text, style: { bold: true } },
    { text: ` in ${formatElapsed(elapsedMs)}`, style: { dim: true } },
  ];
}
