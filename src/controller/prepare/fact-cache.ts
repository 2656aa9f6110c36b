import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { AnsibleSettings } from "../../ansible/config/settings.ts";
import { messageOf, VolleyError } from "../../core/errors.ts";
import type { FactCache } from "../../core/program.ts";
import { isDict, parseJson, writeJson } from "../../core/values/value.ts";
import { makeDirectories } from "../../system/directories.ts";

/** The place of a fact cache. */
interface FactCacheOptions {
  readonly directory: string;
  /** Stands before the name of each host's file. */
  readonly prefix: string;
  /** Older files count for nothing. 0: no file is too old. */
  readonly timeoutMs: number;
}

/** Ansible's `fact_caching_timeout`, in seconds. */
const DEFAULT_TIMEOUT_S = 86_400;

/**
 * Open the fact cache that Ansible's settings ask for; undefined for none. As Ansible's cache plugin `jsonfile` it has a
 * file for each host, so that Ansible and Volley read each other's. Fails with `USAGE` where its directory is not set.
 */
export function openFactCache(settings: AnsibleSettings | undefined): FactCache | undefined {
  const { factCaching, factCachingConnection, factCachingPrefix, factCachingTimeout } = settings ?? {};
  if (!/^(?:ansible\.builtin\.)?jsonfile$/.test(factCaching?.value ?? "")) return undefined;
  if (factCachingConnection === undefined)
    throw new VolleyError("USAGE", `${factCaching!.from}: the fact cache jsonfile has no directory`, {
      hint: "set fact_caching_connection, or ANSIBLE_CACHE_PLUGIN_CONNECTION",
    });
  return createFactCache({
    directory: factCachingConnection.value,
    prefix: factCachingPrefix?.value ?? "",
    timeoutMs: (factCachingTimeout?.value ?? DEFAULT_TIMEOUT_S) * 1000,
  });
}

function createFactCache({ directory, prefix, timeoutMs }: FactCacheOptions): FactCache {
  /** A host named like a path has no file: it would lie elsewhere. */
  const fileOf = (host: string): string | undefined =>
    host.includes("/") ? undefined : join(directory, `${prefix}${host}`);
  const drop = (host: string): void => {
    const file = fileOf(host);
    if (file !== undefined) rmSync(file, { force: true });
  };
  return {
    load: (host) => {
      const file = fileOf(host);
      const age = file === undefined ? undefined : statSync(file, { throwIfNoEntry: false })?.mtimeMs;
      if (file === undefined || age === undefined) return undefined;
      if (timeoutMs > 0 && Date.now() - age > timeoutMs) return undefined;
      try {
        const facts = parseJson(readFileSync(file, "utf8"));
        if (isDict(facts) && !(facts instanceof Map)) return facts;
      } catch {
        // A file that was cut off is no better than none, and the next facts replace it.
      }
      return undefined;
    },
    save: (host, facts) => {
      const file = fileOf(host);
      if (file === undefined) return;
      const temporary = `${file}.${process.pid}~`;
      try {
        makeDirectories(directory);
        const text = writeJson(facts, { indent: "    ", compareKeys: byName, ensureAscii: true });
        writeFileSync(temporary, text, { mode: 0o600 });
        renameSync(temporary, file);
      } catch (cause) {
        rmSync(temporary, { force: true });
        throw new VolleyError("FILE_FAILED", `cannot keep the facts of ${host}: ${messageOf(cause)}`, {
          cause,
        });
      }
    },
    drop,
  };
}

function byName(one: unknown, other: unknown): number {
  const [a, b] = [String(one), String(other)];
  return a < b ? -1 : a > b ? 1 : 0;
}
