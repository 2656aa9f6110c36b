import { posix } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Client, ClientChannel } from "ssh2";
import { isVolleyError, VolleyError } from "../../core/errors.ts";
import { loginShellLine } from "../../core/unix/shell.ts";
import { orAborted, sessionRefused } from "../connect-errors.ts";
import { closeWhenSilent } from "../left-open.ts";
import { OPEN, STATUS } from "../sftp/codec.ts";
import {
  NO_SUBSYSTEM_HINT,
  type OpenFileSessionOptions,
  openFileSession,
} from "../sftp/open-file-session.ts";
import { SftpError } from "../sftp/requests.ts";
import type {
  Connection,
  Endpoint,
  ExecOptions,
  FileHandle,
  FileSession,
  RemoteExit,
  RemoteProcess,
  UploadOptions,
} from "../transport.ts";

const CLOSING_MS = 100;

/** Make a Connection of an ssh2 client that has logged in. */
export function createSshConnection(
  client: Client,
  { host, ssh }: Endpoint,
  timings: Connection["timings"],
): Connection {
  const env = ssh?.environment ?? {};
  let reason: string | undefined;
  let closedHere = false;
  let uploadSession: Promise<FileSession> | undefined;
  let uploads = 0;
  client.on("error", (error: Error) => {
    reason ??= error.message;
  });
  const closed = new Promise<string | undefined>((resolve) => {
    client.once("close", () =>
      resolve(closedHere ? undefined : (reason ?? "the connection was closed by the host")),
    );
  });
  // When the connection is lost, ssh2 never calls back pending operations.
  const orLost = async <T>(what: string, operation: Promise<T>): Promise<T> => {
    const lost = closed.then((why) => {
      throw new VolleyError(
        "CONNECTION_LOST",
        `${host}: the connection went while ${what}${why === undefined ? "" : `: ${why}`}`,
      );
    });
    try {
      return await Promise.race([operation, lost]);
    } catch (thrown) {
      // An operation may fail a moment before the loss of the connection is known.
      if (!isCancelled(thrown)) await Promise.race([lost, sleep(CLOSING_MS)]);
      throw thrown;
    }
  };
  /** Close the session for uploads when it is idle; return whether there was one. */
  const freeUploadSession = async (): Promise<boolean> => {
    if (uploadSession === undefined || uploads > 0) return false;
    const opened = await uploadSession.catch(() => undefined);
    // An upload may have begun meanwhile.
    if (opened === undefined || uploads > 0) return false;
    uploadSession = undefined;
    opened.close();
    await Promise.race([opened.closed, closed]);
    return true;
  };
  const opener = createOpener(freeUploadSession);
  const openUploadSession = (): Promise<FileSession> => {
    if (uploadSession !== undefined) return uploadSession;
    const forget = (): void => {
      if (uploadSession === opening) uploadSession = undefined;
    };
    // Not an upload's signal: the next upload uses the same session.
    const { signal } = new AbortController();
    const open = (): Promise<FileSession> => openFiles(client, { host, signal, awaitsLimits: false }, closed);
    const opening = opener.open(open, { frees: false });
    opening.then((session) => session.closed.then(forget), forget);
    uploadSession = opening;
    return opening;
  };
  const upload = async (bytes: Buffer, path: string, options: UploadOptions): Promise<void> => {
    uploads++;
    try {
      const session = await orLost("opening SFTP", openUploadSession().catch(asUploadError));
      await sendFile(session, host, bytes, path, options);
    } finally {
      uploads--;
    }
  };
  const exec: Connection["exec"] = async (command, signal, options = {}) => {
    const { onlySpare = false, ...terminal } = options;
    const open = (): Promise<RemoteProcess> =>
      execute(client, host, command, { ...terminal, env, signal, closed });
    const process = onlySpare ? await open() : await opener.open(open);
    void process.exit.then(opener.freed);
    return process;
  };
  const files: Connection["files"] = async (signal) => {
    const session = await opener.open(() => openFiles(client, { host, signal }, closed));
    void session.closed.then(opener.freed);
    return session;
  };

  return {
    closed,
    timings,
    exec: (command, signal, options) => orLost("starting a command", exec(command, signal, options)),
    upload: (bytes, path, options) => orLost("sending a file", upload(bytes, path, options)),
    // The upload reports the error.
    expectUpload: async () => void (await openUploadSession().catch(() => {})),
    files: (signal) => orLost("opening SFTP", files(signal)),
    forward: (address, port) =>
      orLost(
        "opening a port",
        new Promise((resolve, reject) => {
          client.forwardOut("127.0.0.1", 0, address, port, (error, channel) => {
            if (error === undefined || error === null) resolve(channel);
            else reject(error);
          });
        }),
      ),
    close: () => {
      closedHere = true;
      client.end();
      // end() waits for the other side, which may not answer.
      setTimeout(() => client.destroy(), 1_000).unref();
    },
  };
}

/** Rethrow the error of a host without SFTP as one of the upload. */
function asUploadError(thrown: unknown): never {
  if (!isVolleyError(thrown) || thrown.code !== "SFTP_UNAVAILABLE") throw thrown;
  throw new VolleyError("UPLOAD_FAILED", thrown.message, {
    cause: thrown,
    ...(thrown.hint === undefined ? {} : { hint: thrown.hint }),
  });
}

function isCancelled(thrown: unknown): boolean {
  return isVolleyError(thrown) && thrown.code === "CANCELLED";
}

function execute(
  client: Client,
  host: string,
  command: string | undefined,
  {
    pty,
    env,
    signal,
    closed,
  }: ExecOptions & {
    readonly env: Readonly<Record<string, string>>;
    readonly signal: AbortSignal;
    readonly closed: Promise<string | undefined>;
  },
): Promise<RemoteProcess> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(new VolleyError("CANCELLED", "cancelled before it started"));
    const term = pty?.term ?? process.env.TERM ?? "xterm";
    const terminal = pty === undefined ? undefined : { cols: pty.columns, rows: pty.rows, term };
    const onChannel = (error: Error | undefined | null, channel: ClientChannel): void => {
      if (isRefused(error)) return reject(sessionRefused(host, error));
      if (error !== undefined && error !== null) {
        return reject(
          new VolleyError("CONNECT_FAILED", `${host} would not run a command: ${error.message}`, {
            cause: error,
          }),
        );
      }
      resolve({
        ...processOf(channel, closed),
        ...(pty?.resizable !== true
          ? {}
          : { resize: (columns: number, rows: number) => channel.setWindow(rows, columns, 0, 0) }),
      });
    };
    if (command === undefined) client.shell(terminal ?? false, { env }, onChannel);
    else {
      const options = { env, ...(terminal === undefined ? {} : { pty: terminal }) };
      client.exec(loginShellLine(command), options, onChannel);
    }
  });
}

/** Open a channel for the subsystem (RFC 4254, section 6.5). */
async function openFiles(
  client: Client,
  options: OpenFileSessionOptions,
  closed: Promise<string | undefined>,
): Promise<FileSession> {
  const { host, signal } = options;
  if (signal.aborted) throw new VolleyError("CANCELLED", "cancelled before it started");
  const server = await new Promise<RemoteProcess>((resolve, reject) => {
    client.subsys("sftp", (error, channel) => {
      if (isRefused(error)) return reject(sessionRefused(host, error));
      if (error !== undefined && error !== null) {
        return reject(
          new VolleyError("SFTP_UNAVAILABLE", `${host} has no SFTP: ${error.message}`, {
            cause: error,
            hint: NO_SUBSYSTEM_HINT,
          }),
        );
      }
      resolve(processOf(channel, closed));
    });
  });
  return await openFileSession(server, options);
}

function processOf(channel: ClientChannel, closed: Promise<string | undefined>): RemoteProcess {
  const { stdin, stderr } = channel;
  return { stdin, stdout: channel, stderr, exit: exitOf(channel, closed) };
}

function exitOf(channel: ClientChannel, closed: Promise<string | undefined>): Promise<RemoteExit> {
  return new Promise((resolve) => {
    let told: RemoteExit | undefined;
    channel.once("exit", (code: number | null, signal?: string) => {
      told = code === null ? { kind: "signalled", signal: signal ?? "unknown" } : { kind: "exited", code };
      closeWhenSilent([channel, channel.stderr], () => channel.close());
    });
    // A failed write to an ended process is no error: `exit` reports the end.
    channel.stdin.on("error", () => {});
    channel.once("close", () =>
      resolve(told ?? { kind: "lost", reason: "the connection went before the process ended" }),
    );
    void closed.then((reason) =>
      resolve(told ?? { kind: "lost", reason: reason ?? "the connection was closed" }),
    );
  });
}

/** Time for sshd to free the place of a session that both ends have closed, in milliseconds. */
const FREED_MS = 1_000;
const FIRST_PAUSE_MS = 5;
const LONGEST_PAUSE_MS = 200;

/** Options for opening a session. */
interface OpenOptions {
  /** Free the idle upload session for this one. Default: true; false for the upload session itself. */
  readonly frees?: boolean;
}

/** The opener of a connection's sessions. */
interface Opener {
  /** Open a session. After a refusal, retry where another session was just closed or can be freed. */
  open<T>(attempt: () => Promise<T>, options?: OpenOptions): Promise<T>;
  /** Report that a session was closed. */
  freed(): void;
}

/** Make an {@link Opener}; `free` closes an idle session and returns whether there was one. */
function createOpener(free: () => Promise<boolean>): Opener {
  let freedAt = Number.NEGATIVE_INFINITY;
  return {
    freed: () => {
      freedAt = performance.now();
    },
    open: async (attempt, { frees = true } = {}) => {
      for (let wait = FIRST_PAUSE_MS; ; wait = Math.min(2 * wait, LONGEST_PAUSE_MS)) {
        try {
          return await attempt();
        } catch (thrown) {
          if (!isVolleyError(thrown) || thrown.code !== "SESSION_REFUSED") throw thrown;
          if (frees && (await free())) freedAt = performance.now();
          else if (performance.now() - freedAt > FREED_MS) throw thrown;
          else await sleep(wait);
        }
      }
    },
  };
}

/** Return true when the server refused to open a channel (RFC 4254, section 5.1); a command that cannot run is another error. */
function isRefused(error: Error | null | undefined): boolean {
  return error instanceof Error && typeof (error as { readonly reason?: unknown }).reason === "number";
}

/** Large writes cost less than many small ones; a server may allow less. */
const CHUNK_BYTES = 128 << 10;
/** OpenSSH's window of a channel: more is never in flight. */
const IN_FLIGHT_BYTES = 2 << 20;

/**
 * Write a new file with many writes in flight, so that the time depends on bandwidth and not on distance. Fails with
 * `UPLOAD_FAILED` or `CANCELLED`.
 */
async function sendFile(
  session: FileSession,
  host: string,
  bytes: Buffer,
  path: string,
  options: UploadOptions,
): Promise<void> {
  const { mode, resumes = false, signal } = options;
  const cancelled = (): VolleyError => new VolleyError("CANCELLED", `${host}: sending was cancelled`);
  const send = async (): Promise<void> => {
    // Exclusive: a file or link that another user planted under this name is refused, not followed.
    const exclusive = resumes ? 0 : OPEN.exclusive;
    const handle = await session.open(path, OPEN.write | OPEN.create | exclusive, { mode });
    await writeAll(session, handle, bytes, resumes ? await lengthThere(session, handle, bytes) : 0, options);
  };
  try {
    await orAborted(send(), signal, cancelled);
  } catch (thrown) {
    if (isVolleyError(thrown) && thrown.code === "CANCELLED") throw thrown;
    const why = thrown instanceof SftpError ? reasonOf(thrown) : (thrown as Error).message;
    const directory = posix.dirname(path);
    const message = `${host}: cannot write in ${posix.isAbsolute(path) ? "" : "~/"}${directory}: ${why}`;
    throw new VolleyError("UPLOAD_FAILED", message, { cause: thrown });
  }
}

/** Return the number of bytes that need not be sent again. A file that is longer than the whole is emptied. */
async function lengthThere(session: FileSession, handle: FileHandle, bytes: Buffer): Promise<number> {
  const { size = 0 } = await session.fstat(handle);
  if (size <= bytes.length) return size;
  await session.fsetstat(handle, { size: 0 });
  return 0;
}

async function writeAll(
  session: FileSession,
  handle: FileHandle,
  bytes: Buffer,
  from: number,
  { onProgress, signal }: UploadOptions,
): Promise<void> {
  const chunkBytes = Math.min(CHUNK_BYTES, session.maxWriteBytes);
  let sent = from;
  let arrived = from;
  let isStopped = false;
  let closed: Promise<void> | undefined;
  const sendChunks = async (): Promise<void> => {
    while (sent < bytes.length && !isStopped && !signal.aborted) {
      const at = sent;
      const chunk = bytes.subarray(at, at + chunkBytes);
      sent += chunk.length;
      const written = session.write(handle, at, chunk);
      // Sent right after the last write: answers come in order, so the close saves a round trip.
      if (sent >= bytes.length) closed = session.closeHandle(handle);
      await written;
      arrived += chunk.length;
      if (!isStopped) onProgress?.(arrived);
    }
  };
  try {
    await Promise.all(Array.from({ length: Math.ceil(IN_FLIGHT_BYTES / chunkBytes) }, sendChunks));
  } catch (thrown) {
    isStopped = true;
    await (closed ?? session.closeHandle(handle)).catch(() => {});
    throw thrown;
  }
  await (closed ?? session.closeHandle(handle));
}

const REASONS: Readonly<Record<number, string>> = {
  [STATUS.noSuchFile]: "no such directory",
  [STATUS.permissionDenied]: "permission denied",
  [STATUS.failure]: "the host could not write it (disk full, or a quota?)",
};

/** Return the server's own words, unless a reason says more: OpenSSH's `Failure` may be a full disk. */
function reasonOf({ status, said, message }: SftpError): string {
  const isEmpty = said === "" || /^(failure|no such file|permission denied)$/i.test(said);
  return isEmpty ? (REASONS[status] ?? message) : said;
}
