import type { FileSession } from "../file-session.ts";
import { sftpStatus } from "./error.ts";
import { STATUS } from "./protocol.ts";

/** How often others may be quicker. */
const TRIES = 20;

/**
 * Renames over what is there with a server that only has version 3's own `rename`, which refuses to replace: what is there
 * goes aside first, and comes back when its place cannot be taken. There is a moment without a file, but never a loss.
 */
export async function replace(
  files: Pick<FileSession, "lstat" | "remove">,
  from: string,
  to: string,
  rename: (from: string, to: string) => Promise<void>,
): Promise<void> {
  const aside = `${from}-old`;
  const isThere = async (): Promise<boolean> => (await files.lstat(to)) !== null;
  for (let left = TRIES; ; left--) {
    const isAside = (await isThere()) && (await refusable(rename(to, aside)));
    try {
      await rename(from, to);
      if (isAside) await files.remove(aside);
      return;
    } catch (thrown) {
      if (isAside && ((await isThere()) || !(await refusable(rename(aside, to))))) await files.remove(aside);
      // Somebody else has been quicker, or will not let it be moved: the protocol has one word for both.
      if (left === 0 || sftpStatus(thrown) !== STATUS.failure) throw thrown;
    }
  }
}

/** Whether it was done; fails only when it was not refused but went wrong. */
async function refusable(doing: Promise<void>): Promise<boolean> {
  try {
    await doing;
    return true;
  } catch (thrown) {
    if (sftpStatus(thrown) === undefined) throw thrown;
    return false;
  }
}
