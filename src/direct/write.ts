import { randomBytes } from "node:crypto";
import { posix } from "node:path";
import { modeOfReplacement } from "../core/permissions.ts";
import {
  type Content,
  type CopyOf,
  isCopy,
  type Stat,
  type WriteOptions,
  type Written,
} from "../core/system.ts";
import { textToBytes } from "../core/text.ts";
import type { FileHandle, FileSession } from "../transport/file-session.ts";
import { readWhole } from "./read.ts";

/** SFTP's write, create and exclusive. */
const NEW_FILE = 2 | 8 | 32;
/** Bytes in flight at a time. */
const WINDOW_BYTES = 2 << 20;
/** Leaves an id as it is: chown(2). */
const AS_IT_IS = 0xffffffff;

/** What a file is written with. */
export interface WriteRequest extends WriteOptions {
  readonly path: string;
  readonly content: Content;
  /** What is there now, as far as it is known; undefined: to be looked at. */
  readonly known: Stat | null | undefined;
  lstat(path: string): Promise<Stat | null>;
  /** Runs a script of the shell on the host. Fails with what it says. */
  shell(script: string, args: readonly string[], input?: string): Promise<void>;
  /** The ACL of the file that is there, as getfacl(1) prints it; empty for none, or where it is not to be kept. */
  acl(): Promise<string>;
  /** The user's own. */
  readonly umask: number;
}

/** What a file is to be like. */
export interface ResolvedWrite {
  readonly path: string;
  /** The name it has while it is written. */
  readonly temporary: string;
  readonly mode: number;
  /** -1: the user's own, as is `gid`. */
  readonly uid: number;
  readonly gid: number;
}

/** Decides what is not given by the file that is replaced. */
export function resolveWrite(
  request: Pick<WriteRequest, "path" | "mode" | "uid" | "gid" | "umask">,
  before: Stat | null,
  temporary = temporaryName(request.path),
): ResolvedWrite {
  const replaced = before?.type === "file" ? before : null;
  const uid = request.uid ?? replaced?.uid ?? -1;
  const gid = request.gid ?? replaced?.gid ?? -1;
  const initial = replaced === null ? 0o666 & ~request.umask : modeOfReplacement(replaced, uid, gid);
  return { path: request.path, temporary, mode: request.mode ?? initial, uid, gid };
}

function temporaryName(path: string): string {
  return posix.join(posix.dirname(path), `.volley-${randomBytes(6).toString("hex")}`);
}

/**
 * Writes a file to a temporary name beside it, then renames it into place. The rename waits until all else has
 * succeeded: sent along with the rest it would put a file in place whose content did not get onto the disk. A mount that
 * is a file is written in place.
 */
export async function writeAtomically(files: FileSession, request: WriteRequest): Promise<Written> {
  const { path, content, shell } = request;
  const temporary = temporaryName(path);
  // The shell is never waited for while a file is open: a host may grant no session for both.
  const acl = request.known === null ? "" : await request.acl().catch(() => "");
  const looking = request.known === undefined ? request.lstat(path) : Promise.resolve(request.known);
  looking.catch(() => {});
  try {
    let resolved: ResolvedWrite;
    if (isCopy(content)) {
      resolved = resolveWrite(request, await looking, temporary);
      await shell(COPY, [temporary, content.copyOf, octal(resolved), ownerOf(resolved)]);
    } else resolved = await upload(files, request, content, temporary, looking);
    const before = await looking;
    if (acl !== "" && before?.type === "file")
      await shell('setfacl --set-file=- "$1"; chmod "$2" "$1"', [temporary, octal(resolved)], acl);
    try {
      await files.rename(temporary, path);
      return "replaced";
    } catch (thrown) {
      // What is mounted can be written to, but nothing else can take its place.
      if (before?.type !== "file" || !(await isMount(files, path))) throw thrown;
    }
    await shell(IN_PLACE, [path, temporary, octal(resolved), ownerOf(resolved)]);
    return "in place";
  } catch (thrown) {
    await files.remove(temporary).catch(() => {});
    throw thrown;
  }
}

/** Sends content to a new file with the owner and mode it is to have. */
async function upload(
  files: FileSession,
  request: WriteRequest,
  content: Exclude<Content, CopyOf>,
  temporary: string,
  looking: Promise<Stat | null>,
): Promise<ResolvedWrite> {
  // Unreadable for others until owner and mode are right.
  const handle = await files.open(temporary, NEW_FILE, { mode: 0o600 });
  let open = true;
  try {
    const resolved = resolveWrite(request, await looking, temporary);
    const { mode, uid, gid } = resolved;
    const written = writeContent(files, handle, content);
    written.catch(() => {});
    // Of content that comes piece by piece the end must be waited for: what is sent after it is to come after it.
    if (typeof content !== "string" && !(content instanceof Uint8Array)) await written;
    const owned =
      uid === -1 && gid === -1
        ? undefined
        : files.fsetstat(handle, { uid: uid === -1 ? AS_IT_IS : uid, gid: gid === -1 ? AS_IT_IS : gid });
    owned?.catch(() => {});
    // After the owner, whose change takes setuid and setgid away.
    const permitted = files.fsetstat(handle, { mode });
    permitted.catch(() => {});
    const closed = files.closeHandle(handle);
    open = false;
    closed.catch(() => {});
    await Promise.all([written, owned, permitted, closed]);
    return resolved;
  } catch (thrown) {
    if (open) files.closeHandle(handle).catch(() => {});
    throw thrown;
  }
}

/** As chmod(1) takes it. */
export function octal({ mode }: ResolvedWrite): string {
  return mode.toString(8);
}

/** As chown(1) takes it; empty for no change. */
export function ownerOf({ uid, gid }: ResolvedWrite): string {
  return `${uid === -1 ? "" : uid}${gid === -1 ? "" : `:${gid}`}`;
}

const DRESS = `[ -z "$4" ] || chown "$4" "$1" || exit 1
chmod "$3" "$1"`;
const COPY = `umask 077; set -C; : >"$1" || exit 1
cp "$2" "$1" || exit 1
${DRESS}`;
const IN_PLACE = `cat "$2" >"$1" || exit 1
${DRESS} && rm -f "$2"`;

/** Whether something is mounted at a path, by what the host's kernel says. */
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

/** Writes content from a file's beginning; all of what is there already is in flight before this first waits. */
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
