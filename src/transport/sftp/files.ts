import type { DirectoryEntry, FileHandle, FileSession, FreeSpace } from "../transport.ts";
import {
  attributesField,
  type FileAttributes,
  MalformedSftpError,
  MESSAGE,
  OPEN,
  STATUS,
  stringField,
  uint32Field,
  uint64Field,
} from "./codec.ts";
import { notSftp, type Reply, refused, SftpError, type SftpRequests, sftpStatus } from "./requests.ts";

/** The limits and extensions that a server announced. The limits may arrive while the session is in use. */
export interface SftpServerTraits {
  readonly host: string;
  readonly maxWriteBytes: number;
  readonly maxReadBytes: number;
  readonly extensions: ReadonlyMap<string, string>;
}

type ReplyOf<Type extends Reply["type"]> = Extract<Reply, { type: Type }>;

/** Most entries that one directory may have: a hostile server could list without end. */
const MAX_ENTRIES = 1_000_000;

/** Return the methods of a session, carried out by requests. */
export function createFiles(
  requests: SftpRequests,
  server: SftpServerTraits,
  session: Pick<FileSession, "close" | "closed">,
): FileSession {
  const { host, extensions } = server;
  const paths = new WeakMap<FileHandle, string>();
  const pathOf = (handle: FileHandle): string => paths.get(handle) ?? "a file";

  /** End the session: the server broke the protocol. */
  const violated = (why: string): Error => {
    const error = notSftp(host, why, true);
    requests.fail(error);
    return error;
  };
  /** Return a reply of the expected type; throw the refusal that came in its place. */
  const expected = <Type extends Reply["type"]>(type: Type, what: string, reply: Reply): ReplyOf<Type> => {
    if (reply.type === type) return reply as ReplyOf<Type>;
    if (reply.type !== "status") throw violated(`a ${reply.type} in place of a ${type}`);
    if (reply.status === STATUS.ok) throw violated(`success in place of a ${type}`);
    throw refused(host, what, reply.status, reply.text);
  };
  const extension = (name: string, ...fields: readonly Uint8Array[]): Promise<Reply> =>
    requests.send(MESSAGE.extended, [stringField(name), ...fields]);
  /** Fail with status 8 where the server lacks an extension. */
  const needExtension = (name: string, what: string): void => {
    if (!extensions.has(name)) throw refused(host, what, STATUS.unsupported, "");
  };
  const done = async (what: string, reply: Promise<Reply>): Promise<void> => {
    const { status, text } = expected("status", what, await reply);
    if (status !== STATUS.ok) throw refused(host, what, status, text);
  };
  const attributesOrNull = async (type: number, path: string): Promise<FileAttributes | null> => {
    const reply = await requests.send(type, [stringField(path)]);
    if (reply.type === "status" && reply.status === STATUS.noSuchFile) return null;
    return expected("attributes", `look at ${path}`, reply).attributes;
  };
  const oneName = async (what: string, reply: Promise<Reply>): Promise<string> => {
    const { entries } = expected("name", what, await reply);
    if (entries.length !== 1 || entries[0]!.name === "") throw violated("not exactly one name");
    return entries[0]!.name;
  };
  const opened = async (path: string, what: string, reply: Promise<Reply>): Promise<FileHandle> => {
    const { handle } = expected("handle", what, await reply);
    paths.set(handle, path);
    return handle;
  };
  const entriesOf = async (path: string, handle: FileHandle): Promise<readonly DirectoryEntry[]> => {
    const all: DirectoryEntry[] = [];
    for (;;) {
      const reply = await requests.send(MESSAGE.readDirectory, [stringField(handle)]);
      if (reply.type === "status" && reply.status === STATUS.endOfFile) return all;
      const { entries } = expected("name", `list ${path}`, reply);
      if (entries.length === 0) throw violated("a list without names that does not end");
      for (const entry of entries) {
        if (!isName(entry.name)) throw violated(`a file named ${JSON.stringify(entry.name.slice(0, 80))}`);
        if (entry.name !== "." && entry.name !== "..") all.push(entry);
      }
      if (all.length > MAX_ENTRIES)
        throw new SftpError(STATUS.failure, `${host}: ${path} has more than ${MAX_ENTRIES} entries`);
    }
  };

  const files: FileSession = {
    get maxWriteBytes() {
      return server.maxWriteBytes;
    },
    get maxReadBytes() {
      return server.maxReadBytes;
    },
    open: (path, flags, attributes) => {
      const fields = [stringField(path), uint32Field(flags), attributesField(attributes)];
      const what = `${(flags & OPEN.write) === 0 ? "read" : "write"} ${path}`;
      return opened(path, what, requests.send(MESSAGE.open, fields));
    },
    closeHandle: (handle) =>
      done(`write ${pathOf(handle)}`, requests.send(MESSAGE.close, [stringField(handle)])),
    read: async (handle, position, length) => {
      const wanted = Math.min(length, server.maxReadBytes);
      const fields = [stringField(handle), uint64Field(position), uint32Field(wanted)];
      const reply = await requests.send(MESSAGE.read, fields);
      if (reply.type === "status" && reply.status === STATUS.endOfFile) return null;
      const { bytes } = expected("data", `read ${pathOf(handle)}`, reply);
      if (bytes.length === 0 || bytes.length > wanted)
        throw violated(`${bytes.length} bytes in reply to a read of up to ${wanted}`);
      return bytes;
    },
    write: (handle, position, bytes) => {
      const fields = [stringField(handle), uint64Field(position), uint32Field(bytes.length), bytes];
      return done(`write ${pathOf(handle)}`, requests.send(MESSAGE.write, fields));
    },
    stat: (path) => attributesOrNull(MESSAGE.stat, path),
    lstat: (path) => attributesOrNull(MESSAGE.lstat, path),
    fstat: async (handle) => {
      const reply = await requests.send(MESSAGE.fstat, [stringField(handle)]);
      return expected("attributes", `look at ${pathOf(handle)}`, reply).attributes;
    },
    setstat: (path, attributes) => {
      const fields = [stringField(path), attributesField(attributes)];
      return done(`set attributes of ${path}`, requests.send(MESSAGE.setstat, fields));
    },
    fsetstat: (handle, attributes) => {
      const fields = [stringField(handle), attributesField(attributes)];
      return done(`set attributes of ${pathOf(handle)}`, requests.send(MESSAGE.fsetstat, fields));
    },
    lsetstat: async (path, attributes) => {
      const what = `set attributes of the link ${path}`;
      needExtension("lsetstat@openssh.com", what);
      await done(what, extension("lsetstat@openssh.com", stringField(path), attributesField(attributes)));
    },
    list: async (path) => {
      const reply = requests.send(MESSAGE.openDirectory, [stringField(path)]);
      const handle = await opened(path, `list ${path}`, reply);
      try {
        return await entriesOf(path, handle);
      } finally {
        files.closeHandle(handle).catch(() => {});
      }
    },
    makeDirectory: (path, attributes) => {
      const fields = [stringField(path), attributesField(attributes)];
      return done(`make the directory ${path}`, requests.send(MESSAGE.makeDirectory, fields));
    },
    removeDirectory: (path) =>
      done(`remove the directory ${path}`, requests.send(MESSAGE.removeDirectory, [stringField(path)])),
    remove: (path) => done(`remove ${path}`, requests.send(MESSAGE.remove, [stringField(path)])),
    rename: async (from, to) => {
      const what = `rename ${from} to ${to}`;
      if (extensions.has("posix-rename@openssh.com"))
        return await done(what, extension("posix-rename@openssh.com", stringField(from), stringField(to)));
      await replace(files, from, to, (one, other) =>
        done(what, requests.send(MESSAGE.rename, [stringField(one), stringField(other)])),
      );
    },
    readLink: (path) =>
      oneName(`read the link ${path}`, requests.send(MESSAGE.readLink, [stringField(path)])),
    // OpenSSH has the two paths in the order of symlink(2), unlike the draft; other servers follow it.
    symlink: (target, path) =>
      done(`make the link ${path}`, requests.send(MESSAGE.symlink, [stringField(target), stringField(path)])),
    link: async (existing, path) => {
      const what = `link ${path} to ${existing}`;
      needExtension("hardlink@openssh.com", what);
      await done(what, extension("hardlink@openssh.com", stringField(existing), stringField(path)));
    },
    realPath: (path) => oneName(`resolve ${path}`, requests.send(MESSAGE.realPath, [stringField(path)])),
    expandPath: async (path) => {
      const what = `resolve ${path}`;
      needExtension("expand-path@openssh.com", what);
      return await oneName(what, extension("expand-path@openssh.com", stringField(path)));
    },
    freeSpace: async (path) => {
      if (!extensions.has("statvfs@openssh.com")) return undefined;
      const reply = await extension("statvfs@openssh.com", stringField(path));
      if (reply.type !== "extended") return undefined;
      try {
        return readFreeSpace(reply);
      } catch (thrown) {
        if (thrown instanceof MalformedSftpError) throw violated("a file system without numbers");
        throw thrown;
      }
    },
    sync: async (handle) => {
      if (!extensions.has("fsync@openssh.com")) return;
      const what = `write ${pathOf(handle)} to the disk`;
      await done(what, extension("fsync@openssh.com", stringField(handle)));
    },
    ...session,
  };
  return observed(files);
}

function isName(name: string): boolean {
  return name !== "" && !name.includes("/") && !name.includes("\0");
}

/** Read the reply to `statvfs@openssh.com` (OpenSSH's PROTOCOL, section 4.2). */
function readFreeSpace({ fields }: ReplyOf<"extended">): FreeSpace | undefined {
  const [, fragmentBytes = 0, blocks = 0, , available = 0, files, , freeFiles = 0, , flags = 0] = Array.from(
    { length: 11 },
    fields.uint64,
  );
  // File systems that are not on a disk have no size.
  if (blocks === 0) return undefined;
  return {
    freeBytes: available * fragmentBytes,
    // Btrfs, for one, makes inodes as it needs them.
    freeFiles: files === 0 ? Number.POSITIVE_INFINITY : freeFiles,
    isReadOnly: flags % 2 === 1,
  };
}

/** Number of times that another process may interfere with one rename. */
const RENAME_TRIES = 20;

/**
 * Rename over an existing file with a server that has only the `rename` of version 3, which refuses to replace. The old
 * file is moved aside first, and is moved back when the new file cannot take its place. For a moment neither file is at
 * the path; no file is lost.
 */
async function replace(
  files: Pick<FileSession, "lstat" | "remove">,
  from: string,
  to: string,
  rename: (from: string, to: string) => Promise<void>,
): Promise<void> {
  const aside = `${from}-old`;
  const isThere = async (): Promise<boolean> => (await files.lstat(to)) !== null;
  for (let left = RENAME_TRIES; ; left--) {
    const isAside = (await isThere()) && (await isAllowed(rename(to, aside)));
    try {
      await rename(from, to);
      if (isAside) await files.remove(aside);
      return;
    } catch (thrown) {
      if (isAside && ((await isThere()) || !(await isAllowed(rename(aside, to))))) await files.remove(aside);
      // Another process was quicker, or the old file may not move: the protocol has one status for both.
      if (left === 0 || sftpStatus(thrown) !== STATUS.failure) throw thrown;
    }
  }
}

/** Return false when the server refuses; fail on any other error. */
async function isAllowed(request: Promise<void>): Promise<boolean> {
  try {
    await request;
    return true;
  } catch (thrown) {
    if (sftpStatus(thrown) === undefined) throw thrown;
    return false;
  }
}

/** Handle the rejection of each request: many are in flight, and one that no caller awaits must not end the process. */
export function observed(files: FileSession): FileSession {
  const properties = Object.getOwnPropertyDescriptors(files);
  for (const property of Object.values<PropertyDescriptor>(properties)) {
    const method: unknown = property.value;
    if (typeof method !== "function") continue;
    property.value = (...words: readonly unknown[]): unknown => {
      const result: unknown = method(...words);
      if (result instanceof Promise) result.catch(() => {});
      return result;
    };
  }
  return Object.defineProperties({}, properties) as FileSession;
}
