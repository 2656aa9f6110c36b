import * as fs from "node:fs";
import { join, posix } from "node:path";
import { ASSET_KINDS, ASSET_MODE_BITS, type Asset, type AssetStore, PLAYBOOK_ROLE } from "../core/asset.ts";
import { assetEntry } from "../core/bundle.ts";
import { VolleyError } from "../core/errors.ts";
import { statPath } from "../system/stat-path.ts";
import { type Fingerprint, fingerprint } from "./cache.ts";
import type { LoadedPlaybook } from "./playbook.ts";

// The assets of roles on disk: read one by one, or collected for a bundle.

/**
 * Open the assets of roles on disk: the same files that a bundle would hold. `directoryOf` returns a role's directory,
 * or undefined for a role without one.
 */
export function createDiskAssets(
  directoryOf: (role: string) => string | undefined,
  files: Readonly<Record<string, string>> = {},
): AssetStore {
  return {
    file: (role, path) => {
      const own = role === PLAYBOOK_ROLE ? files[posix.normalize(path)] : undefined;
      if (own !== undefined) return diskAsset(own, path, fs.statSync(own));
      const directory = directoryOf(role);
      if (directory === undefined || !isAsset(path)) return null;
      const full = join(directory, path);
      const stats = statPath(full);
      return stats?.isFile() ? diskAsset(full, path, stats) : null;
    },
    tree: (role, path) => {
      const prefix = `${posix.normalize(path).replace(/\/+$/, "")}/`;
      const below =
        role === PLAYBOOK_ROLE ? Object.keys(files).filter((file) => file.startsWith(prefix)) : [];
      if (below.length > 0) return below.map((file) => file.slice(prefix.length)).sort();
      const directory = directoryOf(role);
      if (directory === undefined || !isAsset(path)) return null;
      const full = join(directory, path);
      return statPath(full)?.isDirectory() ? listTree(full) : null;
    },
  };
}

/** Return whether a path below a role's directory lies in one of its asset directories. */
function isAsset(path: string): boolean {
  const [kind] = posix.normalize(path).split("/");
  return ASSET_KINDS.some((each) => each === kind);
}

function diskAsset(full: string, path: string, stats: fs.Stats): Asset {
  return {
    path,
    size: stats.size,
    mode: stats.mode & ASSET_MODE_BITS,
    read: () => fs.readFileSync(full),
    stream: () => fs.createReadStream(full),
  };
}

/** An asset as a bundle holds it. */
export interface AssetEntry {
  readonly name: string;
  readonly content: Buffer;
  /** Permission bits. */
  readonly mode: number;
}

/** Read every file below the `files` and `templates` of the playbook's roles, and of the playbook itself. */
export function collectAssets({ playbook, compiled }: LoadedPlaybook): {
  readonly entries: readonly AssetEntry[];
  readonly fingerprint: Fingerprint;
} {
  const entries: AssetEntry[] = [];
  const watched: string[] = [];
  let bytes = 0;
  const used = new Set([
    PLAYBOOK_ROLE,
    ...playbook.plays.flatMap(({ roles }) => roles.map(({ role }) => role.directory)),
    // The roles in TypeScript that a play in YAML comes to.
    ...(playbook.plays.some(({ program }) => program !== undefined) ? Object.keys(compiled.directories) : []),
  ]);
  for (const name of used) {
    const directory = name === undefined ? undefined : compiled.directories[name];
    if (name === undefined || directory === undefined) continue;
    // A directory's time changes when an entry comes or goes, `files` and `templates` included.
    watched.push(directory);
    for (const kind of ASSET_KINDS) {
      const below = join(directory, kind);
      if (statPath(below)?.isDirectory() !== true) continue;
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
  for (const [path, full] of Object.entries(compiled.files ?? {})) {
    const name = assetEntry(PLAYBOOK_ROLE, path);
    watched.push(full);
    if (entries.some((entry) => entry.name === name)) continue;
    const stats = fs.statSync(full);
    bytes += stats.size;
    if (bytes > MAX_BYTES) throw tooLarge(full, stats.size);
    entries.push({ name, content: fs.readFileSync(full), mode: stats.mode & ASSET_MODE_BITS });
  }
  return { entries, fingerprint: fingerprint(watched) };
}

/** The largest bundle: Volley builds, sends and reads a bundle as one Buffer, which Node limits. */
const MAX_BYTES = 2 ** 31 - 1;

function tooLarge(file: string, bytes: number): VolleyError {
  return new VolleyError(
    "BUILD_FAILED",
    `a bundle holds at most 2 GiB of files, and ${file} (${bytes} bytes) is more than there is room for`,
    { hint: "use --via direct, which sends each file by itself, or let hosts fetch it with get_url" },
  );
}

/** List every file below a directory, sorted, as paths relative to it with `/`. Links are followed, but for those to a directory that they are in. */
function listTree(directory: string, below = "", above: readonly string[] = []): string[] {
  const found: string[] = [];
  const real = fs.realpathSync(join(directory, below));
  if (above.includes(real)) return found;
  for (const bytes of fs.readdirSync(join(directory, below), { encoding: "buffer" }).sort(Buffer.compare)) {
    const name = bytes.toString();
    if (!bytes.equals(Buffer.from(name)))
      throw new VolleyError(
        "BUILD_FAILED",
        `${posix.join(directory, below, name)} has a name that is not UTF-8: rename it, or take it out of the role`,
      );
    const path = posix.join(below, name);
    const stats = statPath(join(directory, path));
    if (stats?.isDirectory()) found.push(...listTree(directory, path, [...above, real]));
    else if (stats?.isFile()) found.push(path);
  }
  return found;
}
