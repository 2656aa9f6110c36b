import * as fs from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { VolleyError } from "../../core/errors.ts";
import { bytesToText, nativePath } from "../../core/lossless-text.ts";
import { resolveForRoot } from "../../core/permissions.ts";

const { O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY } = fs.constants;
/** Linux's O_PATH, which Node does not name: a file that is held, but not opened. */
export const O_PATH = 0o10000000;

const hasProc = fs.existsSync("/proc/self/fd");

/** True where links of other users count: for root, on Linux with /proc. A process of root's may become another user. */
function guards(): boolean {
  return hasProc && process.geteuid?.() === 0;
}

/** The real path, by the rule of {@link resolveForRoot}. */
export function realPathForRoot(path: string): string {
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

/** What a link says. */
export function readLink(path: string): string {
  return bytesToText(fs.readlinkSync(nativePath(path), { encoding: "buffer" }));
}

/** Where a path leads. Fails when nothing is there, and for root as {@link resolveForRoot} says. */
export function realPath(path: string): string {
  const real = bytesToText(fs.realpathSync(nativePath(path), { encoding: "buffer" }));
  return guards() && real !== resolve(path) ? realPathForRoot(path) : real;
}

/** A path below a directory that is held open, and so cannot be exchanged for another one. */
export interface HeldPath {
  readonly path: string;
  release(): void;
}

/**
 * Holds the directory that a path is in, for root: nobody can put another one in its place between the look and the
 * deed. For others the path stands as it is.
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

/** Does something to a path that does not follow a link at its end, in its {@link holdDirectory held} directory. */
export function inDirectory<T>(path: string, use: (path: fs.PathLike) => T): T {
  const held = holdDirectory(path);
  try {
    return use(nativePath(held.path));
  } finally {
    held.release();
  }
}

/** Does something to what a path names, given as a path that leads to it and nowhere else. Fails on a link. */
export function onItself<T>(path: string, use: (path: fs.PathLike) => T): T {
  return inDirectory(path, (place) => itself(place, path, use));
}

/** As {@link onItself}, of a `place` in a directory that is held. */
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

/** Opens a file to be read; root follows links as {@link resolveForRoot} says, and nobody waits for a FIFO. */
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
