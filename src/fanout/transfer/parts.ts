import { createHash, randomBytes } from "node:crypto";
import { readdir, readFile, unlink, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join, posix } from "node:path";
import { isRecord } from "../../core/values/value.ts";
import { makeDirectories } from "../../system/directories.ts";
import { stateDirectory } from "../../system/own-files.ts";
import { bootId, isAlive, processStart } from "../../system/this-process.ts";

/**
 * Files under temporary names ("parts"). Each name is unpredictable and collides with no file. A record on this machine names
 * each part that is left over, so no other file is ever taken for a part.
 */
export interface Parts {
  /** Return a temporary name beside a file. `isLasting`: record it at once, before the part exists. */
  begin(path: string, isLasting: boolean): Promise<string>;
  /** Record a part that is left over, for a later transfer of the same file. */
  keep(path: string, part: string): Promise<void>;
  /** Forget a part that no longer exists. */
  forget(part: string): Promise<void>;
  /** Return the parts that earlier transfers of a file left; no other caller gets them. */
  claim(path: string): Promise<readonly string[]>;
  /** Return all recorded parts, including those of running transfers. */
  known(): Promise<ReadonlySet<string>>;
}

interface PartRecord {
  readonly path: string;
  readonly part: string;
  /** The writing process and its machine: machines may share a home. */
  readonly machine: string;
  readonly pid: number;
  readonly start: string;
  readonly boot: string;
  /** Milliseconds since 1970. */
  readonly writtenAt: number;
}

/** The place of this machine's files, for {@link openParts}. */
export const HERE = "here";

const MAX_NAME_BYTES = 255;
const NONCE = /\.volley-([0-9a-f]{32})$/;
/** Age after which another machine's part counts as left over: its process cannot be checked. */
const OTHERS_MS = 24 * 60 * 60 * 1_000;
/** Parts that this process is writing. */
const inUse = new Set<string>();

/** Return `.NAME.volley-NONCE` beside a file, without the name where that would be too long. */
export function partPath(path: string): string {
  const suffix = `.volley-${randomBytes(16).toString("hex")}`;
  const part = `.${posix.basename(path)}${suffix}`;
  return posix.join(posix.dirname(path), Buffer.byteLength(part) <= MAX_NAME_BYTES ? part : suffix);
}

/**
 * Open the records of a place: {@link HERE}, or a user's files on a host. Where no record can be written, no part is
 * continued later.
 */
export function openParts(place: string): Parts {
  const name = createHash("sha256").update(place).digest("hex").slice(0, 32);
  const directory = join(stateDirectory(), "parts", name);
  const recordOf = (part: string): string => join(directory, `${NONCE.exec(part)?.[1]}.json`);
  let found: Promise<readonly PartRecord[]> | undefined;
  const all = (): Promise<readonly PartRecord[]> => {
    found ??= readRecords(directory);
    return found;
  };
  const write = async (path: string, part: string): Promise<void> => {
    const { pid } = process;
    const ours = { machine: hostname(), pid, start: processStart(pid) ?? "", boot: bootId() };
    const record: PartRecord = { path, part, ...ours, writtenAt: Date.now() };
    makeDirectories(directory, 0o700);
    await writeFile(recordOf(part), JSON.stringify(record), { mode: 0o600 });
  };
  return {
    begin: async (path, isLasting) => {
      const part = partPath(path);
      inUse.add(part);
      if (isLasting) await write(path, part).catch(() => {});
      return part;
    },
    keep: async (path, part) => {
      await write(path, part).catch(() => {});
      inUse.delete(part);
    },
    forget: async (part) => {
      inUse.delete(part);
      await unlink(recordOf(part)).catch(() => {});
    },
    claim: async (path) => {
      const claimed: string[] = [];
      for (const record of await all()) {
        if (record.path !== path || isGoingOn(record)) continue;
        try {
          // Of two concurrent claims, one finds the record gone.
          await unlink(recordOf(record.part));
          inUse.add(record.part);
          await write(path, record.part);
          claimed.push(record.part);
        } catch {
          inUse.delete(record.part);
        }
      }
      return claimed;
    },
    known: async () => new Set((await all()).map(({ part }) => part)),
  };
}

function isGoingOn({ part, machine, pid, start, boot, writtenAt }: PartRecord): boolean {
  if (inUse.has(part)) return true;
  if (machine !== hostname()) return Date.now() < writtenAt + OTHERS_MS;
  if (pid === process.pid) return false;
  return start === "" ? hasProcess(pid) : isAlive({ pid, start, boot });
}

/** Return whether a process of this number runs, on systems without /proc. */
function hasProcess(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code === "EPERM";
  }
}

async function readRecords(directory: string): Promise<readonly PartRecord[]> {
  const names = await readdir(directory).catch(() => []);
  const records = names
    .filter((name) => /^[0-9a-f]{32}\.json$/.test(name))
    .map((name) => readRecord(join(directory, name)));
  return (await Promise.all(records)).filter((record) => record !== undefined);
}

async function readRecord(file: string): Promise<PartRecord | undefined> {
  try {
    const read: unknown = JSON.parse(await readFile(file, "utf8"));
    return isPartRecord(read) ? read : undefined;
  } catch {
    return undefined;
  }
}

function isPartRecord(value: unknown): value is PartRecord {
  if (!isRecord(value) || typeof value.pid !== "number" || typeof value.writtenAt !== "number") return false;
  const texts = [value.path, value.part, value.machine, value.start, value.boot];
  return texts.every((text) => typeof text === "string") && NONCE.test(String(value.part));
}
