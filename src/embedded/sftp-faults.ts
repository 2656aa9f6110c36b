import { sep } from "node:path";
import { findFault, type HostFault } from "./faults.ts";
import { systemError } from "./sftp-status.ts";

/** What a host's faults do to its SFTP server. */
export interface SftpFaults {
  /** Throws `EACCES` when nothing may change at this path. */
  checkWritable(path: string): void;
  /** Throws `ENOSPC` when the host's disk has no room for so many bytes more. */
  takeSpace(bytes: number): void;
  /** What arrives of a write; `first` says whether it is the file's first. */
  transmit(data: Buffer, first: boolean): Buffer;
}

/** The SFTP faults of one host, whose disk space all its connections share. */
export function createSftpFaults(faults: readonly HostFault[], homes: readonly string[]): SftpFaults {
  const readOnly = findFault(faults, "readOnlyHome") !== undefined;
  const corrupt = findFault(faults, "corruptUpload") !== undefined;
  let room = findFault(faults, "diskFull")?.afterBytes ?? Number.POSITIVE_INFINITY;
  return {
    checkWritable(path) {
      if (readOnly && homes.some((home) => path === home || path.startsWith(home + sep))) {
        throw systemError("EACCES");
      }
    },
    takeSpace(bytes) {
      if (bytes > room) throw systemError("ENOSPC");
      room -= bytes;
    },
    transmit(data, first) {
      if (!corrupt || !first || data.length === 0) return data;
      const copy = Buffer.from(data);
      const middle = Math.floor(copy.length / 2);
      copy.writeUInt8(copy.readUInt8(middle) ^ 1, middle);
      return copy;
    },
  };
}
