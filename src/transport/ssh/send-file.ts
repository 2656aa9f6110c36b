import { posix } from "node:path";
import type { SFTPWrapper } from "ssh2";
import { VolleyError } from "../../core/errors.ts";
import type { UploadOptions } from "../transport.ts";

const CHUNK_BYTES = 32 << 10;
const IN_FLIGHT = 64;

const STATUS: Readonly<Record<number, string>> = {
  2: "no such directory",
  3: "permission denied",
  4: "the host could not write it (disk full, or a quota?)",
};

/** Write a new file over SFTP with many writes in flight, so that the time depends on bandwidth and not on distance. */
export function sendFile(
  sftp: SFTPWrapper,
  host: string,
  bytes: Buffer,
  path: string,
  { mode, onProgress, signal }: UploadOptions,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: Error & { readonly code?: unknown }): void => {
      signal.removeEventListener("abort", onAbort);
      const why = typeof error.code === "number" ? (describe(error) ?? error.message) : error.message;
      reject(
        new VolleyError("UPLOAD_FAILED", `${host}: cannot write in ~/${posix.dirname(path)}: ${why}`, {
          cause: error,
        }),
      );
    };
    const onAbort = (): void => {
      signal.removeEventListener("abort", onAbort);
      reject(new VolleyError("CANCELLED", `${host}: sending was cancelled`));
    };
    if (signal.aborted) return onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    // O_EXCL: a file or link that another user planted under this name is refused, not followed.
    sftp.open(path, "wx", { mode }, (openError, handle) => {
      if (openError) return fail(openError);
      let sent = 0;
      let arrived = 0;
      let failed = false;
      // Sent right after the last write: answers come in order, so the close saves a round trip.
      const close = (): void => {
        sftp.close(handle, (closeError) => {
          if (failed) return;
          if (closeError) return fail(closeError);
          signal.removeEventListener("abort", onAbort);
          resolve();
        });
      };
      const sendNext = (): void => {
        if (failed || sent >= bytes.length || signal.aborted) return;
        const from = sent;
        const length = Math.min(CHUNK_BYTES, bytes.length - from);
        sent += length;
        sftp.write(handle, bytes, from, length, from, (writeError) => {
          if (failed) return;
          if (writeError) {
            failed = true;
            if (sent >= bytes.length) fail(writeError);
            else sftp.close(handle, () => fail(writeError));
            return;
          }
          arrived += length;
          onProgress?.(arrived);
          sendNext();
        });
        if (sent >= bytes.length) close();
      };
      if (bytes.length === 0) return close();
      for (let index = 0; index < IN_FLIGHT; index++) sendNext();
    });
  });
}

/** Return better words than SFTP's own status texts: `Failure` may be a full disk. */
function describe(error: Error & { readonly code?: unknown }): string | undefined {
  const said = error.message;
  if (said !== "" && !/^(failure|no such file|permission denied)$/i.test(said)) return said;
  return STATUS[error.code as number];
}
