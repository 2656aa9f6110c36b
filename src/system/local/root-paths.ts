import * as fs from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { VolleyError } from "../../core/errors.ts";
import { resolveForRoot } from "../../core/unix/permissions.ts";
import { bytesToText, nativePath } from "../../core/values/bytes.ts";

const { O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = fs.constants;
/** Linux's O_PATH, which Node does not name: a descriptor that holds a file without opening it. */
export const O_PATH = 0o10000000;

const hasProc = fs.existsSync("/proc/self/fd");

/** Return whether links of other users must be refused: for root, on Linux with /proc. Called each time, because root may become another user. */
function guards(): boolean {
  return hasProc && process.geteuid?.() === 0;
}

/** Resolve a path for root, by the rule of {@link resolveForRoot}. */
function realPathForRoot(path: string): string {
  const walk = resolveForRoot(resolve(path));
  let step = walk.next();
  while (step.done !== true) {
    const stats = fs.lstatSync(nativePath(step.value), { throwIfNoEntry: false });
    step = walk.next(
      stats === undefined
        ? null
        : { uid: stats.uid, ...(stats.isSymbolicLink() ? { link: readLink(step.value) } : {}) },
    );
  }
  return step.value;
}

/** Return the target of a link. */
export function readLink(path: string): string {
  return bytesToText(fs.readlinkSync(nativePath(path), { encoding: "buffer" }));
}

/** Resolve a path. Fails for a path that does not exist, and for root by the rule of {@link resolveForRoot}. */
export function realPath(path: string): string {
  const real = bytesToText(fs.realpathSync(nativePath(path), { encoding: "buffer" }));
  return guards() && real !== resolve(path) ? realPathForRoot(path) : real;
}

/** A path below a directory that is held open: nobody can exchange the directory. */
export interface HeldPath {
  readonly path: string;
  release(): void;
}

/**
 * Hold the directory of a path open, for root: nobody can put another directory in its place between the check and the
 * operation. For other users return the path as it is.
 */
export function holdDirectory(path: string): HeldPath {
  if (!guards()) return { path, release: () => {} };
  const full = resolve(path);
  const parent = dirname(full);
  const descriptor = fs.openSync(nativePath(parent), O_RDONLY | O_DIRECTORY);
  const release = (): void => fs.closeSync(descriptor);
  try {
    const place = `/proc/self/fd/${descriptor}`;
    const real = readLink(place);
    if (real !== parent && realPathForRoot(parent) !== real) throw moved(path);
    return { path: `${place}/${basename(full)}`, release };
  } catch (thrown) {
    release();
    throw thrown;
  }
}

/** Run an operation that does not follow a link at the end of the path, in its {@link holdDirectory held} directory. */
export function inDirectory<T>(path: string, use: (path: fs.PathLike) => T): T {
  const held = holdDirectory(path);
  try {
    return use(nativePath(held.path));
  } finally {
    held.release();
  }
}

/** Run an operation on the very file that a path names. Fails on a link. */
export function onItself<T>(path: string, use: (path: fs.PathLike) => T): T {
  return inDirectory(path, (place) => itself(place, path, use));
}

/** As {@link onItself}, for a `place` in a held directory. */
export function itself<T>(place: fs.PathLike, path: string, use: (path: fs.PathLike) => T): T {
  if (!guards()) return use(place);
  const descriptor = fs.openSync(place, O_PATH | O_NOFOLLOW);
  try {
    if (fs.fstatSync(descriptor).isSymbolicLink()) throw moved(path);
    return use(`/proc/self/fd/${descriptor}`);
  } finally {
    fs.closeSync(descriptor);
  }
}

function moved(path: string): VolleyError {
  return new VolleyError("FILE_FAILED", `${path} became a link while it was worked on; it was left alone`);
}

/** Open a file for reading. Root follows links by the rule of {@link resolveForRoot}. A FIFO is an error: it could block for ever. */
export function openToRead(path: string): number {
  if (!guards()) return opened(nativePath(path), O_RDONLY | O_NONBLOCK, path);
  try {
    return inDirectory(path, (place) => opened(place, O_RDONLY | O_NONBLOCK | O_NOFOLLOW, path));
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== "ELOOP") throw thrown;
    const real = realPathForRoot(path);
    return inDirectory(real, (place) => opened(place, O_RDONLY | O_NONBLOCK | O_NOFOLLOW, path));
  }
}

function opened(place: fs.PathLike, flags: number, path: string): number {
  const descriptor = fs.openSync(place, flags);
  if (!fs.fstatSync(descriptor).isFIFO()) return descriptor;
  fs.closeSync(descriptor);
  throw new VolleyError("FILE_FAILED", `cannot read ${path}: it is a fifo`);
}
