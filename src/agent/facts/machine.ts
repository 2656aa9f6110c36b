import * as fs from "node:fs";
import { networkInterfaces } from "node:os";

/** One IPv4 address as the kernel reports it. */
export interface MachineAddress {
  readonly device: string;
  readonly address: string;
  readonly netmask: string;
}

/** Blocks and inodes of a file system, as statfs(2) counts them. */
export interface FileSystemSize {
  readonly blockSize: number;
  readonly blocks: number;
  readonly blocksAvailable: number;
  readonly blocksFree: number;
  readonly inodes: number;
  readonly inodesFree: number;
}

/** What no file tells; the caller of `gatherFacts` passes it when the system is the machine it runs on. */
export interface Machine {
  nowMs(): number;
  /** Undefined where they are not known: they are then worked out from the routes. */
  ipv4Addresses(): readonly MachineAddress[] | undefined;
  fileSystemSize(path: string): FileSystemSize | undefined;
}

/** The machine this process runs on. */
export const thisMachine: Machine = {
  nowMs: () => Date.now(),
  ipv4Addresses: () =>
    Object.entries(networkInterfaces()).flatMap(([device, addresses = []]) =>
      addresses
        .filter(({ family }) => family === "IPv4")
        .map(({ address, netmask }) => ({ device, address, netmask })),
    ),
  fileSystemSize: (path) => {
    // Absent before Node 18.15.
    if (typeof fs.statfsSync !== "function") return undefined;
    try {
      const { bsize, blocks, bavail, bfree, files, ffree } = fs.statfsSync(path);
      return {
        blockSize: bsize,
        blocks,
        blocksAvailable: bavail,
        blocksFree: bfree,
        inodes: files,
        inodesFree: ffree,
      };
    } catch {
      return undefined;
    }
  },
};
