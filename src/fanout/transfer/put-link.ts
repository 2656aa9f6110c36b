import { VolleyError } from "../../core/errors.ts";
import type { FileAttributes } from "../../transport/file-session.ts";
import { isDirectory, isLink, type TransferContext } from "./context.ts";
import { partPath } from "./parts.ts";

/** Puts a symbolic link: to a temporary name, then renamed over what is there. */
export async function putLink(
  { files, tally, check, host }: TransferContext,
  path: string,
  target: string,
  existing: FileAttributes | null,
): Promise<void> {
  if (existing !== null && isDirectory(existing)) {
    throw new VolleyError("SFTP_FAILED", `${host}: cannot make the link ${path}: it is a directory`, {
      hint: "remove it first",
    });
  }
  if (existing !== null && isLink(existing) && (await files.readLink(path)) === target)
    return tally.done({ path, action: "unchanged", bytes: 0 });
  if (!check) {
    const part = partPath(path);
    await files.symlink(target, part);
    try {
      await files.rename(part, path);
    } catch (thrown) {
      await files.remove(part).catch(() => {});
      throw thrown;
    }
  }
  tally.done({ path, action: "linked", bytes: 0 });
}
