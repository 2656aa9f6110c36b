import { VolleyError } from "../core/errors.ts";
import { attributesCommand, type Protection, protectionOf } from "../core/permissions.ts";
import type { ProcessResult } from "../core/system.ts";
import type { FileSession } from "../transport/file-session.ts";
import { sftpStatus } from "../transport/sftp/error.ts";

/** Status codes of SFTP (draft-ietf-secsh-filexfer-02, section 7). */
export const NO_SUCH_FILE = 2;
const PERMISSION_DENIED = 3;
const BAD_MESSAGE = 5;
export const UNSUPPORTED = 8;

/** Bytes below which a disk is as good as full. */
const FULL_BYTES = 64 << 10;

const TYPE_BITS = 0o170000;
const DIRECTORY = 0o040000;

/** What can be asked about a failure. */
export interface Witness {
  readonly files: FileSession;
  ask(argv: readonly string[]): Promise<ProcessResult>;
}

/** What the host's attributes of a path say, when they keep it from being changed. */
export async function protectionAt(ask: Witness["ask"], path: string): Promise<Protection | undefined> {
  const { stdout } = await ask(attributesCommand(path)).catch(() => ({ stdout: "" }));
  return protectionOf(path, stdout);
}

/** Runs a file operation; what it throws names the path and says why in words, as a System on the machine itself does. */
export async function attempt<T>(
  { files, ask }: Witness,
  what: string,
  path: string,
  operation: () => Promise<T>,
): Promise<T> {
  try {
    return await operation();
  } catch (thrown) {
    const status = sftpStatus(thrown);
    if (status === undefined) throw thrown;
    const protection = status === PERMISSION_DENIED ? await protectionAt(ask, path) : undefined;
    const reason =
      protection?.reason ?? (await reasonOf(files, what, path, status, (thrown as Error).message));
    throw new VolleyError("FILE_FAILED", `cannot ${what} ${path}: ${reason}`, {
      cause: thrown,
      ...(protection === undefined ? {} : { hint: protection.hint }),
    });
  }
}

/** OpenSSH's server has one status for all but a few reasons: a look at the path tells which it was. */
async function reasonOf(
  files: FileSession,
  what: string,
  path: string,
  status: number,
  said: string,
): Promise<string> {
  switch (status) {
    case NO_SUCH_FILE:
      return "no such file or directory";
    case PERMISSION_DENIED:
      return "permission denied";
    case BAD_MESSAGE:
      return "the name is too long";
    case UNSUPPORTED:
      return "the host's SFTP server cannot do that";
    default:
  }
  const [found, room] = await Promise.all([
    files.lstat(path).catch(() => null),
    files.freeSpace(path.slice(0, path.lastIndexOf("/")) || "/").catch(() => undefined),
  ]);
  if (room !== undefined && room.freeBytes < FULL_BYTES && /write|make|link/.test(what))
    return "no space left on the device";
  if (found !== null && /make|link/.test(what)) return "it exists already";
  if (found !== null && ((found.mode ?? 0) & TYPE_BITS) === DIRECTORY)
    return /read|write|rename/.test(what) ? "it is a directory" : "the directory is not empty";
  return said.split(": ").at(-1) ?? said;
}

/** Whether the server said that there is no such file. */
export function isMissing(thrown: unknown): boolean {
  return sftpStatus(thrown) === NO_SUCH_FILE;
}
