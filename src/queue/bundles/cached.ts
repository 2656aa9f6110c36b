import * as fs from "node:fs";
import { basename, dirname, join } from "node:path";
import { cacheDirectory, openOwnFiles } from "../../system/own-files.ts";
import { sha256 } from "./place.ts";
import type { BundleStore } from "./store.ts";

const KEPT = 20;

/**
 * Return the `get` of a store that keeps bundles in a directory: `ID.run`, the 20 that were used last. A file is believed
 * only while its SHA-256 is its name. Processes may share the directory; where no file can be written, all comes from the
 * store. Calls for one bundle at the same time share one request.
 *
 * @param directory Default: `~/.cache/volley/queue-bundles`.
 */
export function cachedBundles(
  store: Pick<BundleStore, "get">,
  directory: string = join(cacheDirectory(), "queue-bundles"),
): Pick<BundleStore, "get"> {
  const files = openOwnFiles(fs, dirname(directory), basename(directory));
  const underWay = new Map<string, Promise<Buffer>>();
  const get = async (id: string): Promise<Buffer> => {
    const name = `${id}.run`;
    const kept = /^[0-9a-f]+$/.test(id) ? files.read(name) : undefined;
    if (kept !== undefined && sha256(kept) === id) {
      touch(join(directory, name));
      return kept;
    }
    const bytes = await store.get(id);
    files.write(name, bytes, KEPT);
    return bytes;
  };
  return {
    get: (id) => {
      let found = underWay.get(id);
      if (found === undefined) {
        found = get(id).finally(() => underWay.delete(id));
        underWay.set(id, found);
      }
      return found;
    },
  };
}

/** Mark a file as used now. Another process may have removed it. */
function touch(path: string): void {
  const now = new Date();
  try {
    fs.utimesSync(path, now, now);
  } catch (_removed) {
    // The next call asks the store again.
  }
}
