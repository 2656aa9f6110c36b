import type { Redis } from "ioredis";
import type { QueueKey } from "../seal.ts";
import { cachedBundles } from "./cached.ts";
import { openBundleStore } from "./store.ts";

/** Return the function by which a worker gets bundles: from its cache, else from the store of their run. */
export function createWorkerBundles({
  prefix,
  keys,
}: {
  readonly prefix: string;
  readonly keys: readonly QueueKey[];
}): (redis: Redis, id: string, store: string | undefined) => Promise<Buffer> {
  const caches = new Map<string | undefined, ReturnType<typeof cachedBundles>>();
  return (redis, id, store) => {
    const cache = caches.get(store) ?? cachedBundles(openBundleStore(store, { redis, prefix, keys }));
    caches.set(store, cache);
    return cache.get(id);
  };
}
