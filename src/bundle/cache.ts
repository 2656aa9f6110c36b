import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { join } from "node:path";
import { cacheDirectory, openOwnFiles } from "../system/own-files.ts";
import { statPath } from "../system/stat-path.ts";

/** The inputs of a cached build: paths with their times, sizes and modes. */
export type Fingerprint = Readonly<Record<string, readonly [mtimeMs: number, size: number, mode: number]>>;

/** Take the fingerprint of files and directories as they are now. A missing path has no entry. */
export function fingerprint(paths: Iterable<string>): Fingerprint {
  const found: Record<string, Fingerprint[string]> = {};
  for (const path of paths) {
    const stats = statPath(path);
    if (stats !== undefined) found[path] = [stats.mtimeMs, stats.isDirectory() ? 0 : stats.size, stats.mode];
  }
  return found;
}

/** Return whether every path of a fingerprint is unchanged. */
export function isFresh(taken: Fingerprint): boolean {
  const now = fingerprint(Object.keys(taken));
  return Object.entries(taken).every(
    ([path, [mtimeMs, size, mode]]) =>
      now[path]?.[0] === mtimeMs && now[path][1] === size && now[path][2] === mode,
  );
}

/** The cache directory of one key. */
export interface CacheSlot {
  /** Read a value that was written as JSON; undefined when the file is missing or unreadable. */
  readJson<T>(name: string): T | undefined;
  readBytes(name: string): Buffer | undefined;
  /** Write atomically. A cache that cannot be written costs time, not the run: this never fails. */
  write(name: string, content: string | Uint8Array): void;
}

/** Open the slot of a key below `builds`. Files that another account may have written are ignored. */
export function openSlot(key: string): CacheSlot {
  const hash = createHash("sha256").update(key).digest("hex").slice(0, 24);
  const { read, write } = openOwnFiles(fs, cacheDirectory(), join("builds", hash));
  return {
    readBytes: read,
    readJson: <T>(name: string): T | undefined => {
      try {
        return JSON.parse(read(name)?.toString("utf8") ?? "") as T;
      } catch {
        return undefined;
      }
    },
    write,
  };
}
