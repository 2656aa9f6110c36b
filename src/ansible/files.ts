import * as fs from "node:fs";
import { userInfo } from "node:os";
import { posix } from "node:path";
import { type Asset, type AssetStore, PLAYBOOK_ROLE, type TreeEntries } from "../core/asset.ts";
import { statPath } from "../system/stat-path.ts";

// Files that playbooks name: on the controller those on its disk, elsewhere those of the bundle. They are found as Ansible
// finds them on its controller.

/** Return the name of a path of the tree in the bundle: a path that leaves the playbook's directory must not leave the bundle's tree. */
export function assetName(path: string): string {
  return posix
    .normalize(path)
    .split("/")
    .map((part) => (part === ".." ? "_" : /^_+$/.test(part) ? `${part}_` : part))
    .join("/");
}

/** The files of a playbook, under the paths they have on the controller. */
export interface PlaybookFiles {
  /** The playbook's directory on the controller. */
  readonly base: string;
  /** Return the path of the tree for a path as tasks write it, relative ones from `from`. */
  treePath(path: string, from?: string): string;
  /** Return the controller's path of a path of the tree. */
  fullPath(path: string): string;
  /** A file that was opened is there in clear, unless it is wanted as it is. */
  file(path: string, asItIs?: boolean): Asset | null;
  /** The content of files that are encrypted with Ansible Vault, by their full paths, once the controller has opened them. */
  readonly opened: Map<string, Buffer>;
  tree(path: string): readonly string[] | null;
  /** A directory with its directories and links; absent for the files of a bundle. */
  readonly entries?: (path: string, follow: boolean) => TreeEntries | null;
}

/** Make the view of a playbook's files. `isHere`: this process runs on the controller, whose disk has the files as they are now. */
export function createPlaybookFiles(assets: AssetStore, base: string, isHere: boolean): PlaybookFiles {
  const fullPath = (path: string): string => posix.resolve(base, path);
  const opened = new Map<string, Buffer>();
  return {
    base,
    opened,
    treePath: (path, from = ".") =>
      path.startsWith("/") ? posix.relative(base, path) || "." : posix.normalize(posix.join(from, path)),
    fullPath,
    ...(isHere
      ? {
          file: (path, asItIs = false) => {
            const found = fileOnDisk(path, fullPath(path));
            const clear = asItIs ? undefined : opened.get(fullPath(path));
            return found === null || clear === undefined ? found : assetOf(found, clear);
          },
          tree: (path) => entriesOnDisk(fullPath(path), true)?.files ?? null,
          entries: (path, follow) => entriesOnDisk(fullPath(path), follow),
        }
      : {
          file: (path) => assets.file(PLAYBOOK_ROLE, assetName(path)),
          tree: (path) => assets.tree(PLAYBOOK_ROLE, assetName(path)),
        }),
  };
}

/** Return an asset with other content. */
function assetOf(asset: Asset, content: Buffer): Asset {
  return {
    ...asset,
    size: content.length,
    read: () => content,
    stream: async function* () {
      yield content;
    },
  };
}

const SEAL = "$ANSIBLE_VAULT;";

/** Tell whether a file on this machine's disk is encrypted with Ansible Vault. */
export function isSealedFile(full: string): boolean {
  if (statPath(full)?.isFile() !== true) return false;
  const file = fs.openSync(full, "r");
  try {
    const head = Buffer.alloc(SEAL.length);
    return fs.readSync(file, head) === SEAL.length && head.toString("latin1") === SEAL;
  } finally {
    fs.closeSync(file);
  }
}

function fileOnDisk(path: string, full: string): Asset | null {
  const stats = statPath(full);
  if (stats?.isFile() !== true) return null;
  return {
    path,
    size: stats.size,
    mode: stats.mode & 0o7777,
    // Few ask for it, and for a name passwd has to be read.
    get origin() {
      return { modifiedMs: stats.mtimeMs, owner: ownerName(stats.uid) };
    },
    read: () => fs.readFileSync(full),
    stream: () => fs.createReadStream(full),
  };
}

function ownerName(uid: number): string {
  const user = userInfo();
  if (user.uid === uid) return user.username;
  const line = fs
    .readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .find((each) => each.split(":")[2] === String(uid));
  return line?.split(":")[0] ?? String(uid);
}

function entriesOnDisk(directory: string, follow: boolean): TreeEntries | null {
  if (statPath(directory)?.isDirectory() !== true) return null;
  const files: string[] = [];
  const directories: string[] = [];
  const links: { path: string; target: string }[] = [];
  const walk = (below: string, real: string, above: ReadonlySet<string>): void => {
    const within = new Set([...above, real]);
    for (const name of fs.readdirSync(real).sort()) {
      const path = posix.join(below, name);
      const full = posix.join(real, name);
      const isLink = fs.lstatSync(full).isSymbolicLink();
      const stats = isLink && !follow ? undefined : statPath(full);
      const isDirectory = stats?.isDirectory() === true;
      const next = isDirectory ? fs.realpathSync(full) : undefined;
      if (next !== undefined && !within.has(next)) {
        directories.push(path);
        walk(path, next, within);
      } else if (stats?.isFile() === true) files.push(path);
      // A link that leads up would be followed for ever.
      else if (isLink && (stats === undefined || isDirectory))
        links.push({ path, target: fs.readlinkSync(full) });
    }
  };
  walk("", fs.realpathSync(directory), new Set());
  return { files: files.sort(), directories, links };
}

/** The places to look in: the role's directory, the directory of the file of tasks, the playbook's. */
export interface SearchRoots {
  readonly role: string | undefined;
  readonly file: string;
  readonly base: string;
}

/** Return the text, as Ansible's, that tells of a file which is at none of the places where it is looked for. */
export function missingText(files: PlaybookFiles, name: string, kind: string, roots: SearchRoots): string {
  const places = [...(roots.role === undefined ? [] : [roots.role]), posix.dirname(roots.file), roots.base];
  const looked = places.flatMap((place) => {
    const full = files.fullPath(place);
    return [`${full}/${kind}/${name}`, `${full}/${name}`];
  });
  const searched = name.startsWith("/") ? "" : `\nSearched in:\n\t${looked.join("\n\t")}`;
  return `Could not find or access '${name}'${searched} on the Ansible Controller.\nIf you are using a module and expect the file to exist on the remote, see the remote_src option`;
}

/** Return the paths of the tree that a name may mean, in Ansible's order; `kind` is `files`, `templates`, `vars` or `tasks`. */
export function candidates(
  files: PlaybookFiles,
  name: string,
  kind: string,
  { role, file, base }: SearchRoots,
): readonly string[] {
  if (name.startsWith("/")) return [files.treePath(name)];
  const here = posix.dirname(file);
  const roots = [...(role === undefined ? [] : [role]), here, base];
  const found: string[] = [];
  for (const root of roots) {
    found.push(posix.join(root, kind, name), posix.join(root, name));
    // Beside the file of tasks comes what is in the role's own directory, before `tasks` within it.
    if (root === role && here !== role)
      found.push(posix.join(role, "tasks", kind, name), posix.join(role, "tasks", name));
  }
  return [...new Set(found.map((path) => posix.normalize(path)))];
}
