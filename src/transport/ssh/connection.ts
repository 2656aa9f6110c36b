import { setTimeout as sleep } from "node:timers/promises";
import { isVolleyError, VolleyError } from "../../core/errors.ts";
import type { Channels } from "../channels.ts";
import { createSessions } from "../sessions.ts";
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
  const sessions = createSessions(host);
  let keepUploadSession = (): void => {};
  /** Offer the session for uploads to others while no upload uses it. */
  const offerUploadSession = (session: FileSession): void => {
    if (uploads > 0) return;
    keepUploadSession();
    keepUploadSession = sessions.idle(() => {
      uploadSession = undefined;
      session.close();
    });
  };
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
      if (uploadSession !== opening) return;
      uploadSession = undefined;
      keepUploadSession();
    };
    // Not an upload's signal: the next upload uses the same session.
    const { signal } = new AbortController();
    const open = (): Promise<FileSession> => openFiles({ signal, awaitsLimits: false });
    const opening = sessions.open(open, closedOf, { wait: "freed" });
    opening.then((session) => {
      void session.closed.then(forget);
      offerUploadSession(session);
    }, forget);
    uploadSession = opening;
    return opening;
  };
  const upload = async (bytes: Buffer, path: string, options: UploadOptions): Promise<void> => {
    uploads++;
    keepUploadSession();
    try {
      const session = await orLost("opening SFTP", openUploadSession().catch(asUploadError));
      await sendFile(session, host, bytes, path, options);
    } finally {
      uploads--;
      void uploadSession?.then(offerUploadSession, () => {});
    }
  };
  const exec: Connection["exec"] = (command, signal, { wait = "freed", ...terminal } = {}) => {
    const open = async (): Promise<RemoteProcess> => {
      refuseAborted(signal);
      return await channels.command(command, { ...terminal, env });
    };
    return wait === "taken" ? open() : sessions.open(open, ({ exit }) => exit, { wait, signal });
  };
  const files: Connection["files"] = (signal, wait = "freed") => {
    const open = (): Promise<FileSession> => openFiles({ signal });
    return wait === "taken" ? open() : sessions.open(open, closedOf, { wait, signal });
  };

  return {
    closed,
    timings,
    sessions,
    exec: (command, signal, options) => orLost("starting a command", exec(command, signal, options)),
    upload: (bytes, path, options) => orLost("sending a file", upload(bytes, path, options)),
    // The upload reports the error.
    expectUpload: async () => void (await openUploadSession().catch(() => {})),
    files: (signal, wait) => orLost("opening SFTP", files(signal, wait)),
    forward: (address, port) => orLost("opening a port", channels.forward(address, port)),
    ...(listen === undefined ? {} : { listen: (...given) => orLost("asking for a port", listen(...given)) }),
    close: () => channels.close(),
  };
}

function closedOf({ closed }: FileSession): Promise<unknown> {
  return closed;
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
