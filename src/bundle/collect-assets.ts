import * as fs from "node:fs";
import { join } from "node:path";
import { ASSET_KINDS, ASSET_MODE_BITS, PLAYBOOK_ROLE } from "../core/asset.ts";
import { VolleyError } from "../core/errors.ts";
import { assetEntry } from "../core/manifest.ts";
import { type Fingerprint, fingerprint } from "./cache.ts";
import { listTree } from "./disk-assets.ts";
import type { LoadedPlaybook } from "./load-playbook.ts";
import type { ZipEntry } from "./zip.ts";

/** A bundle is built, sent and read as a whole, which Node can do with so much. */
const MAX_BYTES = 2 ** 31 - 1;

function tooLarge(file: string, bytes: number): VolleyError {
  return new VolleyError(
    "BUILD_FAILED",
    `a bundle holds at most 2 GiB of files, and ${file} (${bytes} bytes) is more than there is room for`,
    { hint: "use --via direct, which sends each file by itself, or let hosts fetch it with get_url" },
  );
}

/** Every file below the `files` and `templates` of the playbook's roles, and of the playbook itself. */
export function collectAssets({ playbook, compiled }: LoadedPlaybook): {
  entries: readonly ZipEntry[];
  fingerprint: Fingerprint;
} {
  const entries: ZipEntry[] = [];
  const watched: string[] = [];
  let bytes = 0;
  const used = new Set([
    PLAYBOOK_ROLE,
    ...playbook.plays.flatMap(({ roles }) => roles.map(({ role }) => role.directory)),
  ]);
  for (const name of used) {
    const directory = name === undefined ? undefined : compiled.directories[name];
    if (name === undefined || directory === undefined) continue;
    // A directory's time changes when a file in it comes or goes, also when `files` itself does.
    watched.push(directory);
    for (const kind of ASSET_KINDS) {
      const below = join(directory, kind);
      if (!fs.existsSync(below)) continue;
      watched.push(below);
      for (const path of listTree(below)) {
        const full = join(below, path);
        const stats = fs.statSync(full);
        bytes += stats.size;
        if (bytes > MAX_BYTES) throw tooLarge(full, stats.size);
        watched.push(full, join(full, ".."));
        entries.push({
          name: assetEntry(name, `${kind}/${path}`),
          content: fs.readFileSync(full),
          mode: stats.mode & ASSET_MODE_BITS,
        });
      }
    }
  }
  return { entries, fingerprint: fingerprint(watched) };
}
