import { exitCodeOf, type HostResult } from "../../fanout/exec/exec-host.ts";
import { createHostLines, type ExecPrinter, type OutputLine, type PacedWriter } from "./printer.ts";

/**
 * Print one JSON object per line: `exec:start`, `exec:line`, `exec:end` for each host, then `exec:total`. An
 * `exec:line` whose bytes are no UTF-8 holds them in `base64` too. An `exec:line` that `continues` is a piece of a line.
 */
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
        emit(...lines.add(host, stream, chunk).map((line) => lineEvent(host, stream, line)));
        return writer.ready();
      },
      end: (result) => {
        const { host, outcome, exit, error, elapsedMs, stdoutBytes, stderrBytes } = result;
        for (const { stream, line } of lines.finish(host)) emit(lineEvent(host, stream, line));
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

function lineEvent(
  host: string,
  stream: "stdout" | "stderr",
  { text, bytes, continues }: OutputLine,
): Readonly<Record<string, unknown>> {
  const base64 = bytes === undefined ? {} : { base64: bytes.toString("base64") };
  return {
    type: "exec:line",
    host,
    stream,
    text,
    ...base64,
    ...(continues === undefined ? {} : { continues }),
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
