import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { mkdtemp, open, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { VolleyError } from "../../core/errors.ts";
import type { RuntimeArch, RuntimeTraits } from "../../core/runtimes.ts";
import { fileReason, writeReason } from "../../core/unix/user-file.ts";
import { isRecord } from "../../core/values/value.ts";
import { makeDirectories } from "../../system/directories.ts";
import { cacheDirectory, isOwn, openOwnFiles } from "../../system/own-files.ts";
import { machineId, processStart } from "../../system/this-process.ts";
import { runtimeArch } from "./builds.ts";

// The runtimes of this controller: what is there, and how one is read, kept and removed.

/** A build of Node that Volley carries to hosts: an archive with `bin/node`, `LICENSE` and, where it has libraries, `lib/` with their licences. */
export interface Runtime extends RuntimeTraits {
  /** The path of the archive, a `.tar.gz`. */
  readonly file: string;
}

/** All that is written down of a runtime; the rest follows from the id. */
type RuntimeRecord = Omit<Runtime, "file">;

const BELOW = "runtimes";
/** Age after which an archive without a record is left over, and not one that is about to get its record. */
const ORPHAN_MS = 60 * 60 * 1_000;
/** Age after which another machine's workspace is left over: its process cannot be looked up. */
const OTHERS_MS = 24 * 60 * 60 * 1_000;
const ARCHIVE = /^([0-9a-f]{64})\.tar\.gz$/;
const WORKSPACE = /^\.fetch-([0-9a-f-]+)-(\d+)-(\d*)-/;

/** The directory of this user's runtimes. */
export function runtimesDirectory(): string {
  return join(cacheDirectory(), BELOW);
}

/**
 * List the runtimes, by architecture, of each the newest version first. Archives are not read: only an archive that is
 * missing, has another size, or may have been written by another account is left out.
 */
export function listRuntimes(): readonly Runtime[] {
  return readRecords()
    .map((record) => ({ ...record, file: archivePath(record.id) }))
    .filter(({ file, bytes }) => {
      const stats = fs.lstatSync(file, { throwIfNoEntry: false });
      return stats?.isFile() === true && isOwn(stats) && stats.size === bytes;
    })
    .sort(
      (one, other) =>
        one.arch.localeCompare(other.arch) ||
        other.version.localeCompare(one.version, "en", { numeric: true }),
    );
}

/** Read a runtime's archive. Fails with `RUNTIME_FAILED` unless its SHA-256 is the runtime's id. */
export async function readRuntime({ id, arch, version, file }: Runtime): Promise<Buffer> {
  const refuse = (fault: string, cause?: unknown): VolleyError =>
    new VolleyError("RUNTIME_FAILED", `the runtime ${arch} (Node ${version}) in ${file} ${fault}`, {
      cause,
      hint: `volley runtime fetch --arch ${arch} brings it anew`,
    });
  let bytes: Buffer;
  try {
    const opened = await open(file, fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW);
    try {
      if (!isOwn(await opened.stat())) throw refuse("may have been written by another account");
      bytes = await opened.readFile();
    } finally {
      await opened.close();
    }
  } catch (thrown) {
    throw thrown instanceof VolleyError ? thrown : refuse(`cannot be read: ${fileReason(thrown)}`, thrown);
  }
  if (createHash("sha256").update(bytes).digest("hex") !== id) throw refuse("is damaged");
  return bytes;
}

/**
 * Make a directory in which a runtime is put together, beside the runtimes so that its archive can be renamed. Removes
 * what runs that were ended left. Fails with `RUNTIME_FAILED` where this user's cache cannot be written, or where other
 * accounts can write to it.
 */
export async function makeWorkspace(): Promise<string> {
  const directory = runtimesDirectory();
  const own = `.fetch-${machineId()}-${process.pid}-${processStart(process.pid) ?? ""}-`;
  let made: string;
  try {
    makeDirectories(directory, 0o700);
    made = await mkdtemp(join(directory, own));
  } catch (thrown) {
    throw cannotKeep(thrown);
  }
  for (const path of [cacheDirectory(), directory]) {
    if (isOwn(fs.lstatSync(path))) continue;
    await rm(made, { recursive: true, force: true });
    throw new VolleyError("RUNTIME_FAILED", `${path} is not used: another account can write to it`, {
      hint: `make it yours, with mode 0700: chmod go-w ${path}`,
    });
  }
  removeLeftovers();
  return made;
}

/**
 * Keep an archive as the runtime of its architecture, in place of those that were kept before. Fails with
 * `RUNTIME_FAILED` where the cache cannot be written.
 */
export async function keepRuntime(
  workspace: string,
  archive: string,
  record: RuntimeRecord,
): Promise<Runtime> {
  const file = archivePath(record.id);
  const name = `${record.arch}-${record.version}.json`;
  const before = readRecords().filter(({ arch }) => arch === record.arch);
  try {
    const written = join(workspace, name);
    await writeFile(written, `${JSON.stringify(record)}\n`, { mode: 0o600, flush: true });
    // A record names only an archive that is there.
    await rename(archive, file);
    await rename(written, join(runtimesDirectory(), name));
  } catch (thrown) {
    throw cannotKeep(thrown);
  }
  for (const old of before) if (old.id !== record.id) await rm(archivePath(old.id), { force: true });
  for (const { version } of before)
    if (version !== record.version) await rm(recordPath(record.arch, version), { force: true });
  return { ...record, file };
}

/**
 * Remove the runtimes of some architectures, also those that {@link listRuntimes} leaves out. Returns the bytes of their
 * archives, by architecture. Fails with `RUNTIME_FAILED` where a file cannot be removed.
 */
export function removeRuntimes(archs: readonly RuntimeArch[]): ReadonlyMap<RuntimeArch, number> {
  const removed = new Map<RuntimeArch, number>();
  const records = readRecords();
  const goes = (arch: RuntimeArch): boolean => archs.includes(arch);
  const staying = new Set(records.filter(({ arch }) => !goes(arch)).map(({ id }) => id));
  try {
    for (const { arch, id } of records.filter((record) => goes(record.arch))) {
      const { size = 0 } = fs.lstatSync(archivePath(id), { throwIfNoEntry: false }) ?? {};
      if (!staying.has(id)) fs.rmSync(archivePath(id), { force: true });
      removed.set(arch, (removed.get(arch) ?? 0) + size);
    }
    // By their names, because a damaged record is to go as well.
    for (const name of namesIn(runtimesDirectory()))
      if (archs.some((arch) => name.startsWith(`${arch}-`) && name.endsWith(".json")))
        fs.rmSync(join(runtimesDirectory(), name), { force: true });
  } catch (thrown) {
    throw new VolleyError("RUNTIME_FAILED", `cannot remove a runtime: ${writeReason(thrown)}`, {
      cause: thrown,
    });
  }
  removeLeftovers();
  return removed;
}

/** Make the error for a cache that cannot be written. */
export function cannotKeep(thrown: unknown): VolleyError {
  return new VolleyError(
    "RUNTIME_FAILED",
    `cannot keep a runtime in ${runtimesDirectory()}: ${writeReason(thrown)}`,
    {
      cause: thrown,
      hint: "XDG_CACHE_HOME names another place for caches",
    },
  );
}

function archivePath(id: string): string {
  return join(runtimesDirectory(), `${id}.tar.gz`);
}

function recordPath(arch: RuntimeArch, version: string): string {
  return join(runtimesDirectory(), `${arch}-${version}.json`);
}

function namesIn(directory: string): readonly string[] {
  try {
    return fs.readdirSync(directory);
  } catch {
    return [];
  }
}

function readRecords(): readonly RuntimeRecord[] {
  const { read } = openOwnFiles(fs, cacheDirectory(), BELOW);
  return namesIn(runtimesDirectory())
    .filter((name) => name.endsWith(".json"))
    .map((name) => parseRecord(name, read(name)?.toString("utf8") ?? ""))
    .filter((record) => record !== undefined);
}

/** Parse a record; undefined unless it is whole, and of the architecture and version that its name says. */
function parseRecord(name: string, text: string): RuntimeRecord | undefined {
  let record: unknown;
  try {
    record = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isRecord(record)) return undefined;
  const { id, arch: givenArch, version, bytes, unpackedBytes, hasLibraries } = record;
  const arch = runtimeArch(String(givenArch));
  const isSound =
    arch !== undefined &&
    typeof id === "string" &&
    ARCHIVE.test(`${id}.tar.gz`) &&
    typeof version === "string" &&
    /^\d+\.\d+\.\d+$/.test(version) &&
    name === `${arch}-${version}.json` &&
    Number.isSafeInteger(bytes) &&
    Number.isSafeInteger(unpackedBytes) &&
    typeof hasLibraries === "boolean";
  if (!isSound) return undefined;
  return { id, arch, version, bytes: Number(bytes), unpackedBytes: Number(unpackedBytes), hasLibraries };
}

/** Remove workspaces of processes that have ended, and archives that no record names. Never fails. */
function removeLeftovers(): void {
  const known = new Set(readRecords().map(({ id }) => id));
  for (const name of namesIn(runtimesDirectory())) {
    const path = join(runtimesDirectory(), name);
    try {
      if (isLeftOver(name, Date.now() - fs.lstatSync(path).mtimeMs, known))
        fs.rmSync(path, { recursive: true, force: true });
    } catch {
      // Another process may have removed it; else it only takes space.
    }
  }
}

function isLeftOver(name: string, ageMs: number, known: ReadonlySet<string>): boolean {
  const archive = ARCHIVE.exec(name)?.[1];
  if (archive !== undefined) return !known.has(archive) && ageMs > ORPHAN_MS;
  const [, machine, pid, start] = WORKSPACE.exec(name) ?? [];
  if (machine === undefined) return false;
  return machine === machineId() ? processStart(Number(pid)) !== start : ageMs > OTHERS_MS;
}
