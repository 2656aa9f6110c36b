import { messageOf } from "../../core/errors.ts";
import type { Event } from "../../core/events.ts";
import { createPlainReporter } from "../plain.ts";
import { createTextWriter, type Reporter, type ReporterOptions } from "../reporter.ts";
import { paintRow } from "../rows/row.ts";
import { safeLine } from "../rows/sanitize.ts";
import type { Symbols } from "../rows/wording.ts";
import { collectRemarks, countUnknownResults, summaryRows } from "../summary.ts";
import { openLiveView, sizeOf } from "./live-view.tsx";

/** The options of the UI. */
export interface InkReporterOptions extends ReporterOptions {
  readonly colors: boolean;
  readonly symbols: Symbols;
}

/** Draw the UI on the alternate screen, and print the summary below the command line. Plain lines follow a UI that fails. */
export function createInkReporter(options: InkReporterOptions): Reporter {
  const { stdout, symbols, colors } = options;
  const unknown = countUnknownResults();
  const remarks = collectRemarks();
  const writer = createTextWriter(stdout);
  let runStart: Event | undefined;
  let plain: Reporter | undefined;
  const live = openLiveView({
    ...options,
    onCrash(error) {
      const message = messageOf(error);
      writer.write(`the terminal UI failed (${safeLine(message)}): plain output from here on\n`);
      plain = createPlainReporter(options);
      if (runStart !== undefined) plain.event(runStart);
    },
  });

  return {
    event(event) {
      unknown.add(event);
      remarks.add(event);
      if (event.type === "run:start") runStart = event;
      if (plain === undefined) live.apply(event);
      else plain.event(event);
    },
    async end(summary) {
      await live.close();
      if (plain !== undefined) return plain.end(summary);
      const { columns } = sizeOf(stdout);
      const rows = [
        ...remarks.rows(),
        ...summaryRows(summary, { columns, symbols, unknown: unknown.counts }),
      ];
      writer.write(rows.map((row) => `${paintRow(row, colors)}\n`).join(""));
      return writer.flush();
    },
    async close() {
      await live.close();
      await writer.flush();
    },
  };
}
