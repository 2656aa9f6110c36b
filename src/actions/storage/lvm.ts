import { VolleyError } from "../../core/errors.ts";
import type { ReadSystem } from "../../core/system.ts";
import { failureText } from "../shared/run-tool.ts";

const ENGLISH = { env: { LC_ALL: "C" } } as const;

/** Run a command that only asks and must succeed, and return its output. Fails with `ACTION_FAILED`. */
export async function runsOk(
  argv: readonly string[],
  attempted: string,
  system: ReadSystem,
): Promise<string> {
  const [tool = ""] = argv;
  if ((await system.which(tool)) === null)
    throw new VolleyError("ACTION_FAILED", `cannot ${attempted}: there is no ${tool} on this host`);
  const result = await system.query(argv, ENGLISH);
  if (result.code !== 0)
    throw new VolleyError("ACTION_FAILED", `cannot ${attempted}: ${failureText(result)}`);
  return result.stdout;
}

/** A volume group; sizes in bytes. */
export interface VolumeGroup {
  readonly name: string;
  readonly size: number;
  readonly free: number;
  readonly extentSize: number;
  readonly lvCount: number;
}

/** A logical volume; sizes in bytes. */
export interface LogicalVolume {
  readonly name: string;
  readonly size: number;
  readonly active: boolean;
  readonly isThinPool: boolean;
  readonly isThin: boolean;
  /** The volume that a snapshot is of; empty for others. */
  readonly origin: string;
}

/** A physical volume. */
export interface PhysicalVolume {
  readonly path: string;
  /** The group that it belongs to; empty for none. */
  readonly group: string;
}

const FORMAT = ["--noheadings", "--nosuffix", "--units", "b", "--separator", ";"];

async function rows(argv: readonly string[], system: ReadSystem): Promise<readonly (readonly string[])[]> {
  if ((await system.which(argv[0] ?? "")) === null)
    throw new VolleyError("ACTION_FAILED", `there is no ${argv[0]} on this host; install the package lvm2`);
  const { stdout } = await system.query(argv, ENGLISH);
  return stdout.split("\n").flatMap((line) => (line.trim() === "" ? [] : [line.trim().split(";")]));
}

/** Read a volume group; undefined when there is none of this name. */
export async function readGroup(name: string, system: ReadSystem): Promise<VolumeGroup | undefined> {
  const found = await rows(
    ["vgs", ...FORMAT, "-o", "vg_name,vg_size,vg_free,vg_extent_size,lv_count"],
    system,
  );
  const [row] = found.filter(([itsName]) => itsName === name);
  if (row === undefined) return undefined;
  const [, size, free, extentSize, lvCount] = row.map(Number);
  return { name, size: size ?? 0, free: free ?? 0, extentSize: extentSize ?? 0, lvCount: lvCount ?? 0 };
}

/** List the physical volumes. */
export async function readPhysical(system: ReadSystem): Promise<readonly PhysicalVolume[]> {
  const found = await rows(["pvs", ...FORMAT, "-o", "pv_name,vg_name"], system);
  return found.map(([path = "", group = ""]) => ({ path, group }));
}

/** List the logical volumes of a group. */
export async function readLogical(group: string, system: ReadSystem): Promise<readonly LogicalVolume[]> {
  const found = await rows(["lvs", ...FORMAT, "-a", "-o", "lv_name,lv_size,lv_attr,origin", group], system);
  return found.map(([name = "", size = "", attributes = "", origin = ""]) => ({
    name: name.replace(/^\[|\]$/g, ""),
    size: Number(size),
    // lvs(8): the first letter is the kind, the fifth the state.
    active: attributes[4] === "a",
    isThinPool: attributes[0] === "t",
    isThin: attributes[0] === "V",
    origin,
  }));
}
