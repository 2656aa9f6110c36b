import { type ChildProcess, spawn } from "node:child_process";
import { constants } from "node:os";
import type { Readable } from "node:stream";
import type { ServerChannel } from "ssh2";
import { type ChannelWriter, createChannelWriter } from "./channel-writer.ts";
import { type ProcessRegistry, signalGroup } from "./processes.ts";

/** What a session's command runs in. */
export interface ExecContext {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** The user's login shell, which is given each command. */
  readonly shell: string;
  /** Text that the shell's profile prints before the command runs. */
  readonly profileOutput: string;
  readonly processes: ProcessRegistry;
  /** Aborted when the channel or its connection is gone. */
  readonly closed: AbortSignal;
}

/** A command that runs for a session. */
export interface RunningCommand {
  /** Forwards a signal, named as in RFC 4254 section 6.10, to the command's process group. */
  signal(name: string): void;
}

/**
 * Runs a command (or a shell that reads commands from stdin) as sshd does without a terminal: in a process group of
 * its own, which a lost connection does not kill but which then reads EOF and can write no more.
 */
export function runCommand(
  channel: ServerChannel,
  command: string | undefined,
  context: ExecContext,
): RunningCommand {
  const writer = createChannelWriter(channel, context.closed);
  if (context.profileOutput !== "") void writer.write(Buffer.from(context.profileOutput));
  const child = spawn(context.shell, command === undefined ? [] : ["-c", command], {
    cwd: context.cwd,
    env: context.env,
    detached: true,
    stdio: "pipe",
  });
  context.processes.add(child);
  const fail = (error: Error): Promise<void> =>
    writer.write(Buffer.from(`sh: ${error.message}\n`), "stderr").then(() => channel.exit(255));
  if (isWithoutStreams(child)) {
    child.once("error", (error) => void fail(error).then(() => channel.end()));
    return { signal: () => {} };
  }

  const discardInput = (): void => {
    channel.unpipe(child.stdin);
    // The channel's end is only noticed while somebody reads it.
    channel.resume();
  };
  child.stdin.on("error", discardInput).on("close", discardInput);
  channel.on("error", () => {});
  channel.pipe(child.stdin);

  // What has arrived is still delivered to stdin, whose end follows by itself.
  const onClosed = (): void => {
    child.stdout.destroy();
    child.stderr.destroy();
  };
  if (context.closed.aborted) onClosed();
  else context.closed.addEventListener("abort", onClosed, { once: true });

  const exited = new Promise<void>((resolve) => {
    child.once("exit", (code, signal) => {
      sendExit(channel, code, signal);
      resolve();
    });
    child.once("error", (error) => resolve(fail(error)));
  });
  // sshd, too, keeps a channel open while a background process holds its output.
  const outputs = [pump(child.stdout, writer, "stdout"), pump(child.stderr, writer, "stderr")];
  void Promise.all([exited, ...outputs]).then(() => channel.end());

  return {
    signal(name) {
      const signal = `SIG${name.replace(/^SIG/, "")}`;
      if (child.pid !== undefined && isSignal(signal)) signalGroup(child.pid, signal);
    },
  };
}

/** Copies what a process prints to its channel. */
export async function pump(
  source: Readable,
  writer: ChannelWriter,
  stream: "stdout" | "stderr",
): Promise<void> {
  try {
    for await (const chunk of source) await writer.write(chunk as Buffer, stream);
  } catch {
    // Destroyed because the channel is gone: nobody is left to tell.
  }
}

/** Tells the client how a process ended. */
export function sendExit(channel: ServerChannel, code: number | null, signal: NodeJS.Signals | null): void {
  try {
    if (signal === null) channel.exit(code ?? 255);
    else channel.exit(signal, false, "");
  } catch {
    // RFC 4254 has no name for every signal; shells report those as 128 and more.
    if (signal !== null) channel.exit(128 + constants.signals[signal]);
  }
}

/** Whether the process's streams could not be made, as when this process has no descriptor left. */
function isWithoutStreams(child: Pick<ChildProcess, "stdin">): boolean {
  return child.stdin === undefined || child.stdin === null;
}

function isSignal(name: string): name is NodeJS.Signals {
  return name in constants.signals;
}
