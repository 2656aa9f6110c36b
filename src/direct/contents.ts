import { randomBytes } from "node:crypto";
import { posix } from "node:path";
import { VolleyError } from "../core/errors.ts";
import {
  type Content,
  type CopyOf,
  isCopy,
  type ProcessOptions,
  type ProcessResult,
  type Stat,
  type WriteOptions,
  type Written,
} from "../core/system.ts";
import { modeOfReplacement } from "../core/unix/permissions.ts";
import { textToBytes } from "../core/values/bytes.ts";
import { OPEN, STATUS } from "../transport/sftp/codec.ts";
import { sftpStatus } from "../transport/sftp/requests.ts";
import type { FileHandle, FileSession } from "../transport/transport.ts";

/** Reads in flight at a time. */
const WINDOW = 16;
/** Node's limit for local files. */
const MAX_HELD_BYTES = 2 ** 31 - 1;

/** Read a file from its beginning, piece by piece in order; `size` in bytes, if known. */
export async function* readPieces(
  files: FileSession,
  path: string,
  size: number | undefined,
): AsyncGenerator<Buffer> {
  const handle = await files.open(path, OPEN.read);
  const piece = files.maxReadBytes;
  try {
    // Files in /proc claim to be empty, and give less than is asked for before their end.
    const told = size ?? files.fstat(handle).then(({ size: bytes }) => bytes);
    if (typeof told !== "number") told.catch(() => {});
    let position = 0;
    const first = await files.read(handle, 0, piece);
    if (first === null) return;
    yield first;
    position = first.length;
    const total = (await told) ?? 0;
    const inFlight: { readonly from: number; readonly bytes: Promise<Buffer | null> }[] = [];
    let next = position;
    while (position < total) {
      while (inFlight.length < WINDOW && next < total) {
        const bytes = files.read(handle, next, Math.min(piece, total - next));
        bytes.catch(() => {});
        inFlight.push({ from: next, bytes });
        next += piece;
      }
      const { from, bytes } = inFlight.shift()!;
      const came = await bytes;
      if (came === null) return;
      yield came;
      position += came.length;
      // A server may give less than was asked for: the reads in flight then begin at the wrong places.
      if (from + came.length < Math.min(from + piece, total)) {
        inFlight.length = 0;
        next = position;
      }
    }
    if (total > 0) return;
    for (;;) {
      const more = await files.read(handle, position, piece);
      if (more === null) return;
      yield more;
      position += more.length;
    }
  } finally {
    // The caller need not wait for the close.
    files.closeHandle(handle).catch(() => {});
  }
}

/** Read a whole file, of at most 2 GiB. */
export async function readWhole(files: FileSession, path: string, size: number | undefined): Promise<Buffer> {
  const pieces: Buffer[] = [];
  const hold = (bytes: number): void => {
    if (bytes > MAX_HELD_BYTES)
      throw new VolleyError("FILE_FAILED", `cannot read ${path}: it is larger than 2 GiB`);
  };
  hold(size ?? 0);
  let length = 0;
  for await (const piece of readPieces(files, path, size)) {
    pieces.push(piece);
    length += piece.length;
    hold(length);
  }
  return pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
}

const NEW_FILE = OPEN.write | OPEN.create | OPEN.exclusive;
const OLD_FILE = OPEN.write | OPEN.truncate;
/** Bytes in flight at a time. */
const WINDOW_BYTES = 2 << 20;
/** Leaves an id as it is: chown(2). */
export const AS_IT_IS = 0xffffffff;

/** The content and attributes of a file to write. */
interface WriteRequest extends WriteOptions {
  readonly path: string;
  readonly content: Content;
  /** The file at the path now; undefined for unknown. */
  readonly known: Stat | null | undefined;
  lstat(path: string): Promise<Stat | null>;
  /** Run a shell script on the host. Fails with its error message. */
  shell(script: string, args: readonly string[], input?: string): Promise<void>;
  /** Return the ACL of the file at the path, as getfacl(1) prints it; empty for none, or for one not to keep. */
  acl(): Promise<string>;
  /** The umask of the user. */
  readonly umask: number;
}

/** The attributes of a file to write, all decided. */
interface ResolvedWrite {
  readonly path: string;
  /** The file's name until it is complete. */
  readonly temporary: string;
  readonly mode: number;
  /** -1: the user's own, as is `gid`. */
  readonly uid: number;
  readonly gid: number;
  /** The mode of a file that its user may not give away; undefined where that is a failure. */
  readonly ownMode: number | undefined;
}

/** Take the attributes that the request leaves open from the replaced file. */
export function resolveWrite(
  request: Pick<WriteRequest, "path" | "mode" | "uid" | "gid" | "umask">,
  before: Stat | null,
  temporary = temporaryName(request.path),
): ResolvedWrite {
  const replaced = before?.type === "file" ? before : null;
  const uid = request.uid ?? replaced?.uid ?? -1;
  const gid = request.gid ?? replaced?.gid ?? -1;
  const initial = replaced === null ? 0o666 & ~request.umask : modeOfReplacement(replaced, uid, gid);
  const isTold = request.uid !== undefined || request.gid !== undefined;
  const ownMode = isTold ? undefined : (request.mode ?? 0o600);
  return { path: request.path, temporary, mode: request.mode ?? initial, uid, gid, ownMode };
}

function temporaryName(path: string): string {
  return posix.join(posix.dirname(path), `.volley-${randomBytes(6).toString("hex")}`);
}

/**
 * Write a file under a temporary name beside its place, then rename it. The rename waits until all else has succeeded:
 * sent along with the rest, it could put an incomplete file in place. A mount that is a file is written in place.
 */
export async function writeAtomically(files: FileSession, request: WriteRequest): Promise<Written> {
  const { path, content, shell, inPlace = false } = request;
  const temporary = temporaryName(path);
  // No shell runs while a file is open: a host may grant no session for both.
  const acl = request.known === null ? "" : await request.acl().catch(() => "");
  const looking = request.known === undefined ? request.lstat(path) : Promise.resolve(request.known);
  looking.catch(() => {});
  const mayBeInPlace = async (): Promise<boolean> => (await looking)?.type === "file";
  const writeInPlace = async (source: string): Promise<Written> => {
    const { uid = -1, gid = -1, mode } = request;
    await shell(IN_PLACE, [path, source, mode === undefined ? "" : octal(mode), ownerOf({ uid, gid })]);
    return "in place";
  };
  try {
    if (isCopy(content)) {
      const { mode, ownMode, ...resolved } = resolveWrite(request, await looking, temporary);
      const own = ownMode === undefined ? "" : octal(ownMode);
      try {
        await shell(COPY, [temporary, content.copyOf, octal(mode), ownerOf(resolved), own]);
      } catch (thrown) {
        if (inPlace && (await mayBeInPlace())) return await writeInPlace(content.copyOf);
        throw thrown;
      }
    } else {
      let handle: FileHandle;
      try {
        // Unreadable for others until owner and mode are right.
        handle = await files.open(temporary, NEW_FILE, { mode: 0o600 });
      } catch (thrown) {
        if (!inPlace || !(await mayBeInPlace())) throw thrown;
        const { uid = -1, gid = -1, mode } = request;
        handle = await files.open(path, OLD_FILE);
        await upload(files, content, { path, handle, resolved: { uid, gid, mode } });
        return "in place";
      }
      const resolved = looking.then((before) => resolveWrite(request, before, temporary));
      await upload(files, content, { path: temporary, handle, resolved });
    }
    if (acl !== "" && (await mayBeInPlace())) {
      const { mode } = (await files.lstat(temporary)) ?? {};
      const told = mode === undefined ? [] : [octal(mode & 0o7777)];
      await shell('setfacl --set-file=- "$1"; [ -z "$2" ] || chmod "$2" "$1"', [temporary, ...told], acl);
    }
    try {
      await files.rename(temporary, path);
      return "replaced";
    } catch (thrown) {
      // A mount point can be written to, but no other file can take its place.
      if (!(await mayBeInPlace()) || !(inPlace || (await isMount(files, path)))) throw thrown;
    }
    await writeInPlace(temporary);
    await files.remove(temporary);
    return "in place";
  } catch (thrown) {
    await files.remove(temporary).catch(() => {});
    throw thrown;
  }
}

/** An open file that content is sent to. */
interface OpenFile {
  readonly path: string;
  readonly handle: FileHandle;
  readonly resolved: Attributes | Promise<Attributes>;
}

type Attributes = Pick<ResolvedWrite, "uid" | "gid"> & {
  readonly mode?: number | undefined;
  readonly ownMode?: number | undefined;
};

/** Send content to a file, with the owner and mode it is to have. */
async function upload(
  files: FileSession,
  content: Exclude<Content, CopyOf>,
  { path, handle, resolved }: OpenFile,
): Promise<void> {
  let open = true;
  try {
    const { mode, uid, gid, ownMode } = await resolved;
    const written = writeContent(files, handle, content);
    written.catch(() => {});
    // Later requests must follow the last piece of content that comes piece by piece.
    if (typeof content !== "string" && !(content instanceof Uint8Array)) await written;
    let isOwned = true;
    const owned =
      uid === -1 && gid === -1
        ? undefined
        : files
            .fsetstat(handle, { uid: uid === -1 ? AS_IT_IS : uid, gid: gid === -1 ? AS_IT_IS : gid })
            .catch((thrown: unknown) => {
              if (ownMode === undefined || sftpStatus(thrown) !== STATUS.permissionDenied) throw thrown;
              isOwned = false;
            });
    owned?.catch(() => {});
    // After the owner, whose change takes setuid and setgid away.
    const permitted = mode === undefined ? undefined : files.fsetstat(handle, { mode });
    permitted?.catch(() => {});
    const closed = files.closeHandle(handle);
    open = false;
    closed.catch(() => {});
    await Promise.all([written, owned, permitted, closed]);
    if (!isOwned) await files.setstat(path, { mode: ownMode! });
  } catch (thrown) {
    if (open) files.closeHandle(handle).catch(() => {});
    throw thrown;
  }
}

/** Return the mode for chmod(1). */
function octal(mode: number): string {
  return mode.toString(8);
}

/** Return the owner for chown(1); empty for no change. */
function ownerOf({ uid, gid }: Pick<ResolvedWrite, "uid" | "gid">): string {
  return `${uid === -1 ? "" : uid}${gid === -1 ? "" : `:${gid}`}`;
}

/** `$5`: the mode of a file that its user may not give away. */
const COPY = `umask 077; set -C; : >"$1" || exit 1
cp "$2" "$1" || exit 1
[ -z "$4" ] || chown "$4" "$1" 2>/dev/null || { [ -n "$5" ] && set -- "$1" "$2" "$5"; } || chown "$4" "$1" || exit 1
chmod "$3" "$1"`;
const IN_PLACE = `cat "$2" >"$1" || exit 1
[ -z "$4" ] || chown "$4" "$1" || exit 1
[ -z "$3" ] || chmod "$3" "$1"`;

/** Return whether a path is a mount point, by the host's kernel. */
async function isMount(files: FileSession, path: string): Promise<boolean> {
  const [mounts, real] = await Promise.all([
    readWhole(files, "/proc/self/mountinfo", undefined),
    files.realPath(path),
  ]);
  const escaped = real.replace(
    /[ \t\n\\]/g,
    (each) => `\\${each.charCodeAt(0).toString(8).padStart(3, "0")}`,
  );
  return mounts
    .toString("utf8")
    .split("\n")
    .some((line) => line.split(" ")[4] === escaped);
}

/** Write content from a file's beginning; content in memory is in flight as a whole before the first wait. */
async function writeContent(
  files: FileSession,
  handle: FileHandle,
  content: Exclude<Content, CopyOf>,
): Promise<void> {
  let position = 0;
  let failed: unknown;
  const inFlight: { readonly bytes: number; readonly done: Promise<void> }[] = [];
  let flying = 0;
  const send = (bytes: Uint8Array): void => {
    const done = files.write(handle, position, bytes).catch((thrown: unknown) => {
      failed ??= thrown;
    });
    inFlight.push({ bytes: bytes.length, done });
    flying += bytes.length;
    position += bytes.length;
  };
  const cut = function* (bytes: Uint8Array): Generator<Uint8Array> {
    const piece = files.maxWriteBytes;
    for (let from = 0; from < bytes.length; from += piece) yield bytes.subarray(from, from + piece);
  };
  const land = async (): Promise<void> => {
    const { bytes, done } = inFlight.shift()!;
    await done;
    flying -= bytes;
    if (failed !== undefined) throw failed;
  };
  if (typeof content === "string") for (const piece of cut(textToBytes(content))) send(piece);
  else if (content instanceof Uint8Array) for (const piece of cut(content)) send(piece);
  else {
    for await (const chunk of content) {
      for (const piece of cut(chunk)) {
        send(piece);
        while (flying > WINDOW_BYTES) await land();
      }
    }
  }
  while (inFlight.length > 0) await land();
}

/** Content up to so many bytes is written by a shell where round trips are slow. */
export const SHELL_WRITE_BYTES = 64 << 10;

/** Round trips from here on are slow: three of them take longer than the shell's programs take to start. */
export const SLOW_ROUND_TRIP_MS = 8;

/** Refuses a directory at the path: mv(1) would move the file into it. */
const SCRIPT = `umask 077; set -C
[ ! -d "$1" ] || [ -L "$1" ] || exit 1
trap 'rm -f "$2"' EXIT
cat >"$2" || exit 1
[ -z "$4" ] || chown "$4" "$2" || exit 1
if [ -n "$5" ] && [ -f "$1" ] && [ ! -L "$1" ]; then
a=$(getfacl -csnp "$1" 2>/dev/null)
[ -z "$a" ] || printf '%s\\n' "$a" | setfacl --set-file=- "$2" 2>/dev/null
fi
chmod "$3" "$2" && mv -f "$2" "$1" && trap - EXIT`;

/**
 * Write a small file as {@link writeAtomically} does, in one round trip; return false for any failure, whose reason
 * writing over SFTP then finds out.
 */
export async function writeByShell(
  run: (argv: readonly string[], options: ProcessOptions) => Promise<ProcessResult>,
  resolved: ResolvedWrite,
  content: string | Uint8Array,
  keepsAcl: boolean,
): Promise<boolean> {
  const { path, temporary } = resolved;
  const given = [path, temporary, octal(resolved.mode), ownerOf(resolved), keepsAcl ? "acl" : ""];
  const argv = ["sh", "-c", SCRIPT, "sh", ...given];
  const { code } = await run(argv, { input: content });
  return code === 0;
}
