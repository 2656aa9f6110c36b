import { posix } from "node:path";
import { isVolleyError, VolleyError } from "../../core/errors.ts";
import { STATUS } from "../../transport/sftp/codec.ts";
import { SftpError } from "../../transport/sftp/requests.ts";
import type { TransferContext } from "./context.ts";

/** A disk with less free room counts as full: file systems reserve some. */
const FULL_BYTES = 1 << 20;

/** The host has no room left, so further files would fail as well. */
export class HostFullError extends SftpError {}

/** Return whether an error ends a host's whole part, and not only one file. */
export function endsAll(thrown: unknown): boolean {
  if (thrown instanceof HostFullError) return true;
  if (!isVolleyError(thrown)) return isLocalDiskFull(thrown);
  return ["CONNECTION_LOST", "CANCELLED", "SFTP_UNAVAILABLE"].includes(thrown.code);
}

/** Return whether this machine has no room left. */
export function isLocalDiskFull(thrown: unknown): boolean {
  const code = (thrown as NodeJS.ErrnoException | undefined)?.code;
  return code === "ENOSPC" || code === "EDQUOT";
}

/** Explain a failed write: OpenSSH reports a full disk only as "Failure", so look at the file system. */
export async function explainWriteFailure(
  { files, host }: TransferContext,
  path: string,
  part: string,
  thrown: unknown,
): Promise<unknown> {
  if (!(thrown instanceof SftpError)) return thrown;
  // Name the file, not its temporary part.
  const said = thrown.message.replaceAll(part, path);
  const named = new SftpError(thrown.status, said, thrown.hint);
  if (thrown.status !== STATUS.failure) return named;
  const space = await files.freeSpace(posix.dirname(path)).catch(() => undefined);
  const full = (why: string, hint: string): HostFullError =>
    new HostFullError(STATUS.failure, `${host}: cannot write ${path}: ${why}`, hint);
  if (space?.isReadOnly === true) {
    return new SftpError(
      STATUS.failure,
      `${host}: cannot write ${path}: its file system is read-only`,
      "mount it read-write, or put the files elsewhere",
    );
  }
  if (/no space left/i.test(said) || (space !== undefined && space.freeBytes < FULL_BYTES))
    return full("no space left on the host", "free some room on the host, or put it elsewhere");
  if (space !== undefined && space.freeFiles === 0)
    return full("no more files fit on its file system", "its inodes are used up: remove files");
  if (/quota/i.test(said)) return full("the user's quota is used up", "free some room, or raise the quota");
  return named;
}

/** Return the error of a file that changed while it was read. */
export function changedMeanwhile(path: string): VolleyError {
  return new VolleyError("FILE_FAILED", `${path} changed while it was read`, { hint: "try again" });
}

/** Return an error of this machine's file system with the path in words. */
export function localFailure(path: string, thrown: unknown): unknown {
  if (isVolleyError(thrown)) return thrown;
  const { code, message } = thrown as NodeJS.ErrnoException;
  if (code === undefined) return thrown;
  const meanings: Readonly<Record<string, string>> = {
    ENOSPC: "no space left on this machine",
    EDQUOT: "the quota on this machine is used up",
    EACCES: "permission denied on this machine",
    ENOENT: "no such file on this machine",
    ELOOP: "there is a link in its place on this machine",
  };
  return new VolleyError("FILE_FAILED", `${path}: ${meanings[code] ?? message}`, { cause: thrown });
}
