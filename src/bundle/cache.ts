import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { openOwnFiles } from "../system/own-files.ts";

/** What a cached build was made from: paths with the times, sizes and modes they had. */
export type Fingerprint = Readonly<Record<string, readonly [mtimeMs: number, size: number, mode: number]>>;

/** The controller's cache directory: `$XDG_CACHE_HOME/volley`, default `~/.cache/volley`. */
export function cacheDirectory(env: NodeJS.ProcessEnv = process.env): string {
  return join(env.XDG_CACHE_HOME || join(env.HOME || homedir(), ".cache"), "volley");
}

/** The times and sizes of files and directories now; a path that is gone has none. */
export function fingerprint(paths: Iterable<string>): Fingerprint {
  const found: Record<string, Fingerprint[string]> = {};
  for (const path of paths) {
    const stats = fs.statSync(path, { throwIfNoEntry: false });
    if (stats !== undefined) found[path] = [stats.mtimeMs, stats.isDirectory() ? 0 : stats.size, stats.mode];
  }
  return found;
}

/** Whether everything is as it was when a fingerprint was taken. */
export function isFresh(taken: Fingerprint): boolean {
  const now = fingerprint(Object.keys(taken));
  return Object.entries(taken).every(
    ([path, [mtimeMs, size, mode]]) =>
      now[path]?.[0] === mtimeMs && now[path][1] === size && now[path][2] === mode,
  );
}

/** A directory of the cache, for one key. */
export interface CacheSlot {
  /** A value written as JSON, or undefined when there is none that can be read. */
  readJson<T>(name: string): T | undefined;
  readBytes(name: string): Buffer | undefined;
  /** Writes atomically; a cache that cannot be written costs time, not the run. */
  write(name: string, content: string | Uint8Array): void;
}

/** Opens the slot of a key below `builds`; what another account may have written is no cache. */
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
