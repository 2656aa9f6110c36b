const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  ENOTDIR: "what it is in is not a directory",
  EISDIR: "it is a directory",
  EACCES: "permission denied",
  EPERM: "permission denied",
  ELOOP: "its links lead in a circle",
  EMFILE: "too many files are open",
  ENAMETOOLONG: "its name is too long",
  EBADF: "it is not open",
  // A descriptor of Node.js itself, for instance.
  EINVAL: "it is no file",
};

/** Why a file of this machine cannot be read, in words: Node's own name the system call, too. */
export function fileReason(thrown: unknown): string {
  const { code = "", message } = thrown as { readonly code?: string; readonly message: string };
  return REASONS[code] ?? message;
}
