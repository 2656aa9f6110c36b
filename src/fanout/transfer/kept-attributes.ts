import type { FileAttributes, FileHandle } from "../../transport/file-session.ts";
import { isFile, type TransferContext } from "./context.ts";
import type { LocalFile } from "./local-tree.ts";

/** Modes and times as they are to be: kept on request; else a replaced file's own mode stays. */
export function attributesFor(
  { preserve }: TransferContext,
  { mode, mtime }: LocalFile,
  existing: FileAttributes | null,
): readonly FileAttributes[] {
  if (preserve) return [{ mode }, { mtime }];
  if (existing?.mode === undefined || !isFile(existing)) return [];
  return [{ mode: existing.mode & 0o7777 }];
}

/** The owner of what is replaced stays, where that is allowed: root puts files of others. */
export function ownerFor(
  { files }: TransferContext,
  handle: FileHandle,
  existing: FileAttributes | null,
): readonly Promise<void>[] {
  if (existing === null || !isFile(existing) || existing.uid === undefined || existing.gid === undefined)
    return [];
  const { uid, gid, mode = 0o644 } = existing;
  const set = async (): Promise<void> => {
    const own = await files.fstat(handle);
    if (own.uid === uid && own.gid === gid) return;
    await files.fsetstat(handle, { uid, gid }).catch(() => {});
    // Changing the owner takes bits of a mode away (chown(2)).
    if ((mode & 0o6000) !== 0) await files.fsetstat(handle, { mode: mode & 0o7777 }).catch(() => {});
  };
  return [set()];
}
