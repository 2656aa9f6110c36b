import { setTimeout as sleep } from "node:timers/promises";
import { isVolleyError, VolleyError } from "../../core/errors.ts";
import type { Channels } from "../channels.ts";
import { openFileSession } from "../sftp/open-file-session.ts";
import { sendFile } from "../sftp/send-file.ts";
import type { Connection, Endpoint, FileSession, RemoteProcess, UploadOptions } from "../transport.ts";

const CLOSING_MS = 100;

/** Make a Connection of the channels of a connection that has logged in. */
export function createSshConnection(
  channels: Channels,
  { host, ssh }: Endpoint,
  timings: Connection["timings"],
): Connection {
  const env = ssh?.environment ?? {};
  const { closed, listen } = channels;
  let uploadSession: Promise<FileSession> | undefined;
  let uploads = 0;
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
  const openFiles = async (options: {
    readonly signal: AbortSignal;
    readonly awaitsLimits?: boolean;
  }): Promise<FileSession> => {
    refuseAborted(options.signal);
    return await openFileSession(await channels.sftp(), { host, ...options });
  };
  const openUploadSession = (): Promise<FileSession> => {
    if (uploadSession !== undefined) return uploadSession;
    const forget = (): void => {
      if (uploadSession === opening) uploadSession = undefined;
    };
    // Not an upload's signal: the next upload uses the same session.
    const { signal } = new AbortController();
    const open = (): Promise<FileSession> => openFiles({ signal, awaitsLimits: false });
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
    const open = async (): Promise<RemoteProcess> => {
      refuseAborted(signal);
      return await channels.command(command, { ...terminal, env });
    };
    const process = onlySpare ? await open() : await opener.open(open);
    void process.exit.then(opener.freed);
    return process;
  };
  const files: Connection["files"] = async (signal) => {
    const session = await opener.open(() => openFiles({ signal }));
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
    forward: (address, port) => orLost("opening a port", channels.forward(address, port)),
    ...(listen === undefined ? {} : { listen: (...given) => orLost("asking for a port", listen(...given)) }),
    close: () => channels.close(),
  };
}

function refuseAborted(signal: AbortSignal): void {
  if (signal.aborted) throw new VolleyError("CANCELLED", "cancelled before it started");
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
