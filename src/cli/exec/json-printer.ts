import type { HostResult } from "../../fanout/result.ts";
import { exitCodeOf } from "../../fanout/result.ts";
import { createHostLines } from "./lines.ts";
import type { ExecPrinter, PacedWriter } from "./printer.ts";

/** One JSON object per line: `exec:start`, `exec:line`, `exec:end` for each host, then `exec:total`. */
export function createJsonPrinter(writer: PacedWriter): ExecPrinter {
  const lines = createHostLines();
  const emit = (...events: readonly Readonly<Record<string, unknown>>[]): void => {
    const time = new Date().toISOString();
    writer.write(events.map((event) => `${JSON.stringify({ time, ...event })}\n`).join(""));
  };
  return {
    listener: {
      start: (host) => emit({ type: "exec:start", host }),
      output: (host, stream, chunk) => {
        emit(...lines.add(host, stream, chunk).map((text) => ({ type: "exec:line", host, stream, text })));
        return writer.ready();
      },
      end: (result) => {
        const { host, outcome, exit, error, elapsedMs, stdoutBytes, stderrBytes } = result;
        for (const { stream, text } of lines.finish(host)) emit({ type: "exec:line", host, stream, text });
        emit({
          type: "exec:end",
          host,
          outcome,
          ...exitFields(exit),
          elapsedMs: Math.round(elapsedMs),
          stdoutBytes,
          stderrBytes,
          ...(error === undefined
            ? {}
            : { error: { code: error.code, message: error.message, hint: error.hint } }),
        });
        return writer.ready();
      },
    },
    end: async (results, elapsedMs) => {
      const outcomes: Record<string, number> = {};
      for (const { outcome } of results) outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
      emit({
        type: "exec:total",
        hosts: results.length,
        outcomes,
        elapsedMs: Math.round(elapsedMs),
        exitCode: exitCodeOf(results),
      });
      await writer.flush();
      return undefined;
    },
    close: async () => {},
  };
}

function exitFields(exit: HostResult["exit"]): Readonly<Record<string, unknown>> {
  switch (exit?.kind) {
    case "exited":
      return { exitCode: exit.code };
    case "signalled":
      return { signal: exit.signal };
    case "lost":
      return { reason: exit.reason };
    case undefined:
      return {};
  }
}
