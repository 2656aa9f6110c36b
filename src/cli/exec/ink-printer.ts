import { StringDecoder } from "node:string_decoder";
import type { Event, TaskRef } from "../../core/events.ts";
import { EMPTY_TALLY } from "../../core/result.ts";
import { outcomeOf } from "../../fanout/exec/fan-out.ts";
import { openLiveView } from "../../reporter/ink/live-view.tsx";
import { onSignals } from "../terminal.ts";
import { describeEnd, type ExecPrinter, type ExecPrinterOptions, printStatus, reasonOf } from "./printer.ts";

/** Options of the live view. */
export interface InkPrinterOptions extends ExecPrinterOptions {
  /** The command to show. */
  readonly title: string;
  readonly endpoints: ReadonlyMap<
    string,
    { readonly address: string; readonly port: number; readonly user: string }
  >;
  /** Called for Ctrl-C, which is no signal on a terminal in raw mode. */
  onCancel(): void;
}

type Untimed<Type> = Type extends unknown ? Omit<Type, "seq" | "time"> : never;

/**
 * Show hosts as rows, and a host's output on Enter: the screen of `volley run`, with the command as the one task of
 * every host. The screen stays until the user leaves it.
 */
export function createInkPrinter(options: InkPrinterOptions): ExecPrinter {
  const { title, hosts, endpoints, symbols, stdout, onCancel } = options;
  const task: TaskRef = { task: 1, play: title, role: "", name: title, action: "" };
  const begun = new Set<string>();
  const decoders = new Map<string, StringDecoder>();
  let seq = 0;
  let crashed: unknown;
  const live = openLiveView({
    stdout: process.stdout,
    ...(process.stdin.isTTY === true ? { stdin: process.stdin } : {}),
    symbols,
    colors: stdout.colors,
    hold: true,
    kind: "command",
    onCancel,
    onCrash: (error) => {
      crashed = error;
    },
  });
  const tell = (event: Untimed<Event>): void =>
    live.apply({ ...event, seq: ++seq, time: Date.now() } as Event);
  const begin = (host: string): void => {
    if (begun.has(host)) return;
    begun.add(host);
    tell({ type: "play:start", host, hostSeq: 0, index: 0, play: title, total: 1 });
    tell({ type: "task:start", host, hostSeq: 0, ...task });
  };
  const decode = (host: string, stream: "stdout" | "stderr", chunk: Buffer): string => {
    const key = `${stream} ${host}`;
    const decoder = decoders.get(key) ?? new StringDecoder("utf8");
    decoders.set(key, decoder);
    return decoder.write(chunk);
  };
  tell({
    type: "run:start",
    run: "",
    playbook: title,
    hosts,
    plays: [],
    check: false,
    concurrency: hosts.length,
  });
  return {
    listener: {
      start: (host) => tell({ type: "host:connect", host, ...endpoints.get(host)! }),
      output: (host, stream, chunk) => {
        begin(host);
        tell({ type: "task:output", host, hostSeq: 0, task: 1, stream, text: decode(host, stream, chunk) });
        return undefined;
      },
      end: (result) => {
        const { host, exit, elapsedMs } = result;
        const outcome = outcomeOf(result.outcome);
        const reason = reasonOf(result);
        const how = describeEnd(result);
        // The screen says of a host itself that it is unreachable.
        const said = reason === "" ? how : how === outcome ? reason : `${how}: ${reason}`;
        const error =
          outcome === "ok" ? undefined : { code: result.error?.code ?? "ACTION_FAILED", message: said };
        if (exit !== undefined) {
          begin(host);
          const ended =
            error === undefined ? { state: "unchanged" as const } : { state: "failed" as const, error };
          tell({ type: "task:end", host, hostSeq: 0, ...task, result: ended, elapsedMs });
        }
        const state = exit === undefined ? undefined : error === undefined ? "unchanged" : "failed";
        tell({
          type: "host:end",
          host,
          outcome,
          tally: state === undefined ? EMPTY_TALLY : { ...EMPTY_TALLY, [state]: 1 },
          elapsedMs,
          phases: {},
          uploadedBytes: 0,
          ...(error === undefined ? {} : { error }),
        });
        return undefined;
      },
    },
    end: async (results, elapsedMs) => {
      tell({ type: "run:end", summary: undefined as never });
      // Ctrl-C is a key here; a signal leaves the screen, too.
      let release = (): void => {};
      const signalled = new Promise<"leave">((resolve) => {
        release = onSignals(() => resolve("leave"));
      });
      const choice = await Promise.race([live.left(), signalled]);
      release();
      await live.close();
      if (crashed !== undefined) stdout.writer.write(`the terminal UI failed: ${String(crashed)}\n`);
      await printStatus(options, results, elapsedMs);
      return choice === "shell" ? "shell" : undefined;
    },
    close: () => live.close(),
  };
}
