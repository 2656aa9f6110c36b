import { VolleyError } from "../core/errors.ts";
import { RUNTIME_CACHE } from "../core/runtimes.ts";
import { STATE_DIRECTORY } from "./first-boot.ts";
import type { Payload } from "./payload.ts";
import type { ImageRoot } from "./root.ts";

// The room that a first boot needs in a root.

/** Root's home at the first boot: the runner sets it. */
const HOME = "/root";
const BLOCK = 4_096;
const MIB = 1 << 20;
/** For directories, the service, state and result, in bytes. */
const SPARE = MIB;

/** Bytes that a root needs somewhere, and their purpose in messages. */
interface Demand {
  readonly path: string;
  readonly bytes: number;
  readonly purpose: string;
}

/**
 * Fail with `FILE_FAILED` where a root has no room for a payload, or for the runtime that its bundle unpacks at the first
 * boot: the archive lies beside the files then.
 *
 * @param isThere True where the root has the payload already: each of its files is then written beside the one that is there.
 */
export function requireRoom(root: ImageRoot, { files, runtimes }: Payload, isThere: boolean): void {
  const sizes = files.map(({ content }) => Math.ceil(content.length / BLOCK) * BLOCK);
  const written = isThere ? Math.max(...sizes) : sizes.reduce((sum, size) => sum + size, 0);
  const cache = `${HOME}/${RUNTIME_CACHE}`;
  // The machine uses one of them.
  const unpacked = runtimes
    .filter(({ id }) => !root.exists(`${cache}/${id}/node`))
    .map(({ bytes, unpackedBytes }) => bytes + unpackedBytes);
  const demands: readonly Demand[] = [
    { path: STATE_DIRECTORY, bytes: written + SPARE, purpose: "for the bundle" },
    { path: cache, bytes: Math.max(0, ...unpacked), purpose: "to unpack Node at the first boot" },
  ];
  const needed = demands
    .filter(({ bytes }) => bytes > 0)
    .map((each) => ({ ...each, ...root.room(each.path) }));
  for (const { path, device, free } of needed) {
    const together = needed.filter((each) => each.device === device);
    if (together.reduce((sum, { bytes }) => sum + bytes, 0) <= free) continue;
    const where =
      together.length === needed.length ? root.name : `the file system of ${path} in ${root.name}`;
    const told = together.map(({ bytes, purpose }) => `${Math.ceil(bytes / MIB)} MiB ${purpose}`);
    throw new VolleyError(
      "FILE_FAILED",
      `${where} has no room: it needs ${told.join(" and ")}; ${Math.floor(free / MIB)} MiB are free`,
      { hint: "make room there, or enlarge the file system, and install again: nothing was written" },
    );
  }
}
