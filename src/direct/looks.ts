import { posix } from "node:path";
import { performance } from "node:perf_hooks";
import { VolleyError } from "../core/errors.ts";
import type { ProcessResult, Stat } from "../core/system.ts";
import { attributesCommand, type Protection, protectionOf } from "../core/unix/permissions.ts";
import { type FileAttributes, fileType, STATUS } from "../transport/sftp/codec.ts";
import { sftpStatus } from "../transport/sftp/requests.ts";
import type { FileSession } from "../transport/transport.ts";

/** Answers count until no request was answered for so long: one action leaves no longer pause. */
const IDLE_MS = 100;
/** Longest life of an answer. */
const FRESH_MS = 2_000;

/** Looks at paths. */
interface Looks {
  stat(path: string): Promise<Stat | null>;
  lstat(path: string): Promise<Stat | null>;
  /** Look at the directories above a path, outermost first, without following links. */
  above(path: string): Promise<readonly (Stat | null)[]>;
  /** Return the known Stat of a path; undefined for unknown. */
  known(path: string): Stat | null | undefined;
  /** The shortest time of an answer so far; 0 before the first. */
  readonly roundTripMs: number;
  /** Note that the host has answered another request. */
  touch(): void;
  /** Forget all answers: files may have changed. */
  forget(): void;
}

interface Answer {
  readonly value: Promise<Stat | null>;
  settled: Stat | null | undefined;
  /** By `performance.now()`; undefined while the answer is awaited. */
  answeredAt: number | undefined;
}

/**
 * Look at paths over SFTP. Actions look at a path, then at the end of its links, then at its directory: all three are
 * requested at once, and the answers serve the whole action. With `asksAbove`, all directories above the path are
 * requested as well.
 */
export function createLooks(files: FileSession, asksAbove: boolean): Looks {
  let answers = new Map<string, Answer>();
  let lastAnswerAt = 0;
  let shortestMs = Number.POSITIVE_INFINITY;
  const isFresh = ({ answeredAt }: Answer): boolean => {
    const now = performance.now();
    return answeredAt === undefined || (now - lastAnswerAt < IDLE_MS && now - answeredAt < FRESH_MS);
  };
  const ask = (key: string, question: () => Promise<FileAttributes | null>): Answer => {
    const known = answers.get(key);
    if (known !== undefined && isFresh(known)) return known;
    const askedAt = performance.now();
    const answer: Answer = {
      value: question().then((found) => (found === null ? null : describe(found))),
      settled: undefined,
      answeredAt: undefined,
    };
    answers.set(key, answer);
    answer.value.then(
      (found) => {
        answer.settled = found;
        answer.answeredAt = performance.now();
        lastAnswerAt = answer.answeredAt;
        shortestMs = Math.min(shortestMs, lastAnswerAt - askedAt);
      },
      () => {
        answer.answeredAt = Number.NEGATIVE_INFINITY;
      },
    );
    return answer;
  };
  const look = (path: string, follow: boolean): Promise<Stat | null> => {
    const known = answers.get(`${follow ? "s" : "l"}${path}`);
    if (known !== undefined && isFresh(known)) return known.value;
    const itself = ask(`l${path}`, () => files.lstat(path));
    const led = ask(`s${path}`, () => files.stat(path));
    const parent = posix.dirname(path);
    // An error counts only for the call that asks for this directory.
    ask(`s${parent}`, () => files.stat(parent)).value.catch(() => {});
    if (asksAbove)
      for (const directory of directoriesAbove(path))
        ask(`l${directory}`, () => files.lstat(directory)).value.catch(() => {});
    const [wanted, other] = follow ? [led, itself] : [itself, led];
    other.value.catch(() => {});
    return wanted.value;
  };
  return {
    stat: (path) => look(path, true),
    lstat: (path) => look(path, false),
    above: (path) =>
      Promise.all(
        directoriesAbove(path).map((directory) => ask(`l${directory}`, () => files.lstat(directory)).value),
      ),
    known: (path) => {
      const answer = answers.get(`l${path}`);
      return answer !== undefined && isFresh(answer) ? answer.settled : undefined;
    },
    get roundTripMs() {
      return Number.isFinite(shortestMs) ? shortestMs : 0;
    },
    touch: () => {
      lastAnswerAt = performance.now();
    },
    forget: () => {
      answers = new Map();
    },
  };
}

/** Return the directories above a path without the root, outermost first. */
function directoriesAbove(path: string): readonly string[] {
  const names = posix.dirname(path).split("/").filter(Boolean);
  return names.map((_name, index) => `/${names.slice(0, index + 1).join("/")}`);
}

function describe({
  mode = 0o100000,
  uid = 0,
  gid = 0,
  size = 0,
  mtime = 0,
  atime = 0,
}: FileAttributes): Stat {
  return {
    type: fileType(mode) ?? "file",
    mode: mode & 0o7777,
    uid,
    gid,
    size,
    mtimeMs: mtime * 1000,
    atimeMs: atime * 1000,
    ctimeMs: 0,
    inode: 0,
    device: 0,
    links: 0,
    blocks: 0,
    blockSize: 0,
    rdev: 0,
  };
}

/** Runs a command. */
type Run = (argv: readonly string[]) => Promise<ProcessResult>;

/**
 * Look at a path by stat(1) of GNU or BusyBox, which knows more than SFTP: inode, device, links, blocks, the
 * time of the last change, and fractions of a second. Undefined where the command is missing or fails.
 */
export async function exactStat(run: Run, path: string, follow: boolean): Promise<Stat | undefined> {
  const format = "%f %u %g %s %i %d %h %b %o %t %T %X %Y %Z|%x|%y|%z";
  const argv = ["stat", ...(follow ? ["-L"] : []), "-c", format, path];
  const { code, stdout } = await run(argv).catch(() => ({ code: 127, stdout: "" }));
  const match = /^([0-9a-f]+( -?\w+){13})\|(.*)\|(.*)\|(.*)$/m.exec(stdout);
  if (code !== 0 || match === null) return undefined;
  const [, numbers = "", , atimeText = "", mtimeText = "", ctimeText = ""] = match;
  const [
    hex = "",
    uid,
    gid,
    size,
    inode,
    device,
    links,
    blocks,
    blockSize,
    major = "",
    minor = "",
    ...times
  ] = numbers.split(" ");
  const mode = Number.parseInt(hex, 16);
  return {
    type: fileType(mode) ?? "file",
    mode: mode & 0o7777,
    uid: Number(uid),
    gid: Number(gid),
    size: Number(size),
    mtimeMs: milliseconds(times[1], mtimeText),
    atimeMs: milliseconds(times[0], atimeText),
    ctimeMs: milliseconds(times[2], ctimeText),
    inode: Number(inode),
    device: Number(device),
    links: Number(links),
    blocks: Number(blocks),
    blockSize: Number(blockSize),
    rdev: deviceNumber(Number.parseInt(major, 16), Number.parseInt(minor, 16)),
  };
}

/** Join the two numbers of a device as Linux does (makedev(3)), for the numbers below 2^20. */
function deviceNumber(major: number, minor: number): number {
  return (minor & 0xff) + (major & 0xfff) * 0x100 + (minor & 0xfff00) * 0x1000;
}

/** Return milliseconds of seconds, with the fraction of a text such as `2026-11-22 10:00:00.123456789 +0000`. */
function milliseconds(seconds: string | undefined, text: string): number {
  const fraction = /\.(\d{1,9})/.exec(text)?.[1]?.padEnd(9, "0") ?? "0";
  return Number(seconds) * 1000 + Number(fraction) / 1e6;
}

/** A disk with less free room counts as full. */
const FULL_BYTES = 64 << 10;

/** The means to find out about a failure. */
export interface Witness {
  readonly files: FileSession;
  ask(argv: readonly string[]): Promise<ProcessResult>;
}

/** Return the attributes of a path that keep it from being changed. */
export async function protectionAt(ask: Witness["ask"], path: string): Promise<Protection | undefined> {
  const { stdout } = await ask(attributesCommand(path)).catch(() => ({ stdout: "" }));
  return protectionOf(path, stdout);
}

/** Run a file operation. Its error names path and reason in words, as errors of the local System do. */
export async function attempt<T>(
  { files, ask }: Witness,
  what: string,
  path: string,
  operation: () => Promise<T>,
): Promise<T> {
  try {
    return await operation();
  } catch (thrown) {
    const status = sftpStatus(thrown);
    if (status === undefined) throw thrown;
    const protection = status === STATUS.permissionDenied ? await protectionAt(ask, path) : undefined;
    const reason =
      protection?.reason ?? (await reasonOf(files, what, path, status, (thrown as Error).message));
    throw new VolleyError("FILE_FAILED", `cannot ${what} ${path}: ${reason}`, {
      cause: thrown,
      ...(protection === undefined ? {} : { hint: protection.hint }),
    });
  }
}

/** Find the reason of a refusal: OpenSSH's server has one status for most reasons, so look at the path. */
async function reasonOf(
  files: FileSession,
  what: string,
  path: string,
  status: number,
  said: string,
): Promise<string> {
  switch (status) {
    case STATUS.noSuchFile:
      return "no such file or directory";
    case STATUS.permissionDenied:
      return "permission denied";
    case STATUS.badMessage:
      return "the name is too long";
    case STATUS.unsupported:
      return "the host's SFTP server cannot do that";
    default:
  }
  const [found, room] = await Promise.all([
    files.lstat(path).catch(() => null),
    files.freeSpace(path.slice(0, path.lastIndexOf("/")) || "/").catch(() => undefined),
  ]);
  if (room !== undefined && room.freeBytes < FULL_BYTES && /write|make|link/.test(what))
    return "no space left on the device";
  if (found !== null && /make|link/.test(what)) return "it exists already";
  if (fileType(found?.mode) === "directory")
    return /read|write|rename/.test(what) ? "it is a directory" : "the directory is not empty";
  return said.split(": ").at(-1) ?? said;
}

/** Return whether an error is that of a missing file. */
export function isMissing(thrown: unknown): boolean {
  return sftpStatus(thrown) === STATUS.noSuchFile;
}
