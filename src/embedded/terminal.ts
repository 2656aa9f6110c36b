import type { PseudoTtyInfo, ServerChannel } from "ssh2";
import { quote } from "../core/shell-quote.ts";
import { spawnOnTerminal } from "../system/terminal-child.ts";
import { createChannelWriter } from "./channel-writer.ts";
import { type ExecContext, pump, type RunningCommand, sendExit } from "./exec.ts";

/** A command that runs on a terminal. */
export interface RunningOnTerminal extends RunningCommand {
  resize(columns: number, rows: number): void;
}

/**
 * Runs a command, or an interactive shell, on a pseudo-terminal of its own; as with sshd, what runs
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
  const { child, stdin, stdout, stderr, resize } = spawnOnTerminal(`exec ${run}`, {
    columns: cols,
    rows,
    cwd: context.cwd,
    env: { ...context.env, TERM: term },
  });
  context.processes.add(child);
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
  return { signal: () => {}, resize };
}
