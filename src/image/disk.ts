import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import { mkdtempSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { printable, VolleyError } from "../core/errors.ts";
import { type Partition, readPartitions } from "./partitions.ts";
import { findSubvolume, subvolumesOf } from "./subvolumes.ts";

// A partition of a disk image, mounted for as long as work needs it.

/** The wanted partition of a disk image, and the way to mount it. */
export interface DiskOptions {
  /** The number of the partition. Default: the one that {@link isWanted} knows. */
  readonly partition?: number;
  readonly readOnly: boolean;
  /** File systems that the wanted partition may have. */
  readonly kinds: readonly string[];
  /** True for the directory at which the wanted partition is mounted. */
  isWanted(directory: string): boolean;
  /** The wanted partition in messages: `root of a system`. */
  readonly wanted: string;
}

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** The file systems that a root may have; ext4's driver mounts ext2 and ext3. */
export const ROOT_KINDS = ["ext4", "xfs", "btrfs", "f2fs"];

/** The options that mount a file system without a look at its journal, where the mount is read-only. */
const WITHOUT_JOURNAL: Readonly<Record<string, string>> = {
  ext4: "noload",
  xfs: "norecovery",
  btrfs: "rescue=nologreplay",
  f2fs: "norecovery",
};

/** Contents that cannot be mounted as they are, and what to do. */
const CLOSED: Readonly<Record<string, string>> = {
  crypto_LUKS: "is encrypted: open it with cryptsetup",
  LVM2_member: "belongs to LVM: activate its volumes with vgchange",
};

/**
 * Mount a partition of a disk image by a loop device, and unmount it when the work has ended, however it ends. Needs
 * Linux and root. The mount point is for root alone, and no program or device on the partition counts there. Fails with
 * `USAGE` where the partition cannot be found or mounted, and where others than root ask.
 */
export async function withPartition<Value>(
  image: string,
  options: DiskOptions,
  work: (directory: string, partition: Partition) => Value | Promise<Value>,
): Promise<Value> {
  const { partition: number, kinds, wanted } = options;
  const partitions = readPartitions(image);
  if (process.platform !== "linux" || process.getuid?.() !== 0)
    throw new VolleyError("USAGE", `only root on Linux can look into ${image}`, {
      hint: "run this as root, or mount the partition yourself and name the directory",
    });
  if (number !== undefined) {
    const named = partitions.find((one) => one.number === number);
    if (named === undefined)
      throw new VolleyError("USAGE", `${image} has no partition ${number}`, {
        hint: describePartitions(partitions),
      });
    return withMount(image, named, options.readOnly, (mounted) =>
      withWanted(mounted, named, options, (directory) => {
        if (directory === undefined)
          throw new VolleyError("USAGE", `partition ${number} of ${image} is no ${wanted}`, {
            hint: describePartitions(partitions),
          });
        return work(directory, named);
      }),
    );
  }
  for (const partition of partitions.filter(({ content = "" }) => kinds.includes(content))) {
    let isFound = false;
    const done = await withMount(image, partition, options.readOnly, (mounted) =>
      withWanted(mounted, partition, options, async (directory) => {
        if (directory === undefined) return undefined;
        isFound = true;
        return await work(directory, partition);
      }),
    );
    if (isFound) return done as Value;
  }
  const closed = partitions.find(({ content = "" }) => Object.hasOwn(CLOSED, content));
  const why =
    closed === undefined ? "" : `; ${nameOf(closed)} ${CLOSED[closed.content!]}, and mount what it holds`;
  throw new VolleyError("USAGE", `no partition of ${image} is the ${wanted}${why}`, {
    hint: `${describePartitions(partitions)}; --partition names one, or mount it and name the directory`,
  });
}

/**
 * Find the wanted directory of a mounted partition: the partition's own, or that of a subvolume, in which the subvolumes
 * are then mounted that the machine mounts there. Undefined where there is none.
 */
async function withWanted<Value>(
  mounted: string,
  { content }: Partition,
  { isWanted }: DiskOptions,
  work: (directory: string | undefined) => Value | Promise<Value>,
): Promise<Value> {
  if (content !== "btrfs") return await work(isWanted(mounted) ? mounted : undefined);
  const root = findSubvolume(mounted, isWanted);
  const bound: string[] = [];
  try {
    // The first one may hold the place of the next.
    for (const { subvolume, directory } of root === undefined ? [] : subvolumesOf(root, mounted))
      if (apart("mount", ["--bind", "--", subvolume, directory]).status === 0) bound.unshift(directory);
    return await work(root);
  } finally {
    for (const directory of bound) unmount(directory);
  }
}

/** Return a partition's name in messages. */
export function nameOf({ number }: Partition): string {
  return number === 0 ? "the file system" : `partition ${number}`;
}

function describePartitions(partitions: readonly Partition[]): string {
  return `it has ${partitions.map((one) => `${nameOf(one)} (${one.content ?? "unknown"})`).join(", ")}`;
}

async function withMount<Value>(
  image: string,
  { offset, size, content, ...partition }: Partition,
  readOnly: boolean,
  work: (directory: string) => Value | Promise<Value>,
): Promise<Value> {
  const what = `${nameOf({ offset, size, content, ...partition })} of ${image}`;
  if (content === undefined || Object.hasOwn(CLOSED, content))
    throw new VolleyError("USAGE", `${what} ${CLOSED[content ?? ""] ?? "has no file system"}`);
  // A signal that ended this process would leave the mount behind.
  let isInterrupted = false;
  const interrupt = (): void => {
    isInterrupted = true;
  };
  for (const signal of SIGNALS) process.on(signal, interrupt);
  const directory = mkdtempSync(join(tmpdir(), "volley-image-"));
  try {
    const place = [`offset=${offset}`, ...(size === 0 ? [] : [`sizelimit=${size}`])];
    const mount = (...more: readonly string[]): SpawnSyncReturns<string> =>
      apart("mount", [
        ...["-t", content, "-o"],
        ["loop", ...place, "nodev", "nosuid", "noexec", ...more].join(","),
        ...["--", image, directory],
      ]);
    let mounted = mount(readOnly ? "ro" : "rw");
    // A machine that lost its power left a journal, which a read-only mount does not replay.
    const withoutJournal = WITHOUT_JOURNAL[content];
    if (mounted.status !== 0 && readOnly && withoutJournal !== undefined)
      mounted = mount("ro", withoutJournal);
    if (mounted.status !== 0) throw cannotMount(what, content, mounted);
    try {
      const done = await work(directory);
      // Signals that came meanwhile are heard in the event loop's next turn.
      await setImmediate();
      if (isInterrupted) throw new VolleyError("CANCELLED", "interrupted");
      return done;
    } finally {
      // The loop device goes with its mount.
      unmount(directory);
    }
  } finally {
    rmdirSync(directory);
    for (const signal of SIGNALS) process.off(signal, interrupt);
  }
}

function unmount(directory: string): void {
  if (apart("umount", [directory]).status !== 0) apart("umount", ["--lazy", directory]);
}

/** Run a program that Ctrl-C at the terminal does not reach: a mount is done and undone as a whole. */
function apart(command: string, args: readonly string[]): SpawnSyncReturns<string> {
  const options = { encoding: "utf8", env: { ...process.env, LC_ALL: "C" }, detached: true } as const;
  return spawnSync(command, args, options);
}

function cannotMount(what: string, kind: string, { stderr, error }: SpawnSyncReturns<string>): VolleyError {
  if (/unknown filesystem type/.test(stderr ?? ""))
    return new VolleyError("USAGE", `cannot mount ${what}: the kernel of this machine has no ${kind}`, {
      hint: `load its module (modprobe ${kind}), or do this on a machine whose kernel has it`,
    });
  const [line = "no reason given"] = (error?.message ?? stderr).split("\n").filter((each) => each !== "");
  const reason = printable(line.replace(/^mount: (?:\S+: )?/, "").trim(), 300);
  // A process that was killed has left its mount.
  const place = / already mounted on (\S+?)\.?$/.exec(reason)?.[1];
  return new VolleyError("USAGE", `cannot mount ${what}: ${reason}`, {
    hint:
      place === undefined
        ? "mount it yourself and name the directory"
        : `unless a process still uses it: umount ${place}`,
  });
}
