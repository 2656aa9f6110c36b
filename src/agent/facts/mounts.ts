import type { MountFacts } from "../../core/facts.ts";
import type { FileSystemSize } from "./machine.ts";
import type { FactReader } from "./reader.ts";

/** Mounted file systems that have a device, as Ansible lists them; those over a network without their sizes, since a dead server would hang the question. */
export async function gatherMounts(
  reader: FactReader,
  sizeOf: (path: string) => FileSystemSize | undefined,
): Promise<readonly MountFacts[]> {
  const uuids = new Map<string, string>();
  for (const uuid of await reader.list("/dev/disk/by-uuid")) {
    const name = await reader.linkName(`/dev/disk/by-uuid/${uuid}`);
    if (name !== null) uuids.set(`/dev/${name}`, uuid);
  }
  return (await reader.lines("/proc/mounts")).flatMap((line) => {
    const [device = "", mount = "", fstype = "", options = ""] = line.split(" ").map(unescapeMount);
    const network = device.includes(":/") || device.startsWith("//");
    if (!device.startsWith("/") && !network) return [];
    const size = network ? undefined : sizeOf(mount);
    return [
      {
        device,
        mount,
        fstype,
        options,
        uuid: uuids.get(device) ?? "N/A",
        ...(size === undefined ? {} : sizeFacts(size)),
      },
    ];
  });
}

function sizeFacts(size: FileSystemSize): Partial<MountFacts> {
  return {
    block_size: size.blockSize,
    block_total: size.blocks,
    block_available: size.blocksAvailable,
    block_used: size.blocks - size.blocksAvailable,
    size_total: size.blocks * size.blockSize,
    size_available: size.blocksAvailable * size.blockSize,
    inode_total: size.inodes,
    inode_available: size.inodesFree,
    inode_used: size.inodes - size.inodesFree,
  };
}

/** Spaces and the like are written as octal in /proc/mounts: see getmntent(3). */
function unescapeMount(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}
