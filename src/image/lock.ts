import { statSync } from "node:fs";
import { join } from "node:path";
import { takeLock } from "../agent/lock.ts";
import { VolleyError } from "../core/errors.ts";
import { writeReason } from "../core/unix/user-file.ts";
import { makeDirectories } from "../system/directories.ts";
import { stateDirectory } from "../system/own-files.ts";
import { machineId } from "../system/this-process.ts";

/**
 * Work on a root, a boot partition or a disk image while no other process of this account does. Its lock is not in the
 * target, which may be full, and which may be an image that no process but the owner of the lock may mount. Fails with
 * `LOCKED` at once, naming the process, when another one works on the target, and with `FILE_FAILED` where no lock can be
 * kept. The lock of a process that has ended does not count.
 *
 * @param command The name of the command, for messages of the others.
 */
export async function withTargetLock<Value>(
  target: string,
  command: string,
  work: () => Promise<Value>,
): Promise<Value> {
  const stats = statSync(target, { throwIfNoEntry: false });
  // The work tells what is wrong with a target that is not there.
  if (stats === undefined) return await work();
  const { dev, ino, rdev } = stats;
  const identity = stats.isBlockDevice() ? `device-${rdev}` : `${dev}-${ino}`;
  const directory = join(stateDirectory(), "image");
  try {
    makeDirectories(directory, 0o700);
  } catch (cause) {
    throw new VolleyError("FILE_FAILED", `cannot make ${directory}: ${writeReason(cause)}`, { cause });
  }
  const lock = await takeLock({
    file: join(directory, `lock-${machineId()}-${identity}`),
    ...{ run: `image-${process.pid}`, host: target, controller: command, locked: target },
    waitMs: 0,
    isOver: () => false,
    onWait: () => {},
  });
  try {
    return await work();
  } finally {
    await lock?.release();
  }
}
