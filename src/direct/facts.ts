import { randomBytes } from "node:crypto";
import { gatherFacts } from "../agent/facts/gather.ts";
import { formatIpv4 } from "../agent/facts/ip.ts";
import type { FileSystemSize, Machine, MachineAddress } from "../agent/facts/machine.ts";
import type { Facts } from "../core/facts.ts";
import type { FileType, ReadSystem, Stat } from "../core/system.ts";
import { FACT_BINARY_FILES, FACT_DIRECTORIES, FACT_FILES, FACT_PATHS, factsScript } from "./facts-script.ts";
import { runScript } from "./script.ts";
import type { Shells } from "./shell.ts";

/** What a host told of itself, by kind and path. */
export type FactRecords = ReadonlyMap<string, Buffer>;

/** Asks a host for all that facts are made of, in one question. */
export async function askForFacts(shells: Shells): Promise<FactRecords> {
  const mark = `volley-${randomBytes(8).toString("hex")}`;
  return parseRecords(await runScript(shells, factsScript(mark)), mark);
}

/** Makes facts of what a host told; what it was not asked for beforehand is asked for now. */
export function gatherDirectFacts(
  system: ReadSystem,
  records: FactRecords,
  env: Readonly<Record<string, string>>,
): Promise<Facts> {
  return gatherFacts(snapshotSystem(system, records), { ...env }, machineOf(records));
}

/** The accounts a host told of: /etc/passwd. */
export function passwdOf(records: FactRecords): string {
  return records.get("file /etc/passwd")?.toString("utf8") ?? "";
}

function parseRecords(output: Buffer, mark: string): FactRecords {
  const records = new Map<string, Buffer>();
  const begin = Buffer.from(`\n${mark} `);
  for (let at = output.indexOf(begin); at >= 0; ) {
    const headEnd = output.indexOf(10, at + begin.length);
    if (headEnd < 0) break;
    // The newline before a mark is the mark's own.
    const next = output.indexOf(begin, headEnd);
    const end = next < 0 ? output.length : next;
    records.set(output.toString("utf8", at + begin.length, headEnd), output.subarray(headEnd + 1, end));
    at = next;
  }
  return records;
}

/** The host as it was when it was asked. */
function snapshotSystem(system: ReadSystem, records: FactRecords): ReadSystem {
  const asked = new Set([
    ...FACT_FILES,
    ...FACT_BINARY_FILES,
    ...FACT_PATHS,
    ...FACT_DIRECTORIES,
    "/usr/bin/python3",
  ]);
  const isAsked = (path: string): boolean =>
    asked.has(path) || FACT_DIRECTORIES.some((directory) => path.startsWith(`${directory}/`));
  const identities = (records.get("chroot /")?.toString("utf8") ?? "").split("\n");
  const find = (path: string, follow: boolean): Stat | null => {
    if (!follow && records.has(`link ${path}`)) return statOf("link");
    if (records.has(`list ${path}`)) return statOf("directory");
    if (records.has(`program ${path}`)) return statOf("file", 0o755);
    return records.has(`file ${path}`) || records.has(`path ${path}`) ? statOf("file") : null;
  };
  const look =
    (follow: boolean) =>
    async (path: string, exact?: boolean): Promise<Stat | null> => {
      const root = ["/", "/proc/1/root/."].indexOf(path);
      if (root >= 0) {
        const [device, inode] = (identities[root] ?? "").split(":").map(Number);
        return inode === undefined ? null : { ...statOf("directory"), device: device ?? 0, inode };
      }
      if (isAsked(path)) return find(path, follow);
      return follow ? system.stat(path, exact) : system.lstat(path, exact);
    };
  const readIfExists = async (path: string): Promise<Buffer | null> =>
    isAsked(path) ? (records.get(`file ${path}`) ?? null) : system.readIfExists(path);
  return {
    ...system,
    stat: look(true),
    lstat: look(false),
    readIfExists,
    readText: async (path) => (await readIfExists(path))?.toString("utf8") ?? system.readText(path),
    list: async (path) => {
      const names = records.get(`list ${path}`);
      if (names === undefined) return isAsked(path) ? [] : system.list(path);
      return names
        .toString("utf8")
        .split("\n")
        .filter((name) => name !== "")
        .sort();
    },
    readLink: async (path) =>
      records.get(`link ${path}`)?.toString("utf8").trimEnd() ?? system.readLink(path),
  };
}

function statOf(type: FileType, mode = 0o644): Stat {
  return {
    ...{ type, mode, uid: 0, gid: 0, size: 0, mtimeMs: 0, atimeMs: 0 },
    ...{ inode: 0, device: 0, links: 1 },
  };
}

function machineOf(records: FactRecords): Machine {
  const addresses = parseAddresses(records.get("address /")?.toString("utf8") ?? "");
  const seconds = Number(records.get("time /")?.toString("utf8").trim());
  return {
    nowMs: () => (Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : Date.now()),
    ipv4Addresses: () => addresses,
    fileSystemSize: (path) => sizeOf(records, path),
  };
}

/** Lines of `ip -o -4 addr show`. */
function parseAddresses(text: string): readonly MachineAddress[] | undefined {
  const found = [...text.matchAll(/^\d+:\s+(\S+)\s+inet\s+([\d.]+)(?:\s+peer\s+[\d.]+)?\/(\d+)/gm)];
  if (found.length === 0) return undefined;
  return found.map(([, device = "", address = "", prefix]) => ({
    device,
    address,
    netmask: formatIpv4((0xffffffff << (32 - Number(prefix))) >>> 0),
  }));
}

/** Numbers of `stat -f`; /proc/mounts writes spaces of a path as `\040`. */
function sizeOf(records: FactRecords, path: string): FileSystemSize | undefined {
  const written = path.replace(/[ \t\n\\]/g, (odd) => `\\${odd.charCodeAt(0).toString(8).padStart(3, "0")}`);
  const numbers = records.get(`size ${written}`)?.toString("utf8").trim().split(" ").map(Number) ?? [];
  const [blockSize, blocks, blocksAvailable, blocksFree, inodes, inodesFree] = numbers;
  if (blockSize === undefined || blocks === undefined || blocksAvailable === undefined) return undefined;
  return {
    ...{ blockSize, blocks, blocksAvailable, blocksFree: blocksFree ?? 0 },
    ...{ inodes: inodes ?? 0, inodesFree: inodesFree ?? 0 },
  };
}
