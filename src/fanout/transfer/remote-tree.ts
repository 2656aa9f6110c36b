import { posix } from "node:path";
import { printable, VolleyError } from "../../core/errors.ts";
import { isUtf8 } from "../../core/values/bytes.ts";
import { type FileAttributes, STATUS } from "../../transport/sftp/codec.ts";
import { sftpStatus } from "../../transport/sftp/requests.ts";
import { each, endsAll, isDirectory, isFile, isLink, type TransferContext } from "./context.ts";

/** An entry on a host, with its path below the host's local directory, which is empty for that directory itself. */
export interface RemoteEntry {
  readonly path: string;
  readonly remote: string;
  readonly attributes: FileAttributes;
}

/** A link on a host that points into the tree. */
interface RemoteLink extends RemoteEntry {
  readonly target: string;
}

/** The entries to get from a host; directories before their content. */
interface RemoteTree {
  readonly directories: readonly RemoteEntry[];
  readonly files: readonly RemoteEntry[];
  readonly links: readonly RemoteLink[];
}

/** Options of {@link walkRemoteTree}. */
export interface WalkOptions {
  readonly sources: readonly string[];
  /** Get the targets of links in place of links. */
  readonly follow: boolean;
}

const LISTS_AT_ONCE = 8;
/** Limits against a hostile host, which could list without end. */
const MAX_DEPTH = 100;
const MAX_ENTRIES = 2_000_000;

/**
 * Walk the sources on a host. Unreadable entries and refused names count as failed in the tally; entries that are neither file
 * nor directory, and links that point out of the tree, count as skipped. Fails with `SFTP_FAILED` when a source does not
 * exist.
 */
export async function walkRemoteTree(
  context: TransferContext,
  { sources, follow }: WalkOptions,
): Promise<RemoteTree> {
  const { files, tally, host, remoteParts } = context;
  const found = { directories: [] as RemoteEntry[], files: [] as RemoteEntry[], links: [] as RemoteLink[] };
  const taken = new Set<string>();
  const leftOver = await remoteParts.known();
  let entries = 0;

  const take = async (entry: RemoteEntry, isNamed: boolean): Promise<RemoteEntry | undefined> => {
    let { attributes } = entry;
    if (++entries > MAX_ENTRIES)
      throw new VolleyError("SFTP_FAILED", `${host}: there are more than ${MAX_ENTRIES} files`);
    if (isLink(attributes) && !(follow || isNamed)) return void (await takeLink(entry));
    if (isLink(attributes)) {
      const led = await files.stat(entry.remote);
      if (led === null) return skip(entry.remote, "it leads to nothing");
      attributes = led;
    }
    const isTree = isDirectory(attributes);
    // A host that names an entry twice, once as a link, could redirect later writes.
    if (taken.has(entry.path) && !(isTree && isNamed)) return refuse(entry.remote, "it is there twice");
    taken.add(entry.path);
    const seen = { ...entry, attributes };
    if (isTree) {
      found.directories.push(seen);
      return seen;
    }
    if (isFile(attributes)) found.files.push(seen);
    else skip(entry.remote, "it is no file");
    return undefined;
  };
  const takeLink = async (entry: RemoteEntry): Promise<void> => {
    const target = await files.readLink(entry.remote);
    if (!staysInside(entry.path, target))
      return skip(entry.remote, "it leads out of what is got: --follow gets what it leads to");
    if (taken.has(entry.path)) return refuse(entry.remote, "it is there twice");
    taken.add(entry.path);
    found.links.push({ ...entry, target });
  };
  const skip = (path: string, why: string): undefined => {
    const error = { code: "SFTP_FAILED" as const, message: `${host}: ${path} was skipped: ${why}` };
    tally.done({ path, action: "skipped", bytes: 0, error });
  };
  const refuse = (path: string, why: string): undefined => {
    tally.failed(path, new VolleyError("SFTP_FAILED", `${host}: cannot get ${printable(path)}: ${why}`));
  };

  let level: RemoteEntry[] = [];
  for (const source of sources) {
    const remote = await sourcePath(context, source);
    const attributes = await files.lstat(remote);
    if (attributes === null)
      throw new VolleyError("SFTP_FAILED", `${host}: cannot get ${source}: there is no such file`);
    const path = source.endsWith("/") ? "" : posix.basename(remote);
    const directory = await take({ path, remote, attributes }, true);
    if (directory !== undefined) level.push(directory);
  }
  for (let depth = 0; level.length > 0; depth++) {
    const nextLevel: RemoteEntry[] = [];
    await each(level, LISTS_AT_ONCE, async (directory) => {
      try {
        if (depth >= MAX_DEPTH) return refuse(directory.remote, "directories in it go too deep");
        for (const { name, attributes } of await files.list(directory.remote)) {
          const remote = below(directory.remote, name);
          // Skip parts that a transfer into this tree has left.
          if (leftOver.has(remote)) continue;
          const why = refusedName(name);
          if (why !== undefined) {
            refuse(remote, why);
            continue;
          }
          const path = directory.path === "" ? name : `${directory.path}/${name}`;
          const entry = await take({ path, remote, attributes }, false);
          if (entry !== undefined) nextLevel.push(entry);
        }
      } catch (thrown) {
        if (endsAll(thrown)) throw thrown;
        tally.failed(directory.remote, thrown);
      }
    });
    level = nextLevel;
  }
  return found;
}

/** Return a source's full path, with `~/` and `..` resolved. */
async function sourcePath(context: TransferContext, source: string): Promise<string> {
  const { host } = context;
  const path = await remotePath(context, source);
  const why = path === "/" ? undefined : refusedName(posix.basename(path));
  if (why === undefined && (path !== "/" || source.endsWith("/"))) return path;
  throw new VolleyError(
    "SFTP_FAILED",
    `${host}: cannot get ${printable(source)}: ${why ?? "end it in a slash"}`,
  );
}

/**
 * Return the full path of a path on a host: relative ones start at the home, `~/` is the home and `~user/` the home of that
 * user, as the host knows it (`./~user` is a name). Fails with `SFTP_FAILED` for an unknown user, or when the host's SFTP
 * server cannot tell.
 */
export async function remotePath(
  { files, host }: Pick<TransferContext, "files" | "host">,
  given: string,
): Promise<string> {
  const [, user, rest] = /^~([^/]*)(.*)$/s.exec(given) ?? [];
  const isAbsolute = given.startsWith("/");
  const home = isAbsolute ? "/" : user ? await homeOf(user) : await files.realPath(".");
  const full = posix.normalize(isAbsolute ? given : below(home, (rest ?? given).replace(/^\/+/, "")));
  return full.length > 1 ? full.replace(/\/$/, "") : full;

  async function homeOf(name: string): Promise<string> {
    try {
      return await files.expandPath(`~${name}`);
    } catch (thrown) {
      if (sftpStatus(thrown) === undefined) throw thrown;
      const cannot = sftpStatus(thrown) === STATUS.unsupported;
      const why = cannot
        ? "the host's SFTP server cannot tell where that is"
        : `there is no user ${name} there`;
      throw new VolleyError("SFTP_FAILED", `${host}: ${given}: ${why}`, {
        hint: cannot ? "write the path in full" : `a file of that name in the home is ./${given}`,
      });
    }
  }
}

const MAX_NAME_BYTES = 255;

/** Return why a name from a host is refused for a local file; undefined when it is allowed. */
export function refusedName(name: string): string | undefined {
  if (name === "" || name === "." || name === "..") return "it is no name of a file";
  if (name.includes("/") || name.includes("\0")) return "it is no name of a file";
  if (/\p{Cc}/u.test(name)) return "there is a control character in its name";
  if (name.includes("\ufffd") || !isUtf8(name)) return "its name is not UTF-8";
  if (Buffer.byteLength(name) > MAX_NAME_BYTES) return "its name is too long";
  return undefined;
}

/** Return a path below a directory; the directory itself for the empty path. */
export function below(directory: string, path: string): string {
  if (path === "") return directory;
  return directory.endsWith("/") ? `${directory}${path}` : `${directory}/${path}`;
}

/** Return whether a link at `path`, relative to the tree's root, points into the tree. */
export function staysInside(path: string, target: string): boolean {
  if (target === "" || target.startsWith("/") || target.includes("\0")) return false;
  const led = posix.normalize(posix.join(posix.dirname(path), target));
  return led !== ".." && !led.startsWith("../");
}
