import { exitCodeOf } from "../../fanout/exec/exec-host.ts";
import type { TransferResult } from "../../fanout/transfer/result.ts";
import { sumOf, type TransferPrinter, type TransferPrinterOptions } from "./printer.ts";

const PROGRESS_MS = 1_000;

/**
 * Print one JSON object per line: `put:start`, `put:progress`, `put:file`, `put:end` for each host, then `put:total`;
 * or `get:…`.
 */
export function createJsonPrinter({ kind, check, writer }: TransferPrinterOptions): TransferPrinter {
  const hosts = new Map<string, { totalBytes: number; bytes: number; toldAt: number }>();
  const emit = (type: string, fields: Readonly<Record<string, unknown>>): void =>
    writer.write(
      `${JSON.stringify({ time: new Date().toISOString(), type: `${kind}:${type}`, ...fields })}\n`,
    );
  const stateOf = (host: string) => {
    const state = hosts.get(host) ?? { totalBytes: 0, bytes: 0, toldAt: 0 };
    hosts.set(host, state);
    return state;
  };
  return {
    listener: {
      start: (host) => emit("start", { host, ...(check ? { check } : {}) }),
      total: (host, { bytes }) => {
        stateOf(host).totalBytes = bytes;
      },
      progress: (host, bytes) => {
        const state = stateOf(host);
        state.bytes += bytes;
        const now = Date.now();
        if (now - state.toldAt < PROGRESS_MS) return;
        state.toldAt = now;
        emit("progress", { host, bytes: state.bytes, totalBytes: state.totalBytes });
      },
      file: (host, { path, action, bytes, error }) =>
        emit("file", {
          host,
          path,
          action,
          bytes,
          ...(error === undefined ? {} : { error: errorOf(error) }),
        }),
      end: (result) => {
        hosts.delete(result.host);
        emit("end", fieldsOf(result));
      },
      ready: () => writer.ready(),
    },
    end: async (results, elapsedMs) => {
      const outcomes: Record<string, number> = {};
      for (const { outcome } of results) outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
      emit("total", {
        hosts: results.length,
        outcomes,
        ...sumOf(results),
        elapsedMs: Math.round(elapsedMs),
        exitCode: exitCodeOf(results),
      });
      await writer.flush();
    },
    close: () => {},
  };
}

function fieldsOf({ elapsedMs, error, ...result }: TransferResult): Readonly<Record<string, unknown>> {
  return {
    ...result,
    elapsedMs: Math.round(elapsedMs),
    ...(error === undefined ? {} : { error: errorOf(error) }),
  };
}

function errorOf({ code, message, hint }: NonNullable<TransferResult["error"]>) {
  return { code, message, ...(hint === undefined ? {} : { hint }) };
}
