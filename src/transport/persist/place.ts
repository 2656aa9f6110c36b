import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import * as fs from "node:fs";
import { dirname, join } from "node:path";
import { VolleyError } from "../../core/errors.ts";
import { makeDirectories } from "../../system/directories.ts";
import { cacheDirectory } from "../../system/own-files.ts";

// The directory of the background process's socket. Both ends check it, and prove to each other that they can read its
// key: Node cannot ask the kernel for the uid of a socket's peer.

/** The longest path of a socket, in bytes (unix(7): `sun_path`, less the closing NUL). */
const MAX_SOCKET_BYTES = 107;
const KEY_BYTES = 32;
const KEY_FILE = "key";
const SUFFIX = ".sock";

/** The directory of this user's sockets: `$XDG_RUNTIME_DIR/volley`, else `~/.cache/volley/persist`. */
export function persistDirectory(env: NodeJS.ProcessEnv = process.env): string {
  const { XDG_RUNTIME_DIR: runtime } = env;
  return runtime?.startsWith("/") === true && isOwnDirectory(runtime)
    ? join(runtime, "volley")
    : join(cacheDirectory(env), "persist");
}

/** False for the directory of a user who has become this one, and for a missing one. */
function isOwnDirectory(path: string): boolean {
  return fs.lstatSync(path, { throwIfNoEntry: false })?.uid === process.geteuid?.();
}

/** Return the socket for a version of Volley in a directory. Fails with `USAGE` when no socket can have that path. */
export function socketPath(directory: string, version: string): string {
  const path = join(directory, `${version}${SUFFIX}`);
  if (Buffer.byteLength(path) > MAX_SOCKET_BYTES)
    throw unusable(`the path ${path} is too long for a socket`, "set XDG_RUNTIME_DIR to a shorter directory");
  return path;
}

/** Return the sockets in a directory, those of other versions of Volley too. */
export function socketsIn(directory: string): readonly string[] {
  try {
    return fs
      .readdirSync(directory)
      .filter((name) => name.endsWith(SUFFIX) && !name.startsWith("."))
      .map((name) => join(directory, name));
  } catch {
    return [];
  }
}

/** Make the directory and its key where they are missing. Fails with `USAGE` where another user could write there. */
export function preparePlace(directory: string): void {
  try {
    makeDirectories(directory, 0o700);
  } catch (thrown) {
    throw unusable(`the directory ${directory} cannot be made: ${(thrown as Error).message}`);
  }
  checkDirectory(directory);
  const path = join(directory, KEY_FILE);
  if (fs.existsSync(path)) return;
  const temporary = join(directory, `.${KEY_FILE}-${process.pid}-${randomBytes(4).toString("hex")}`);
  fs.writeFileSync(temporary, randomBytes(KEY_BYTES), { mode: 0o600, flag: "wx" });
  try {
    // Of several processes that begin at once, the first one's key counts.
    fs.linkSync(temporary, path);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== "EEXIST") throw thrown;
  } finally {
    fs.unlinkSync(temporary);
  }
}

/**
 * Fail with `USAGE` unless a directory belongs to this user and nobody else may enter it, and the directory above it lets
 * nobody else put another one in its place.
 */
export function checkDirectory(directory: string): void {
  const stats = fs.lstatSync(directory);
  if (!stats.isDirectory()) throw unusable(`${directory} is not a directory`);
  if (stats.uid !== process.geteuid?.())
    throw unusable(`the directory ${directory} belongs to another user (uid ${stats.uid})`);
  if ((stats.mode & 0o077) !== 0)
    throw unusable(
      `the directory ${directory} has mode ${(stats.mode & 0o7777).toString(8).padStart(4, "0")}, not 0700`,
      `chmod 700 ${directory}`,
    );
  const above = fs.lstatSync(fs.realpathSync(dirname(directory)));
  const mayReplace = (above.mode & 0o022) !== 0 && (above.mode & 0o1000) === 0;
  if (mayReplace || ![0, process.geteuid?.()].includes(above.uid))
    throw unusable(`another user may change ${dirname(directory)}`);
}

/** Read the key of a directory that was checked. Fails with `USAGE`. */
export function readKey(directory: string): Buffer {
  const path = join(directory, KEY_FILE);
  const opened = fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW | fs.constants.O_NONBLOCK);
  try {
    const stats = fs.fstatSync(opened);
    if (!stats.isFile() || stats.uid !== process.geteuid?.() || (stats.mode & 0o077) !== 0)
      throw unusable(`${path} is not a file of this user alone`, `remove ${path}`);
    const key = fs.readFileSync(opened);
    if (key.length !== KEY_BYTES) throw unusable(`${path} is damaged`, `remove ${path}`);
    return key;
  } finally {
    fs.closeSync(opened);
  }
}

/** Return the proof that one end knows the key. */
export function proofOf(key: Buffer, side: "client" | "background", nonces: readonly string[]): string {
  return createHmac("sha256", key)
    .update(JSON.stringify([side, ...nonces]))
    .digest("hex");
}

/** Return whether a proof is right, in constant time. */
export function isProof(given: unknown, wanted: string): boolean {
  const bytes = Buffer.from(typeof given === "string" ? given : "");
  return bytes.length === wanted.length && timingSafeEqual(bytes, Buffer.from(wanted));
}

/** Make the nonce of one end. */
export function makePersistNonce(): string {
  return randomBytes(16).toString("hex");
}

function unusable(what: string, hint?: string): VolleyError {
  return new VolleyError("USAGE", what, hint === undefined ? {} : { hint });
}
