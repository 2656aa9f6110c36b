import * as fs from "node:fs";
import { networkInterfaces } from "node:os";
import type { ReadSystem } from "../../core/system.ts";

/** Reads for facts: a missing or forbidden file gives no fact, and no error. */
export interface FactReader {
  /** Trimmed; null when it cannot be read. */
  text(path: string): Promise<string | null>;
  /** A file's lines, none when it cannot be read. */
  lines(path: string): Promise<readonly string[]>;
  exists(path: string): Promise<boolean>;
  /** Names in a directory, none when it cannot be listed. */
  list(path: string): Promise<readonly string[]>;
  /** The last part of what a link points to. */
  linkName(path: string): Promise<string | null>;
}

/** A {@link FactReader} over a system, and over the files of `machine` where it has a way to them. */
export function createFactReader(system: ReadSystem, machine?: Machine): FactReader {
  const orElse = async <T, E>(reading: Promise<T>, otherwise: E): Promise<T | E> => {
    try {
      return await reading;
    } catch {
      return otherwise;
    }
  };
  const read = async (path: string): Promise<string | null> => {
    try {
      const content = machine?.text?.(path) ?? (await system.readIfExists(path));
      return content?.toString().trim() ?? null;
    } catch {
      return null;
    }
  };
  // Several facts come from one file.
  const texts = new Map<string, Promise<string | null>>();
  const text = (path: string): Promise<string | null> => {
    const known = texts.get(path) ?? read(path);
    texts.set(path, known);
    return known;
  };
  const exists = async (path: string): Promise<boolean> => (await orElse(system.stat(path), null)) !== null;
  return {
    text,
    lines: async (path) => ((await text(path)) ?? "").split("\n").filter((line) => line !== ""),
    exists,
    list: async (path) => ((await exists(path)) ? orElse(system.list(path), []) : []),
    linkName: async (path) => {
      if ((await orElse(system.lstat(path), null))?.type !== "link") return null;
      return (await orElse(system.readLink(path), null))?.split("/").at(-1) ?? null;
    },
  };
}

/** `NAME=value` lines as a shell would read them, quotes taken off; comments are left out. */
export function parseAssignments(lines: readonly string[]): Readonly<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const line of lines) {
    const match = /^\s*([A-Za-z_][A-Za-z0-9_]*)=(.*?)\s*$/.exec(line);
    if (match === null) continue;
    const [, name = "", raw = ""] = match;
    const quoted = /^(["'])(.*)\1$/.exec(raw);
    found[name] = quoted === null ? raw : (quoted[2] ?? "").replace(/\\([\\"$`])/g, "$1");
  }
  return found;
}

/** An IPv4 address as the kernel reports it. */
export interface MachineAddress {
  readonly device: string;
  readonly address: string;
  readonly netmask: string;
}

/** Blocks and inodes of a file system, as statfs(2) names and counts them. */
export type FileSystemSize = Pick<fs.StatsFs, "bsize" | "blocks" | "bavail" | "files" | "ffree">;

/** Facts that no file has. The caller of `gatherFacts` passes them when the system is its own machine. */
export interface Machine {
  nowMs(): number;
  /** Undefined where they are not known: they are then worked out from the routes. */
  ipv4Addresses(): readonly MachineAddress[] | undefined;
  fileSystemSize(path: string): FileSystemSize | undefined;
  /** Read a file in a directory of root. Fails for one that cannot be read. Default: the system reads it. */
  text?(path: string, encoding?: BufferEncoding): string;
}

/** The machine this process runs on. */
export const thisMachine: Machine = {
  // As root a System looks at every directory of the path, in case another user has put a link there.
  text: (path, encoding = "utf8") =>
    fs.readFileSync(path, { encoding, flag: fs.constants.O_NONBLOCK as never }),
  nowMs: () => Date.now(),
  ipv4Addresses: () =>
    Object.entries(networkInterfaces()).flatMap(([device, addresses = []]) =>
      addresses
        .filter(({ family }) => family === "IPv4")
        .map(({ address, netmask }) => ({ device, address, netmask })),
    ),
  fileSystemSize: (path) => {
    try {
      return fs.statfsSync(path);
    } catch {
      // A mount point that cannot be reached, or a Node before 18.15.
      return undefined;
    }
  },
};
