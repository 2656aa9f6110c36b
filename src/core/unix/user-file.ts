// Files of this machine that a user names: their text, and the reason why one cannot be read or written.

const LINE_FEED = 0x0a;

/**
 * Decode UTF-8. For bytes that are not UTF-8 return the line of the first such byte, counted from 1, because text with
 * replaced characters would be taken for the file's own.
 */
export function decodeUtf8(bytes: Uint8Array): { readonly text: string } | { readonly line: number } {
  try {
    return { text: new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes) };
  } catch {
    // U+FFFD stands for a byte that is no text, and has three bytes of its own.
    const replaced = new TextEncoder().encode(new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes));
    const before = bytes.subarray(
      0,
      bytes.findIndex((byte, index) => byte !== replaced[index]),
    );
    return { line: before.reduce((line, byte) => line + (byte === LINE_FEED ? 1 : 0), 1) };
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  ENOTDIR: "its path leads through a file",
  EISDIR: "it is a directory",
  // Of Node's own: rmSync() of a directory.
  ERR_FS_EISDIR: "it is a directory",
  EACCES: "permission denied",
  EPERM: "permission denied",
  ELOOP: "its links lead in a circle",
  EMFILE: "too many files are open",
  ENAMETOOLONG: "its name is too long",
  EBADF: "it is not open",
  // For instance a descriptor of Node.js itself.
  EINVAL: "it is no file",
};

/** Return in words why a file of this machine cannot be read. Node's own messages name the system call, which helps no user. */
export function fileReason(thrown: unknown): string {
  const { code = "", message } = thrown as { readonly code?: string; readonly message: string };
  return REASONS[code] ?? message;
}

/** Reasons that differ from those for reading. */
const WRITE_REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such directory",
  EROFS: "the file system is read-only",
  ENOSPC: "the disk is full",
  // Of a directory that is to be made.
  EEXIST: "it is not a directory",
};

/** Return in words why a file or directory of this machine cannot be written. */
export function writeReason(thrown: unknown): string {
  return WRITE_REASONS[(thrown as { readonly code?: string }).code ?? ""] ?? fileReason(thrown);
}
