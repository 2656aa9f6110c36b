import { posix } from "node:path";
import { isVolleyError, VolleyError } from "../../core/errors.ts";
import { orAborted } from "../connect-errors.ts";
import type { FileHandle, FileSession, UploadOptions } from "../transport.ts";
import { OPEN, STATUS } from "./codec.ts";
import { SftpError } from "./requests.ts";

/** Large writes cost less than many small ones; a server may allow less. */
const CHUNK_BYTES = 128 << 10;
/** OpenSSH's window of a channel: more is never in flight. */
const IN_FLIGHT_BYTES = 2 << 20;

/**
 * Write a new file with many writes in flight, so that the time depends on bandwidth and not on distance. Fails with
 * `UPLOAD_FAILED` or `CANCELLED`.
 */
export async function sendFile(
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
