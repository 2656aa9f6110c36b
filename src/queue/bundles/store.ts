import type { Redis } from "ioredis";
import { printable, VolleyError } from "../../core/errors.ts";
import type { QueueKey } from "../seal.ts";
import { type AgeFiles, ageFilesOf } from "./age-files.ts";
import { MAX_BUNDLE_BYTES, type Place, sha256 } from "./place.ts";
import { redisPlace } from "./redis-place.ts";
import { s3Place } from "./s3-place.ts";
import { webPlace } from "./web-place.ts";

// Where bundles lie between controller and workers: encrypted, and named by their SHA-256.

/** Holds the bundles of runs. Calls fail with `QUEUE_FAILED` when the store does not do its work. */
export interface BundleStore {
  /** Tell whether a bundle is there. In Redis, where bundles expire 7 days after the last run, it stays for 7 days more. */
  has(id: string): Promise<boolean>;
  /** Store a bundle under its SHA-256; one that is there is not sent again. */
  put(id: string, bytes: Uint8Array): Promise<void>;
  /**
   * Return a bundle. Fails with `QUEUE_FAILED` for one that is not there, and with `QUEUE_REFUSED` for one that was not
   * encrypted with a queue key, or whose SHA-256 is another.
   */
  get(id: string): Promise<Buffer>;
}

/** The surroundings of a {@link BundleStore}. */
export interface BundleStoreOptions {
  /** The queue's own server, where bundles lie by default. */
  readonly redis: Redis;
  /** The beginning of names in Redis, before a colon. */
  readonly prefix: string;
  /** The keys of the queue: the first encrypts, and each decrypts. */
  readonly keys: readonly QueueKey[];
  /** Has the logins of stores, and proxies. Default: the process's own environment. */
  readonly env?: NodeJS.ProcessEnv;
  /** Milliseconds before each new attempt of a request to a web server that failed. Default: 0.3, 1 and 3 s. */
  readonly pausesMs?: readonly number[];
}

const PAUSES_MS = [300, 1_000, 3_000];

/**
 * Open the store of a URL: `https://host/path/` for a web server that takes PUT, `s3://bucket/prefix?endpoint=…&region=…`
 * for S3 and what is compatible with it; undefined for the queue's own server. Fails with `USAGE` for another URL.
 */
export function openBundleStore(url: string | undefined, options: BundleStoreOptions): BundleStore {
  const place = openPlace(url, options);
  const files = options.keys.map(ageFilesOf);
  const [own] = files;
  if (own === undefined) throw new VolleyError("USAGE", "a queue needs a key");
  /** A queue key that took the place of another must not find bundles that it cannot open. */
  const nameOf = (id: string, { tag }: AgeFiles): string => `${checkedId(id)}.${tag}`;
  return {
    has: (id) => place.has(nameOf(id, own)),
    put: async (id, bytes) => {
      if (bytes.length > MAX_BUNDLE_BYTES)
        throw new VolleyError(
          "QUEUE_FAILED",
          `the bundle has ${bytes.length} bytes, and a queue takes at most ${MAX_BUNDLE_BYTES}`,
        );
      const name = nameOf(id, own);
      if (!(await place.has(name))) await place.put(name, await own.encrypt(bytes));
    },
    get: async (id) => {
      const what = `the bundle ${checkedId(id).slice(0, 12)} in ${place.shown}`;
      for (const each of files) {
        const file = await place.get(nameOf(id, each));
        if (file === undefined) continue;
        const bytes = await each.decrypt(file, what);
        if (sha256(bytes) === id) return bytes;
        throw new VolleyError("QUEUE_REFUSED", `${what} is another one: its SHA-256 is ${sha256(bytes)}`);
      }
      throw new VolleyError("QUEUE_FAILED", `${what} is not there`, { hint: place.hintIfMissing });
    },
  };
}

function openPlace(
  text: string | undefined,
  { redis, prefix, env = process.env, pausesMs = PAUSES_MS }: BundleStoreOptions,
): Place {
  if (text === undefined) return redisPlace(redis, prefix);
  const url = URL.canParse(text) ? new URL(text) : undefined;
  switch (url?.protocol) {
    case "https:":
    case "http:":
      return webPlace(url, env, pausesMs);
    case "s3:":
      return s3Place(url, env, pausesMs);
    default:
      throw new VolleyError(
        "USAGE",
        // The URL may have a password.
        `a bundle store is https://HOST/PATH/ or s3://BUCKET/PREFIX, not ${url === undefined ? "a text that is no URL" : `${printable(url.protocol, 40)}…`}`,
      );
  }
}

/** Ids become parts of paths and URLs. */
function checkedId(id: string): string {
  if (/^[0-9a-f]{64}$/.test(id)) return id;
  throw new VolleyError("QUEUE_REFUSED", `"${printable(id, 80)}" is not the id of a bundle`);
}
