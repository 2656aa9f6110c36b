import { createTextWriter } from "../output-stream.ts";
import type { Reporter } from "../reporter.ts";
import { paintRow } from "../rows/paint.ts";
import { ASCII_SYMBOLS, UNICODE_SYMBOLS } from "../rows/symbols.ts";
import { colorsWanted, type Environment, unicodeWanted } from "../terminal-support.ts";
import { foldTiming } from "./timing-rows.ts";

const DEFAULT_COLUMNS = 120;

/** A reporter that also says, after everything else, where the time went. */
export function addTiming(
  reporter: Reporter,
  { stdout, env }: { readonly stdout: NodeJS.WriteStream; readonly env: Environment },
): Reporter {
  const timing = foldTiming();
  return {
    event(event) {
      timing.add(event);
      reporter.event(event);
    },
    async end(summary) {
      await reporter.end(summary);
      const { ellipsis } = unicodeWanted(env) ? UNICODE_SYMBOLS : ASCII_SYMBOLS;
      const rows = timing.rows(summary, { columns: stdout.columns ?? DEFAULT_COLUMNS, ellipsis });
      const colors = colorsWanted(stdout, env);
      const writer = createTextWriter(stdout);
      writer.write(rows.map((row) => `${paintRow(row, colors)}\n`).join(""));
      await writer.flush();
    },
    close: () => reporter.close(),
  };
}
