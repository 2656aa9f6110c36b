import { VolleyError } from "../core/errors.ts";

/** In few words: Node's own name a file that the user knows nothing of. */
const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such directory",
  ENOTDIR: "what it is in is not a directory",
  EISDIR: "it is a directory",
  EACCES: "permission denied",
  EPERM: "permission denied",
  EROFS: "the file system is read-only",
  ENOSPC: "the disk is full",
};

/** The error that a file the user named cannot be written, with the reason in words. */
export function cannotWrite(path: string, cause: unknown, hint?: string): VolleyError {
  const { code = "", message } = cause as NodeJS.ErrnoException;
  return new VolleyError("FILE_FAILED", `cannot write ${path}: ${REASONS[code] ?? message}`, {
    cause,
    ...(hint === undefined ? {} : { hint }),
  });
}
