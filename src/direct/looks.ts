import { posix } from "node:path";
import { performance } from "node:perf_hooks";
import type { FileType, Stat } from "../core/system.ts";
import type { FileSession } from "../transport/file-session.ts";
import type { FileAttributes } from "../transport/sftp/codec.ts";

/** What the host said of a path counts until nobody has asked it anything for so long: as long as one action goes on. */
const IDLE_MS = 100;
/** But no longer than this. */
const FRESH_MS = 2_000;

const TYPE_BITS = 0o170000;
const TYPES: readonly (readonly [bits: number, type: FileType])[] = [
  [0o100000, "file"],
  [0o040000, "directory"],
  [0o120000, "link"],
  [0o010000, "fifo"],
  [0o140000, "socket"],
  [0o060000, "block"],
  [0o020000, "character"],
];

/** Looks at paths. */
export interface Looks {
  stat(path: string): Promise<Stat | null>;
  lstat(path: string): Promise<Stat | null>;
  /** Looks at the directories above a path, outermost first, without following links. */
  above(path: string): Promise<readonly (Stat | null)[]>;
  /** What is known without asking; undefined for nothing. */
  known(path: string): Stat | null | undefined;
  /** The shortest time, in milliseconds, that an answer has taken. */
  readonly roundTripMs: number;
  /** The host has answered something else. */
  touch(): void;
  /** Something may have changed. */
  forget(): void;
}

interface Answer {
  readonly value: Promise<Stat | null>;
  settled: Stat | null | undefined;
  /** By `performance.now()`; undefined until there is one. */
  answeredAt: number | undefined;
}

/**
 * Looks at paths over SFTP. Actions ask for a path, then for where its links lead, then for the directory it is in: all
 * three are asked for at once, and answers serve whoever asks while the same action goes on. With `asksAbove` all
 * directories above the path are asked for too.
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
    // Nobody has asked for it yet: what is wrong with it is told to who does.
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

/** The directories above a path but the root, outermost first. */
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
    type: typeOf(mode),
    mode: mode & 0o7777,
    uid,
    gid,
    size,
    mtimeMs: mtime * 1000,
    atimeMs: atime * 1000,
    inode: 0,
    device: 0,
    links: 0,
  };
}

/** The type in the mode that stat(2) gives. */
export function typeOf(mode: number): FileType {
  return TYPES.find(([bits]) => bits === (mode & TYPE_BITS))?.[1] ?? "file";
}
