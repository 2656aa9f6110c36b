import { Duplex, type Readable, type Writable } from "node:stream";
import { VolleyError } from "../core/errors.ts";
import type { Secret } from "../core/secret.ts";
import type { Become } from "../core/unix/users.ts";
import { startAs } from "../fanout/exec/fan-out.ts";
import { streamingScript } from "../fanout/exec/remote-command.ts";
import { loginLine } from "../fanout/shell/host-session.ts";
import type { Connection, RemoteExit, RemoteProcess, TerminalSize } from "../transport/transport.ts";
import { type Command, commandOf, openEnvironment } from "./exec.ts";
import { becomeOn, type Core, type Member } from "./members.ts";
import { anyOf } from "./signals.ts";

// The streams of one host: a command whose streams are the program's own, and a terminal.

/** The end of a command or a shell. */
export interface HostExit {
  /** Undefined where a signal ended it, or the connection went. */
  readonly code: number | undefined;
  /** Such as `TERM`. */
  readonly signal: string | undefined;
  /** Why the end is not known: the connection went, or was closed. */
  readonly lost: string | undefined;
}

/** Options of {@link start}. */
export interface StartOptions {
  /** As of `exec`. */
  readonly become?: boolean | string;
  readonly env?: Readonly<Record<string, string | Secret>>;
  readonly cwd?: string;
  /** Its abort ends the command: TERM, and KILL 5 s later. */
  readonly signal?: AbortSignal;
}

/** A command on one host, and its streams. Nothing of them is masked. */
export interface HostProcess extends AsyncDisposable {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Resolves once the command has ended and its streams were read; never rejects. */
  readonly exit: Promise<HostExit>;
  /** Send a signal to the command and the processes of its group. Default `TERM`. */
  kill(signal?: string): Promise<void>;
}

/** Time from TERM to KILL. */
const END_MS = 5_000;
/** Time for a host to take a signal when nobody waits for the command any more. */
const SEND_MS = 5_000;

/**
 * Start a command on a host. Its end of input is the command's. Closing the fleet ends it, as disposing of it does. Fails
 * as connecting does, and with `BECOME_FAILED`.
 */
export async function start(
  member: Member,
  core: Core,
  command: Command,
  options: StartOptions = {},
): Promise<HostProcess> {
  const starting = startProcess(member, core, command, options);
  const finish = async (): Promise<void> => {
    const started = await starting.catch(() => undefined);
    await started?.[Symbol.asyncDispose]();
  };
  const forget = (): void => void core.endings.delete(finish);
  core.endings.add(finish);
  starting.then(({ exit }) => exit.then(forget), forget);
  return await starting;
}

async function startProcess(
  member: Member,
  core: Core,
  command: Command,
  options: StartOptions,
): Promise<HostProcess> {
  const signal = anyOf(options.signal, core.closing);
  const become = becomeOn(member, options.become, core.become);
  const env = await openEnvironment(options.env, core);
  const { script, preamble } = streamingScript(commandOf(command), { env, directory: options.cwd });
  const connection = await member.transport.connect(member.endpoint, signal);
  try {
    const process = await startAs(connection, script, startsAs(member, become, signal));
    // Writing to a command that has gone is no fault of the program: `exit` tells the end.
    for (const stream of [process.stdin, process.stdout, process.stderr]) stream.on("error", () => {});
    process.stdin.write(preamble);
    const ids = await Promise.race([readFirstLine(process.stderr), process.exit.then(() => "")]);
    const [, pid, group] = /^(\d+) (\d+)$/.exec(ids) ?? [];
    return hostProcess(
      connection,
      process,
      async (name) => {
        if (pid === undefined) return;
        // The fleet may be closing: this is how.
        const never = new AbortController().signal;
        const line = `kill -${name} -${group} 2>/dev/null || kill -${name} ${pid} 2>/dev/null; exit 0`;
        const killer = await startAs(connection, line, startsAs(member, become, never));
        killer.stdout.resume();
        killer.stderr.resume();
        await killer.exit;
      },
      signal,
    );
  } catch (thrown) {
    connection.close();
    throw thrown;
  }
}

function startsAs(member: Member, become: Become | null, signal: AbortSignal): Parameters<typeof startAs>[2] {
  return { host: member.name, login: member.endpoint.user, become, signal };
}

function hostProcess(
  connection: Connection,
  { stdin, stdout, stderr, exit: ended }: RemoteProcess,
  send: (name: string) => Promise<void>,
  signal: AbortSignal,
): HostProcess {
  let isOver = false;
  const exit = ended.then((how) => {
    isOver = true;
    signal.removeEventListener("abort", onAbort);
    connection.close();
    return exitOf(how);
  });
  /** Resolves with false when the host did not take the signal in time. */
  const sendSoon = (name: string): Promise<boolean> =>
    within(
      SEND_MS,
      send(name).catch(() => {}),
    );
  const terminate = async (): Promise<void> => {
    const isSent = await sendSoon("TERM");
    // Output that nobody reads would keep the end from being seen.
    for (const stream of [stdout, stderr]) if (stream.readableFlowing === null) stream.resume();
    const gone = Promise.race([ended, connection.closed]);
    if (isSent && !(await within(END_MS, gone))) await sendSoon("KILL");
    connection.close();
    await exit;
  };
  let ending: Promise<void> | undefined;
  const end = (): Promise<void> => {
    if (isOver) return Promise.resolve();
    ending ??= terminate();
    return ending;
  };
  const onAbort = (): void => void end();
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  return {
    ...{ stdin, stdout, stderr, exit },
    kill: async (name = "TERM") => {
      if (!/^[A-Z0-9]+$/.test(name)) throw new VolleyError("USAGE", `"${name}" is no signal`);
      if (!isOver) await send(name);
    },
    [Symbol.asyncDispose]: end,
  };
}

/** Wait for a promise; false when it did not settle in time. */
async function within(ms: number, promise: Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(resolve, ms, false);
  });
  const settled = await Promise.race([promise.then(() => true), late]);
  clearTimeout(timer);
  return settled;
}

/** Options of {@link openShell}. */
export interface ShellOptions extends Partial<TerminalSize> {
  /** `$TERM`. Default `xterm-256color`. */
  readonly term?: string;
  /** The user to become, by a login of sudo, doas or su that may ask for a password on the terminal. */
  readonly become?: boolean | string;
  /** Its abort closes the terminal. */
  readonly signal?: AbortSignal;
}

type Written = (error: Error | null | undefined) => void;

/** A login shell on a terminal of the host: what is written is typed, and what is read is shown. */
export class HostShell extends Duplex {
  /** Resolves once the shell has ended; never rejects. */
  readonly exit: Promise<HostExit>;
  readonly #process: RemoteProcess;
  readonly #connection: Connection;
  #isOver = false;

  constructor(connection: Connection, process: RemoteProcess) {
    // A shell still prints after the end of its input.
    super({ allowHalfOpen: true });
    this.#connection = connection;
    this.#process = process;
    const { stdin, stdout, exit } = process;
    stdin.on("error", () => {});
    stdout.on("data", (chunk: Buffer) => {
      if (!this.push(chunk)) stdout.pause();
    });
    const finish = (): void => {
      if (this.#isOver) return;
      this.#isOver = true;
      this.push(null);
    };
    stdout.once("end", finish).once("close", finish).on("error", finish);
    this.exit = exit.then((how) => {
      finish();
      this.end();
      connection.close();
      return exitOf(how);
    });
  }

  /** Tell the size of the terminal, in cells. */
  resize({ columns, rows }: TerminalSize): void {
    this.#process.resize?.(columns, rows);
  }

  /** Write what is typed. For a shell that has ended it is lost: that is no error, and `exit` tells the end. */
  override write(chunk: unknown, encoding?: BufferEncoding | Written, done?: Written): boolean {
    const written = typeof encoding === "function" ? encoding : done;
    if (!this.#isOver)
      return typeof encoding === "function" || encoding === undefined
        ? super.write(chunk, written)
        : super.write(chunk, encoding, written);
    if (written !== undefined) process.nextTick(written);
    return false;
  }

  override _read(): void {
    this.#process.stdout.resume();
  }

  override _write(chunk: Buffer, encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    const { stdin } = this.#process;
    // Keys for a shell that has ended are lost: that is no error.
    if (!stdin.writable || stdin.write(chunk, encoding)) return done();
    const go = (): void => {
      stdin.off("drain", go).off("close", go);
      done();
    };
    stdin.once("drain", go).once("close", go);
  }

  override _final(done: () => void): void {
    this.#process.stdin.end();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#connection.close();
    void this.exit.then(() => done(error));
  }
}

/** Open a login shell on a terminal of a host; 80 columns and 24 rows by default. Fails as connecting does. */
export async function openShell(member: Member, core: Core, options: ShellOptions = {}): Promise<HostShell> {
  const { columns = 80, rows = 24, term = "xterm-256color" } = options;
  const signal = anyOf(options.signal, core.closing);
  const become = becomeOn(member, options.become, core.become);
  const connection = await member.transport.connect(member.endpoint, signal);
  try {
    const pty = { columns, rows, term, resizable: true };
    const shell = new HostShell(connection, await connection.exec(loginLine(become), signal, { pty }));
    const close = (): void => void shell.destroy();
    signal.addEventListener("abort", close, { once: true });
    if (signal.aborted) close();
    void shell.exit.then(() => signal.removeEventListener("abort", close));
    return shell;
  } catch (thrown) {
    connection.close();
    throw thrown;
  }
}

function exitOf(how: RemoteExit): HostExit {
  return {
    code: how.kind === "exited" ? how.code : undefined,
    signal: how.kind === "signalled" ? how.signal.replace(/^SIG/, "") : undefined,
    lost: how.kind === "lost" ? how.reason : undefined,
  };
}

/** Take the first line off a stream, and leave the rest to its reader. */
function readFirstLine(stream: Readable): Promise<string> {
  return new Promise((resolve) => {
    let seen = Buffer.alloc(0);
    const stop = (line: string): void => {
      stream.off("readable", onReadable).off("end", onEnd);
      resolve(line);
    };
    const onEnd = (): void => stop("");
    const onReadable = (): void => {
      for (let chunk = stream.read(); chunk !== null; chunk = stream.read()) {
        seen = Buffer.concat([seen, chunk as Buffer]);
        const at = seen.indexOf(10);
        if (at < 0) continue;
        const rest = seen.subarray(at + 1);
        if (rest.length > 0) stream.unshift(rest);
        return stop(seen.toString("latin1", 0, at));
      }
    };
    stream.on("readable", onReadable).on("end", onEnd);
  });
}
