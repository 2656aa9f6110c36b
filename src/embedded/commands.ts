import { type ChildProcess, spawn } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { constants } from "node:os";
import type { Readable, Writable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import type { PseudoTtyInfo, ServerChannel } from "ssh2";
import { quote } from "../core/unix/shell.ts";
import { spawnOnTerminal } from "../system/terminal-child.ts";

// Commands of sessions, with and without a terminal, and the processes that they leave behind.

/** The context of a session's command. */
export interface ExecContext {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** The user's login shell, which runs each command. */
  readonly shell: string;
  /** Text that the shell's profile prints before the command runs. */
  readonly profileOutput: string;
  readonly processes: ProcessRegistry;
  /** Aborted when the channel or its connection is gone. */
  readonly closed: AbortSignal;
}

/** A running command of a session. */
export interface RunningCommand {
  /** Send a signal, named as in RFC 4254, section 6.10, to the command's process group. */
  signal(name: string): void;
}

/**
 * Run a command, or a shell that reads commands from stdin, as sshd does without a terminal: in a process group of its
 * own. A lost connection does not kill the group; the command then reads EOF, and its writes fail.
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
    // A channel that is not read never ends.
    channel.resume();
  };
  child.stdin.on("error", discardInput).on("close", discardInput);
  channel.on("error", () => {});
  channel.pipe(child.stdin);

  // Data that has arrived is still delivered to stdin, whose end follows by itself.
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

/** Copy a process's output to its channel. */
async function pump(source: Readable, writer: ChannelWriter, stream: "stdout" | "stderr"): Promise<void> {
  try {
    for await (const chunk of source) await writer.write(chunk as Buffer, stream);
  } catch {
    // The stream was destroyed because the channel is gone.
  }
}

/** Tell the client how a process ended. */
function sendExit(channel: ServerChannel, code: number | null, signal: NodeJS.Signals | null): void {
  try {
    if (signal === null) channel.exit(code ?? 255);
    else channel.exit(signal, false, "");
  } catch {
    // RFC 4254 does not name every signal; shells report the others as 128 and more.
    if (signal !== null) channel.exit(128 + constants.signals[signal]);
  }
}

/** Return true when the process has no streams: this process has no descriptor left. */
function isWithoutStreams(child: Pick<ChildProcess, "stdin">): boolean {
  return child.stdin === undefined || child.stdin === null;
}

function isSignal(name: string): name is NodeJS.Signals {
  return name in constants.signals;
}

/** A running command on a terminal. */
export interface RunningOnTerminal extends RunningCommand {
  resize(columns: number, rows: number): void;
}

/**
 * Run a command, or an interactive shell, on a pseudo-terminal of its own. As with sshd, the kernel hangs up its
 * processes when the channel closes.
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
  // script(1) ignores SIGHUP; its terminal ends with it.
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

/** Writes to one channel, one chunk at a time. */
interface ChannelWriter {
  /** Resolve when the client's window has taken the chunk, or the channel is gone. */
  write(chunk: Buffer, stream?: "stdout" | "stderr"): Promise<void>;
}

interface StalledWrites {
  _chunk: undefined;
  _chunkcb: undefined;
  _chunkErr: undefined;
  _chunkcbErr: undefined;
}

const NOTHING_STALLED: StalledWrites = {
  _chunk: undefined,
  _chunkcb: undefined,
  _chunkErr: undefined,
  _chunkcbErr: undefined,
};

/**
 * Serialise the writes to a channel's stdout and stderr.
 *
 * ssh2 1.17 keeps a write that stalled on the window after it was sent, and repeats it when the other stream stalls
 * later; the other stream then waits forever. So only one write is in flight at a time, and its remains are cleared.
 */
export function createChannelWriter(channel: ServerChannel, closed: AbortSignal): ChannelWriter {
  let tail: Promise<void> = Promise.resolve();
  let release: (() => void) | undefined;
  // A channel that closes while its window is full never calls back.
  closed.addEventListener("abort", () => release?.(), { once: true });

  const send = (target: Writable, chunk: Buffer): Promise<void> =>
    new Promise((resolve) => {
      if (closed.aborted || !target.writable) return resolve();
      release = resolve;
      target.write(chunk, () => {
        Object.assign(channel, NOTHING_STALLED);
        resolve();
      });
    });

  return {
    write(chunk, stream = "stdout") {
      tail = tail.then(() => send(stream === "stdout" ? channel : channel.stderr, chunk));
      return tail;
    },
  };
}

/** The environment variable by which a fleet finds the processes that its sessions left behind. */
export const FLEET_VARIABLE = "VOLLEY_EMBEDDED_FLEET";

/** The processes that a fleet's sessions started. */
export interface ProcessRegistry {
  /** Remember the leader of a process group. */
  add(child: ChildProcess): void;
  /** Kill every process group and, on Linux, processes that left their group but kept their environment. */
  killAll(): Promise<void>;
}

/** Make the registry of the fleet with this id. */
export function createProcessRegistry(fleetId: string): ProcessRegistry {
  const groups = new Map<number, Promise<void>>();
  return {
    add(child) {
      const { pid } = child;
      if (pid === undefined) return;
      const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
      groups.set(pid, exited);
      // A process in the background keeps a group alive after its leader.
      void exited.then(() => !signalGroup(pid, 0) && groups.delete(pid));
    },
    async killAll() {
      const waits = [...groups].map(([pid, exited]) => {
        signalGroup(pid, "SIGKILL");
        return exited;
      });
      await Promise.race([Promise.all(waits), sleep(5_000, undefined, { ref: false })]);
      groups.clear();
      await killStrays(fleetId);
    },
  };
}

/** Send a signal to a process group; return false when the group has no process left. */
function signalGroup(leader: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(-leader, signal);
  } catch {
    return false;
  }
}

async function killStrays(fleetId: string): Promise<void> {
  for (let round = 0; round < 20; round += 1) {
    const strays = await findStrays(fleetId);
    if (strays.length === 0) return;
    for (const pid of strays) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // The process has ended meanwhile.
      }
    }
    await sleep(10);
  }
}

async function findStrays(fleetId: string): Promise<readonly number[]> {
  const entries = await readdir("/proc").catch(() => []);
  const marker = `${FLEET_VARIABLE}=${fleetId}\0`;
  const checks = entries
    .filter((entry) => /^\d+$/.test(entry) && Number(entry) !== process.pid)
    .map(async (entry) => {
      const environment = await readFile(`/proc/${entry}/environ`, "latin1").catch(() => "");
      return environment.includes(marker) ? Number(entry) : undefined;
    });
  return (await Promise.all(checks)).filter((pid) => pid !== undefined);
}
