import { randomBytes } from "node:crypto";
import type { Writable } from "node:stream";
import { VolleyError } from "../../core/errors.ts";
import { quote } from "../../core/unix/shell.ts";
import { bytesToText, textToBytes } from "../../core/values/bytes.ts";
import { type FileAttributes, MAX_DATA_BYTES, OPEN, STATUS } from "../sftp/codec.ts";
import { observed } from "../sftp/files.ts";
import { refused, sftpStatus } from "../sftp/requests.ts";
import type { DirectoryEntry, FileHandle, FileSession } from "../transport.ts";
import { DESCRIPTORS, greetingLine, STAT_FORMAT } from "./server.ts";

/** A server's greeting. */
interface Greeting {
  /** True where the server's machine has /proc: attributes of open files are then those of the file, wherever it is. */
  readonly hasProc: boolean;
}

/** A running server, past its greeting. */
interface ShellServer extends Greeting {
  readonly host: string;
  readonly stdin: Writable;
  /** End the session: every request fails with this error. */
  fail(error: VolleyError): void;
  readonly closed: Promise<unknown>;
}

/** A session with {@link SHELL_FILES_SCRIPT}. */
export interface ShellFiles {
  readonly files: FileSession;
  /** Take a chunk of the server's output. */
  receive(chunk: Buffer): void;
  /** Fail requests in flight, and all later ones. */
  fail(error: VolleyError): void;
}

/** Read the beginning of a server's output; undefined: it is not this server, `partial`: more must come to tell. */
export function readShellGreeting(bytes: Buffer): Greeting | "partial" | undefined {
  const text = bytes.toString("latin1");
  for (const hasProc of [true, false]) {
    const line = greetingLine(hasProc);
    if (text === line) return { hasProc };
    if (line.startsWith(text)) return "partial";
  }
  return undefined;
}

/** A file that the client has open. */
interface OpenFile {
  readonly path: string;
  readonly writes: boolean;
  /** Undefined while the descriptor serves another file; only files that are read can be opened again. */
  descriptor: number | undefined;
  /** The descriptor's position. */
  at: number;
}

/** Largest output of one request besides data: a list of a million entries. */
const MAX_OUTPUT_BYTES = 256 << 20;
/** Files open for writing at a time: a descriptor is left for those that are read, which lend theirs to each other. */
const MAX_WRITERS = DESCRIPTORS.length - 1;

const NEWLINE = 10;

/** The client of {@link SHELL_FILES_SCRIPT}: the lines for the server, one at a time, and what came of them. */
class Requests {
  readonly #nonce = `volley${randomBytes(12).toString("hex")}`;
  readonly #mark = Buffer.from(`\n${this.#nonce}!`);
  readonly #host: string;
  readonly #stdin: Writable;
  readonly #end: ShellServer["fail"];
  #held: Buffer[] = [];
  #heldBytes = 0;
  #waiting:
    | {
        readonly limit: number;
        resolve(output: readonly [Buffer, string]): void;
        reject(error: unknown): void;
      }
    | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  #failure: VolleyError | undefined;

  constructor({ host, stdin, fail }: ShellServer) {
    this.#host = host;
    this.#stdin = stdin;
    this.#end = fail;
    stdin.write(`n=${this.#nonce}\n`);
  }

  /** The prefix of a line that describes an entry of a directory. */
  get entryMark(): string {
    return `${this.#nonce}:`;
  }

  /** Do the work of a request once those before it are done. */
  inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => {});
    return done;
  }

  /** Return a call whose items are worked on together where they wait for the same turn. */
  together<I, O>(work: (items: readonly I[]) => Promise<readonly O[]>): (item: I) => Promise<O> {
    let next: { readonly items: I[]; readonly done: Promise<readonly O[]> } | undefined;
    const begin = (): NonNullable<typeof next> => {
      const items: I[] = [];
      const done = this.inTurn(() => {
        next = undefined;
        return work(items);
      });
      return { items, done };
    };
    return async (item) => {
      next ??= begin();
      const { items, done } = next;
      const index = items.push(item) - 1;
      return (await done)[index]!;
    };
  }

  /** Send a line, and return its output. Only within {@link inTurn}. Fails with what the server refused. */
  async line(
    what: string,
    words: readonly string[],
    bytes?: Uint8Array,
    limit = MAX_OUTPUT_BYTES,
  ): Promise<Buffer> {
    const [output, error] = await new Promise<readonly [Buffer, string]>((resolve, reject) => {
      if (this.#failure !== undefined) return reject(this.#failure);
      this.#waiting = { limit: limit + 4_096, resolve, reject };
      this.#stdin.write(textToBytes(`${words.map(quoteLine).join(" ")}\n`));
      if (bytes !== undefined) this.#stdin.write(Buffer.from(bytes));
    });
    if (error === "") return output;
    throw refused(this.#host, what, statusOf(error), error.slice(error.lastIndexOf(": ") + 1).trim());
  }

  receive(chunk: Buffer): void {
    if (this.#failure !== undefined) return;
    this.#held.push(chunk);
    this.#heldBytes += chunk.length;
    if (chunk.at(-1) !== NEWLINE && this.#heldBytes <= (this.#waiting?.limit ?? 0)) return;
    const held = this.#join();
    const at = held.lastIndexOf(this.#mark);
    const from = at + this.#mark.length;
    if (at >= 0 && held.indexOf(NEWLINE, from) === held.length - 1) {
      this.#held = [];
      this.#heldBytes = 0;
      const waiting = this.#waiting;
      this.#waiting = undefined;
      waiting?.resolve([held.subarray(0, at), held.toString("utf8", from, held.length - 1)]);
    } else if (this.#waiting === undefined || held.length > this.#waiting.limit) {
      this.#end(new VolleyError("SFTP_FAILED", `${this.#host}: the file server's answer has no end`));
    }
  }

  fail(error: VolleyError): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    this.#waiting?.reject(error);
    this.#waiting = undefined;
  }

  #join(): Buffer {
    const whole = this.#held.length === 1 ? this.#held[0]! : Buffer.concat(this.#held);
    this.#held = [whole];
    return whole;
  }
}

/** Quote a word for the server, which reads line by line. */
function quoteLine(word: string): string {
  return quote(word).replaceAll("\n", `'"$N"'`);
}

function statusOf(error: string): number {
  if (/no such file|not a directory|too many levels|not found|nonexistent/i.test(error))
    return STATUS.noSuchFile;
  if (/permission denied|operation not permitted/i.test(error)) return STATUS.permissionDenied;
  if (/file name too long/i.test(error)) return STATUS.badMessage;
  return STATUS.failure;
}

/** A path that no program takes for an option. */
function plain(path: string): string {
  return path.startsWith("/") ? path : `./${path}`;
}

const octal = (mode: number): string => mode.toString(8);
/** The bits that a new file of a mode must not have, for `umask`. */
const without = (mode: number): string => octal(~mode & 0o777);

/** Return a session with the script as its server. */
export function createShellFiles(server: ShellServer): ShellFiles {
  const { host, hasProc } = server;
  const requests = new Requests(server);
  const open = new Map<FileHandle, OpenFile>();
  const free = [...DESCRIPTORS];
  /** Files that are read and have a descriptor, the one used longest ago first. */
  const readers = new Set<OpenFile>();
  const writers = createPlaces(MAX_WRITERS);

  const fileOf = (handle: FileHandle, what: string): OpenFile => {
    const file = open.get(handle);
    if (file === undefined) throw refused(host, what, STATUS.failure, "the file is closed");
    return file;
  };
  /** The path of an open file, which leads to the file itself even where another has taken its place. */
  const pathOf = (file: OpenFile): string =>
    hasProc && file.descriptor !== undefined ? `/proc/self/fd/${file.descriptor}` : plain(file.path);
  /** Send a line in its turn. An open file's path is that of the moment: descriptors go from file to file. */
  const send = async (what: string, ...words: readonly (string | OpenFile)[]): Promise<Buffer> =>
    await requests.inTurn(() =>
      requests.line(
        what,
        words.map((word) => (typeof word === "string" ? word : pathOf(word))),
      ),
    );
  /** Carry out a command. */
  const run = (what: string, ...words: readonly (string | OpenFile)[]): Promise<Buffer> =>
    send(what, "r", ...words);
  const close = async (file: OpenFile): Promise<void> => {
    const { descriptor } = file;
    readers.delete(file);
    if (descriptor === undefined) return;
    file.descriptor = undefined;
    await requests.line(`close ${file.path}`, ["c", String(descriptor)]);
    free.push(descriptor);
  };
  const takeDescriptor = async (): Promise<number> => {
    if (free.length === 0) await close([...readers][0]!);
    return free.pop()!;
  };
  const openAs = async (file: OpenFile, how: string, mask: string, what: string): Promise<void> => {
    const descriptor = await takeDescriptor();
    try {
      await requests.line(what, ["o", String(descriptor), how, mask, plain(file.path)]);
    } catch (thrown) {
      free.push(descriptor);
      throw thrown;
    }
    file.descriptor = descriptor;
    file.at = 0;
    if (!file.writes) readers.add(file);
  };
  /** Set the descriptor to a position. */
  const seek = async (file: OpenFile, position: number, by: "g" | "s", what: string): Promise<string> => {
    if (file.writes ? position < file.at : file.descriptor === undefined || position < file.at) {
      if (file.writes) throw refused(host, what, STATUS.unsupported, "");
      await close(file);
      await openAs(file, "<", "0", what);
    }
    const descriptor = String(file.descriptor);
    if (position > file.at) await requests.line(what, ["r", by, descriptor, String(position - file.at)]);
    file.at = position;
    if (readers.delete(file)) readers.add(file);
    return descriptor;
  };
  const attributesOf = async (what: string, path: string, follow: boolean): Promise<FileAttributes> => {
    const output = await run(what, "stat", ...(follow ? ["-L"] : []), "-c", STAT_FORMAT, path);
    return readAttributes(output.toString("latin1"));
  };
  // Transfers of small files ask for many at a time: a process for each would take most of the time.
  const lookAt = requests.together(async (some: readonly OpenFile[]) => {
    const look = async (files: readonly OpenFile[]): Promise<readonly FileAttributes[]> => {
      const words = ["r", "stat", "-L", "-c", STAT_FORMAT, ...files.map(pathOf)];
      const output = await requests.line(`look at ${files[0]!.path}`, words);
      return output.toString("latin1").trimEnd().split("\n").map(readAttributes);
    };
    const found = some.length === 1 ? [] : await look(some).catch(() => []);
    if (found.length === some.length) return found.map((attributes) => async () => attributes);
    const each: PromiseSettledResult<readonly FileAttributes[]>[] = [];
    for (const file of some) each.push(...(await Promise.allSettled([look([file])])));
    return each.map((looked) => async () => {
      if (looked.status === "rejected") throw looked.reason;
      return looked.value[0]!;
    });
  });
  const flush = requests.together(async (some: readonly OpenFile[]) => {
    await requests.line("write files to the disk", ["z", ...some.map(pathOf)]);
    return some;
  });
  const orNull = async (path: string, follow: boolean): Promise<FileAttributes | null> => {
    try {
      return await attributesOf(`look at ${path}`, plain(path), follow);
    } catch (thrown) {
      if (sftpStatus(thrown) === STATUS.noSuchFile) return null;
      throw thrown;
    }
  };
  const change = async (
    what: string,
    path: string | OpenFile,
    attributes: FileAttributes,
    link = false,
  ): Promise<void> => {
    const { size, mode, mtime, atime = mtime, uid, gid } = attributes;
    const noFollow = link ? ["-h"] : [];
    if (link && (size !== undefined || mode !== undefined)) throw refused(host, what, STATUS.unsupported, "");
    if (size !== undefined) await run(what, "truncate", "-s", String(size), path);
    if (mode !== undefined) await run(what, "chmod", octal(mode & 0o7777), path);
    if (mtime !== undefined && atime !== undefined) {
      const [accessed, modified] = [Math.trunc(atime), Math.trunc(mtime)];
      if (link || accessed === modified)
        await run(what, "touch", "-c", ...noFollow, "-d", `@${modified}`, path);
      else await run(what, "a", String(accessed), String(modified), path);
    }
    if (uid !== undefined && gid !== undefined) await run(what, "chown", ...noFollow, `${uid}:${gid}`, path);
  };
  const oneLine = async (what: string, ...words: readonly string[]): Promise<string> =>
    bytesToText(await run(what, ...words)).replace(/\n$/, "");

  const files: FileSession = {
    maxReadBytes: MAX_DATA_BYTES,
    maxWriteBytes: MAX_DATA_BYTES,
    open: async (path, flags, { mode = 0o666 } = {}) => {
      const writes = (flags & (OPEN.write | OPEN.append)) !== 0;
      const what = `${writes ? "write" : "read"} ${path}`;
      const file: OpenFile = { path, writes, descriptor: undefined, at: 0 };
      if (writes) await writers.take();
      try {
        await requests.inTurn(() => openAs(file, redirection(flags), without(mode), what));
      } catch (thrown) {
        if (writes) writers.give();
        throw thrown;
      }
      const handle = randomBytes(8);
      open.set(handle, file);
      return handle;
    },
    closeHandle: async (handle) => {
      const file = fileOf(handle, "close a file");
      open.delete(handle);
      try {
        await requests.inTurn(() => close(file));
      } finally {
        if (file.writes) writers.give();
      }
    },
    read: async (handle, position, length) => {
      const file = fileOf(handle, "read a file");
      const what = `read ${file.path}`;
      const wanted = Math.min(length, MAX_DATA_BYTES);
      return await requests.inTurn(async () => {
        const descriptor = await seek(file, position, "g", what);
        const bytes = await requests.line(what, ["d", descriptor, String(wanted)], undefined, wanted);
        file.at += bytes.length;
        return bytes.length === 0 ? null : bytes;
      });
    },
    write: async (handle, position, given) => {
      const file = fileOf(handle, "write a file");
      // Callers use their buffer again.
      const bytes = Buffer.from(given);
      const what = `write ${file.path}`;
      if (bytes.length === 0) return;
      await requests.inTurn(async () => {
        const descriptor = await seek(file, position, "s", what);
        await requests.line(what, ["w", descriptor, String(bytes.length)], bytes);
        file.at += bytes.length;
      });
    },
    stat: (path) => orNull(path, true),
    lstat: (path) => orNull(path, false),
    fstat: async (handle) => (await lookAt(fileOf(handle, "look at a file")))(),
    setstat: (path, attributes) => change(`set attributes of ${path}`, plain(path), attributes),
    fsetstat: async (handle, attributes) => {
      const file = fileOf(handle, "set attributes of a file");
      await change(`set attributes of ${file.path}`, file, attributes);
    },
    lsetstat: (path, attributes) =>
      change(`set attributes of the link ${path}`, plain(path), attributes, true),
    list: async (path) => {
      const output = bytesToText(await run(`list ${path}`, "l", plain(path)));
      return output.split(requests.entryMark).slice(1).map(readEntry);
    },
    makeDirectory: async (path, { mode = 0o777 } = {}) =>
      void (await send(`make the directory ${path}`, "m", without(mode), plain(path))),
    removeDirectory: async (path) => void (await run(`remove the directory ${path}`, "rmdir", plain(path))),
    remove: async (path) => void (await run(`remove ${path}`, "rm", plain(path))),
    rename: async (from, to) => void (await send(`rename ${from} to ${to}`, "v", plain(from), plain(to))),
    readLink: (path) => oneLine(`read the link ${path}`, "readlink", "-v", plain(path)),
    symlink: async (target, path) => void (await run(`make the link ${path}`, "y", target, plain(path))),
    link: async (existing, path) =>
      void (await run(`link ${path} to ${existing}`, "k", plain(existing), plain(path))),
    realPath: (path) => oneLine(`resolve ${path}`, "readlink", "-v", "-f", plain(path)),
    expandPath: async (path) => {
      const [, user, rest = ""] = /^~([\w.-]*)(.*)$/s.exec(path) ?? [];
      const what = `resolve ${path}`;
      const full = user === undefined ? plain(path) : `${await oneLine(what, "h", user)}${rest}`;
      return await oneLine(what, "readlink", "-v", "-f", full);
    },
    freeSpace: async (path) => {
      const text = await oneLine(`look at ${path}`, "f", plain(path));
      const [numbers = "", access] = text.split("\n");
      const [blockBytes = 0, blocks = 0, available = 0, inodes = 0, freeInodes = 0] = numbers
        .split(" ")
        .map(Number);
      // File systems that are not on a disk have no size.
      if (!(blocks > 0)) return undefined;
      return {
        freeBytes: available * blockBytes,
        freeFiles: inodes === 0 ? Number.POSITIVE_INFINITY : freeInodes,
        isReadOnly: access === "ro",
      };
    },
    sync: async (handle) => {
      await flush(fileOf(handle, "write a file"));
    },
    close: () => server.fail(new VolleyError("CONNECTION_LOST", `${host}: the file session was closed`)),
    closed: server.closed,
  };
  return {
    files: observed(files),
    receive: (chunk) => requests.receive(chunk),
    fail: (error) => requests.fail(error),
  };
}

/** The redirection of sh for these flags; `+`: of a file that is there, `x`: of a new one. */
function redirection(flags: number): string {
  if ((flags & OPEN.append) !== 0) return ">>";
  if ((flags & OPEN.write) === 0) return "<";
  if ((flags & OPEN.exclusive) !== 0) return "x";
  if ((flags & OPEN.truncate) !== 0) return ">";
  return (flags & OPEN.create) !== 0 ? "<>" : "+";
}

function readAttributes(text: string): FileAttributes {
  const [mode = "", ...numbers] = text.trim().split(" ");
  const [uid = 0, gid = 0, size = 0, atime = 0, mtime = 0] = numbers.map(Number);
  return { mode: Number.parseInt(mode, 16), uid, gid, size, atime, mtime };
}

/** Read a line of an entry, behind its mark: the fields, and `./` with the name. */
function readEntry(line: string): DirectoryEntry {
  const [fields = "", name = ""] = splitOnce(line.replace(/\n$/, ""), " ./");
  return { name, attributes: readAttributes(fields) };
}

function splitOnce(text: string, mark: string): readonly [string, string] {
  const at = text.indexOf(mark);
  return at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at + mark.length)];
}

/** Places that callers wait for, in the order of asking. */
function createPlaces(count: number): { take(): Promise<void>; give(): void } {
  let left = count;
  const waiting: (() => void)[] = [];
  return {
    take: async () => {
      if (left > 0) left--;
      else await new Promise<void>((resolve) => waiting.push(resolve));
    },
    give: () => {
      const next = waiting.shift();
      if (next === undefined) left++;
      else next();
    },
  };
}
