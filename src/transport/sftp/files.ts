import type { DirectoryEntry, FileAttributes, FileHandle, FileSession, FreeSpace } from "../file-session.ts";
import { refused, SftpError } from "./error.ts";
import { MESSAGE, STATUS } from "./protocol.ts";
import { MalformedSftpError } from "./reader.ts";
import { replace } from "./replace.ts";
import type { SftpReply } from "./reply.ts";
import {
  attributesField,
  encodeRequest,
  encodeWrite,
  type Field,
  stringField,
  uint32Field,
  uint64Field,
} from "./request.ts";
import { notSftp, type SftpRequests } from "./requests.ts";

/** What a server said of itself. */
export interface SftpServerTraits {
  readonly host: string;
  readonly maxWriteBytes: number;
  readonly maxReadBytes: number;
  readonly extensions: ReadonlyMap<string, string>;
}

type Reply = Exclude<SftpReply, { type: "version" }>;
type ReplyOf<Type extends Reply["type"]> = Extract<Reply, { type: Type }>;

/** Entries of one directory that are taken: a server could go on for ever. */
const MAX_ENTRIES = 1_000_000;

/** The session's methods, over requests that are answered. */
export function createFiles(
  requests: SftpRequests,
  traits: SftpServerTraits,
  { end, ended }: Pick<FileSession, "end" | "ended">,
): FileSession {
  const { host, maxWriteBytes, maxReadBytes, extensions } = traits;
  const paths = new WeakMap<FileHandle, string>();
  const pathOf = (handle: FileHandle): string => paths.get(handle) ?? "a file";

  const violated = (why: string): Error => {
    const error = notSftp(host, new MalformedSftpError(why), true);
    requests.fail(error);
    return error;
  };
  const refuse = (what: string, { status, text }: ReplyOf<"status">): Error =>
    status === STATUS.ok ? violated("success where there is none") : refused(host, what, status, text);
  /** A reply of one type, or the refusal. */
  const asked = <Type extends Reply["type"]>(type: Type, what: string, reply: Reply): ReplyOf<Type> => {
    if (reply.type === type) return reply as ReplyOf<Type>;
    throw reply.type === "status" ? refuse(what, reply) : violated(`a ${reply.type} where a ${type} belongs`);
  };
  const request = (type: number, fields: readonly Field[]): Promise<Reply> =>
    requests.send((id) => encodeRequest(type, id, fields));
  const extension = (name: string, fields: readonly Field[]): Promise<Reply> =>
    request(MESSAGE.extended, [stringField(name), ...fields]);
  const done = async (what: string, reply: Promise<Reply>): Promise<void> => {
    const { status, text } = asked("status", what, await reply);
    if (status !== STATUS.ok) throw refused(host, what, status, text);
  };
  const attributesOf = async (what: string, reply: Promise<Reply>): Promise<FileAttributes> =>
    asked("attributes", what, await reply).attributes;
  const orNull = async (what: string, reply: Promise<Reply>): Promise<FileAttributes | null> => {
    const answer = await reply;
    if (answer.type === "status" && answer.status === STATUS.noSuchFile) return null;
    return asked("attributes", what, answer).attributes;
  };
  const nameOf = async (what: string, reply: Promise<Reply>): Promise<string> => {
    const { entries } = asked("name", what, await reply);
    if (entries.length !== 1 || entries[0]!.name === "") throw violated("not exactly one name");
    return entries[0]!.name;
  };
  const unsupported = (what: string): SftpError =>
    new SftpError(STATUS.unsupported, `${host}: cannot ${what}: the host's SFTP server cannot do that`);
  const opened = async (path: string, what: string, reply: Promise<Reply>): Promise<FileHandle> => {
    const { handle } = asked("handle", what, await reply);
    paths.set(handle, path);
    return handle;
  };
  const entriesOf = async (path: string, handle: FileHandle): Promise<readonly DirectoryEntry[]> => {
    const all: DirectoryEntry[] = [];
    for (;;) {
      const reply = await request(MESSAGE.readDirectory, [stringField(handle)]);
      if (reply.type === "status" && reply.status === STATUS.endOfFile) return all;
      const { entries } = asked("name", `list ${path}`, reply);
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
    maxWriteBytes,
    maxReadBytes,
    open: (path, flags, attributes) => {
      const fields = [stringField(path), uint32Field(flags), attributesField(attributes)];
      return opened(path, `${(flags & 2) === 0 ? "read" : "write"} ${path}`, request(MESSAGE.open, fields));
    },
    close: (handle) => done(`write ${pathOf(handle)}`, request(MESSAGE.close, [stringField(handle)])),
    read: async (handle, position, length) => {
      const wanted = Math.min(length, maxReadBytes);
      const reply = await request(MESSAGE.read, [
        stringField(handle),
        uint64Field(position),
        uint32Field(wanted),
      ]);
      if (reply.type === "status" && reply.status === STATUS.endOfFile) return null;
      const { bytes } = asked("data", `read ${pathOf(handle)}`, reply);
      if (bytes.length === 0 || bytes.length > wanted)
        throw violated(`${bytes.length} bytes where up to ${wanted} were asked for`);
      return bytes;
    },
    write: (handle, position, bytes) =>
      done(
        `write ${pathOf(handle)}`,
        requests.send((id) => encodeWrite(id, handle, position, bytes)),
      ),
    stat: (path) => orNull(`look at ${path}`, request(MESSAGE.stat, [stringField(path)])),
    lstat: (path) => orNull(`look at ${path}`, request(MESSAGE.lstat, [stringField(path)])),
    fstat: (handle) =>
      attributesOf(`look at ${pathOf(handle)}`, request(MESSAGE.fstat, [stringField(handle)])),
    setstat: (path, attributes) =>
      done(
        `set attributes of ${path}`,
        request(MESSAGE.setstat, [stringField(path), attributesField(attributes)]),
      ),
    fsetstat: (handle, attributes) =>
      done(
        `set attributes of ${pathOf(handle)}`,
        request(MESSAGE.fsetstat, [stringField(handle), attributesField(attributes)]),
      ),
    lsetstat: async (path, attributes) => {
      const what = `set attributes of the link ${path}`;
      if (!extensions.has("lsetstat@openssh.com")) throw unsupported(what);
      await done(what, extension("lsetstat@openssh.com", [stringField(path), attributesField(attributes)]));
    },
    list: async (path) => {
      const handle = await opened(path, `list ${path}`, request(MESSAGE.openDirectory, [stringField(path)]));
      try {
        return await entriesOf(path, handle);
      } finally {
        files.close(handle).catch(() => {});
      }
    },
    makeDirectory: (path, attributes) =>
      done(
        `make the directory ${path}`,
        request(MESSAGE.makeDirectory, [stringField(path), attributesField(attributes)]),
      ),
    removeDirectory: (path) =>
      done(`remove the directory ${path}`, request(MESSAGE.removeDirectory, [stringField(path)])),
    remove: (path) => done(`remove ${path}`, request(MESSAGE.remove, [stringField(path)])),
    rename: async (from, to) => {
      const what = `rename ${from} to ${to}`;
      const fields = [stringField(from), stringField(to)];
      if (extensions.has("posix-rename@openssh.com"))
        return await done(what, extension("posix-rename@openssh.com", fields));
      await replace(files, from, to, (one, other) =>
        done(what, request(MESSAGE.rename, [stringField(one), stringField(other)])),
      );
    },
    readLink: (path) => nameOf(`read the link ${path}`, request(MESSAGE.readLink, [stringField(path)])),
    // OpenSSH has the two in the order of symlink(2), not in the draft's; other servers follow it.
    symlink: (target, path) =>
      done(`make the link ${path}`, request(MESSAGE.symlink, [stringField(target), stringField(path)])),
    link: async (existing, path) => {
      const what = `link ${path} to ${existing}`;
      if (!extensions.has("hardlink@openssh.com")) throw unsupported(what);
      await done(what, extension("hardlink@openssh.com", [stringField(existing), stringField(path)]));
    },
    realPath: (path) => nameOf(`resolve ${path}`, request(MESSAGE.realPath, [stringField(path)])),
    expandPath: async (path) => {
      const what = `resolve ${path}`;
      if (!extensions.has("expand-path@openssh.com")) throw unsupported(what);
      return await nameOf(what, extension("expand-path@openssh.com", [stringField(path)]));
    },
    freeSpace: async (path) => {
      if (!extensions.has("statvfs@openssh.com")) return undefined;
      const reply = await extension("statvfs@openssh.com", [stringField(path)]);
      return readFreeSpace(reply, violated);
    },
    sync: async (handle) => {
      if (!extensions.has("fsync@openssh.com")) return;
      await done(
        `write ${pathOf(handle)} to the disk`,
        extension("fsync@openssh.com", [stringField(handle)]),
      );
    },
    end,
    ended,
  };
  return observed(files);
}

function isName(name: string): boolean {
  return name !== "" && !name.includes("/") && !name.includes("\0");
}

/** Of OpenSSH's PROTOCOL, section 4.2. */
function readFreeSpace(reply: Reply, violated: (why: string) => Error): FreeSpace | undefined {
  if (reply.type !== "extended") return undefined;
  try {
    const [, fragmentBytes = 0, blocks = 0, , available = 0, files, , freeFiles = 0, , flags = 0] =
      Array.from({ length: 11 }, reply.fields.uint64);
    // File systems that are not on a disk have no size.
    if (blocks === 0) return undefined;
    return {
      freeBytes: available * fragmentBytes,
      // Btrfs, for one, makes them as it needs them.
      freeFiles: files === 0 ? Number.POSITIVE_INFINITY : freeFiles,
      isReadOnly: flags % 2 === 1,
    };
  } catch {
    throw violated("a file system without numbers");
  }
}

/** Many requests are not awaited at once: one that nobody awaits any more must not end the process. */
function observed(files: FileSession): FileSession {
  const wrapped = Object.entries(files).map(([name, value]: [string, unknown]) => {
    if (typeof value !== "function") return [name, value];
    return [
      name,
      (...words: readonly unknown[]): unknown => {
        const result: unknown = value(...words);
        if (result instanceof Promise) result.catch(() => {});
        return result;
      },
    ];
  });
  return Object.fromEntries(wrapped) as FileSession;
}
