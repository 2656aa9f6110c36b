import { setTimeout as sleep } from "node:timers/promises";
import { describeError, isVolleyError } from "../../core/errors.ts";
import { commandLine, quote } from "../../core/unix/shell.ts";
import type { Become } from "../../core/unix/users.ts";
import type { Connection, RemoteProcess, TerminalSize } from "../../transport/transport.ts";
import { describeSignal, type FanOutHost, follow, withoutName } from "../exec/fan-out.ts";

/** The state of a host's session. */
export type SessionState =
  | { readonly kind: "waiting" }
  | { readonly kind: "connecting" }
  | { readonly kind: "open" }
  /** The shell ended. */
  | { readonly kind: "ended"; readonly how: string }
  /** The host was unreachable, or the connection was lost. */
  | { readonly kind: "dropped"; readonly reason: string };

/** A login shell on one host. */
export interface HostSession {
  readonly state: SessionState;
  /** Written bytes that the connection has not taken yet. */
  readonly pendingBytes: number;
  /** Connect and start the shell, unless open; resolves once it is open or has failed. */
  open(size: TerminalSize): Promise<void>;
  write(bytes: Buffer | string): void;
  resize(size: TerminalSize): void;
  /** Close the session; resolves when the connection is closed. */
  close(): Promise<void>;
}

/** Receives events of a session. */
export interface SessionListener {
  changed(): void;
  /** Take output; no more is read until the promise settles. */
  output(chunk: Buffer): Promise<void>;
}

/** The type of the emulator's terminal. */
const TERM = "xterm-256color";
const CLOSING_MS = 100;
/** Limit of typed bytes kept for a host that does not read them. */
const MAX_PENDING_BYTES = 4 * 1024 * 1024;

/** Make a session, which is not open yet; `signal` cancels connecting. */
export function createHostSession(
  host: FanOutHost,
  listener: SessionListener,
  signal: AbortSignal,
): HostSession {
  let state: SessionState = { kind: "waiting" };
  let connection: Connection | undefined;
  let process: RemoteProcess | undefined;
  let wantedSize: TerminalSize = { columns: 80, rows: 24 };
  const become = (next: SessionState): void => {
    state = next;
    listener.changed();
  };
  const end = (next: SessionState): void => {
    process = undefined;
    const closing = connection;
    connection = undefined;
    closing?.close();
    become(next);
  };
  const attend = async (running: RemoteProcess, over: Connection): Promise<void> => {
    const read = Promise.all(
      [running.stdout, running.stderr].map((stream) => follow(stream, listener.output)),
    );
    const exit = await running.exit;
    // Show its last output first.
    await Promise.race([read, over.closed]);
    if (connection !== over) return;
    // The reason of a lost connection is known shortly after the shell's end.
    const reason = await Promise.race([over.closed, sleep(CLOSING_MS)]);
    if (connection !== over) return;
    if (exit.kind === "lost") return end({ kind: "dropped", reason: reason ?? "the connection is gone" });
    const how = exit.kind === "exited" ? `exit ${exit.code}` : describeSignal(exit.signal);
    end({ kind: "ended", how });
  };
  return {
    get state() {
      return state;
    },
    get pendingBytes() {
      return process?.stdin.writableLength ?? 0;
    },
    open: async (size) => {
      if (state.kind === "open" || state.kind === "connecting") return;
      wantedSize = size;
      become({ kind: "connecting" });
      try {
        connection = await host.transport.connect(host.endpoint, signal);
        process = await connection.exec(loginLine(host.become), signal, {
          pty: { columns: size.columns, rows: size.rows, term: TERM, resizable: true },
        });
      } catch (thrown) {
        const isCancelled = isVolleyError(thrown) && thrown.code === "CANCELLED";
        end({ kind: "dropped", reason: isCancelled ? "cancelled" : reasonOf(host.name, thrown) });
        return;
      }
      // The size may have changed while connecting.
      if (wantedSize !== size) process.resize?.(wantedSize.columns, wantedSize.rows);
      become({ kind: "open" });
      void attend(process, connection);
    },
    write: (bytes) => {
      if (process === undefined || state.kind !== "open" || !process.stdin.writable) return;
      process.stdin.write(bytes);
      if (process.stdin.writableLength > MAX_PENDING_BYTES)
        end({ kind: "dropped", reason: "it does not read what is typed" });
    },
    resize: (size) => {
      wantedSize = size;
      process?.resize?.(size.columns, size.rows);
    },
    close: async () => {
      const closing = connection;
      if (closing === undefined) return;
      connection = undefined;
      process = undefined;
      closing.close();
      await closing.closed;
    },
  };
}

/** Return the command of the login shell. On its terminal sudo, doas or su may ask for a password, which the user types on all hosts at once. */
export function loginLine(become: Become | null): string | undefined {
  if (become === null) return undefined;
  const { user, method, exe = method, flags = [] } = become;
  const program = commandLine(["exec", exe, ...flags]);
  switch (method) {
    case "sudo":
      return `${program} -H -u ${quote(user)} -i`;
    case "doas":
      return `${program} -u ${quote(user)} -s`;
    case "su":
      return `${program} - ${quote(user)}`;
  }
}

/** Return the first line of an error, without the host's name: the pane's title shows it already. */
function reasonOf(host: string, thrown: unknown): string {
  return withoutName(host, describeError(thrown).split("\n")[0]!);
}
