import { spawn } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import type { PseudoTtyInfo, ServerChannel } from "ssh2";
import { quote } from "../core/shell-quote.ts";
import { createChannelWriter } from "./channel-writer.ts";
import { type ExecContext, pump, type RunningCommand, sendExit } from "./exec.ts";

/** A command that runs on a terminal. */
export interface RunningOnTerminal extends RunningCommand {
  resize(columns: number, rows: number): void;
}

/**
 * Runs a command, or an interactive shell, on a pseudo-terminal made by util-linux's `script`; as with sshd, what runs
 * there is hung up on when the channel goes.
 */
export function runOnTerminal(
  channel: ServerChannel,
  command: string | undefined,
  { cols, rows, term }: Pick<PseudoTtyInfo, "cols" | "rows"> & { readonly term: string },
  context: ExecContext,
): RunningOnTerminal {
  const writer = createChannelWriter(channel, context.closed);
  const run = command === undefined ? `${context.shell} -i` : `${context.shell} -c ${quote(command)}`;
  const line = `stty cols ${cols} rows ${rows}; tty >&3; exec 3>&-; exec ${run}`;
  const child = spawn("script", ["-qfec", line, "/dev/null"], {
    cwd: context.cwd,
    env: { ...context.env, SHELL: "/bin/sh", TERM: term },
    detached: true,
    stdio: ["pipe", "pipe", "pipe", "pipe"],
  });
  context.processes.add(child);
  const [stdin, stdout, stderr, namePipe] = child.stdio as unknown as [
    Writable,
    Readable,
    Readable,
    Readable,
  ];
  let name = "";
  namePipe
    .on("error", () => {})
    .on("data", (chunk: Buffer) => {
      name += chunk.toString("latin1");
    });
  stdin.on("error", () => channel.resume());
  channel.on("error", () => {});
  channel.pipe(stdin);
  // script does not end at a HUP; its terminal ends with it.
  const hangUp = (): void => void child.kill("SIGKILL");
  if (context.closed.aborted) hangUp();
  else context.closed.addEventListener("abort", hangUp, { once: true });
  const exited = new Promise<void>((resolve) => {
    child.once("exit", (code, signal) => {
      sendExit(channel, code, signal);
      resolve();
    });
    child.once("error", (error) => {
      void writer.write(Buffer.from(`script: ${error.message}\r\n`)).then(() => {
        channel.exit(255);
        resolve();
      });
    });
  });
  const outputs = [pump(stdout, writer, "stdout"), pump(stderr, writer, "stdout")];
  void Promise.all([exited, ...outputs]).then(() => channel.end());
  return {
    signal: () => {},
    resize: (columns, lines) => {
      if (!name.endsWith("\n")) return;
      const args = ["-F", name.trim(), "cols", String(columns), "rows", String(lines)];
      spawn("stty", args, { stdio: "ignore" }).on("error", () => {});
    },
  };
}
