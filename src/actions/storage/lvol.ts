import * as v from "valibot";
import { type ActionContext, type Change, type Unchanged, unchanged } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ReadSystem } from "../../core/system.ts";
import { defineAction } from "../define.ts";
import { oneRequired } from "../shared/combinations.ts";
import { describe, flag, nameText, oneOf } from "../shared/params.ts";
import { commandWords, runTool } from "../shared/run-tool.ts";
import { type LogicalVolume, readGroup, readLogical, type VolumeGroup } from "./lvm.ts";

const SIZE = /^([+-]?)(\d+(?:\.\d+)?)(?:%(VG|PVS|FREE|ORIGIN)|([bskmgtpe])?(?:i?b)?)$/i;

const params = v.pipe(
  v.strictObject({
    vg: nameText("The volume group."),
    lv: v.optional(nameText("The logical volume.")),
    size: v.optional(
      v.pipe(
        v.union([v.string(), v.number()]),
        v.transform((given) => String(given).trim()),
        v.regex(SIZE, "must be a size, such as 512, 10g, 60%VG, 100%FREE or +2g"),
        v.description(
          "Its size: in MiB, or with a unit (`10g`), or a share (`60%VG`, `100%FREE`). With `+` or `-` it is added or taken away, which is always a change.",
        ),
      ),
    ),
    opts: v.optional(describe(v.string(), "Options for lvcreate."), ""),
    state: oneOf(["present", "absent"], "present", "Make or remove it."),
    active: flag("Activate it, or deactivate it.", true),
    force: flag("Shrink or remove it. What is there is lost."),
    shrink: flag(
      "Shrink it where it is larger than `size`, which needs `force`; else leave it larger.",
      true,
    ),
    snapshot: v.optional(nameText("Make a snapshot of this name, of `lv`.")),
    thinpool: v.optional(nameText("A thin pool: to be made, or with `lv` the pool of the volume.")),
    pvs: v.optional(describe(v.array(v.string()), "The physical volumes to use.")),
    resizefs: flag("Resize the file system with it."),
  }),
  oneRequired("lv", "thinpool"),
  v.check(
    ({ lv, snapshot }) => snapshot === undefined || lv !== undefined,
    "a snapshot needs lv, its origin",
  ),
);

type VolumeParams = v.InferOutput<typeof params>;

interface VolumeChange extends Change {
  readonly commands: readonly (readonly string[])[];
}

/** The data of a lvol task. */
interface VolumeData {
  readonly vg: string;
  readonly lv: string;
  /** MiB. */
  readonly size?: number;
}

const MIB = 1024 * 1024;

/** Manage logical volumes. */
export const lvol = defineAction<typeof params, VolumeChange, VolumeData>({
  name: "lvol",
  doc: `Make a logical volume of LVM, change its size, or remove it; also thin pools, thin volumes and snapshots.

Sizes are rounded up to whole extents, so a volume that is as large as that is left alone. A share of the free space counts what the volume has itself. Shrinking and removing need \`force\`.`,
  params,
  examples: [
    { vg: "data", lv: "db", size: "10g" },
    { vg: "data", lv: "db", size: "100%FREE", resizefs: true },
    { vg: "data", lv: "db", snapshot: "before", size: "1g" },
    { vg: "data", lv: "db", state: "absent", force: true },
  ],
  title: ({ vg, lv, snapshot, thinpool }) => `${vg}/${snapshot ?? lv ?? thinpool}`,

  async inspect(given, system, context): Promise<VolumeChange | Unchanged<VolumeData>> {
    const { vg, state, force } = given;
    const name = nameOf(given);
    const group = await readGroup(vg, system);
    if (group === undefined) {
      if (state === "absent") return unchanged({ vg, lv: name });
      return refuse(`Volume group ${vg} does not exist.`, context);
    }
    const volumes = await readLogical(vg, system);
    const volume = volumes.find((one) => one.name === name);
    const full = `${vg}/${name}`;
    if (state === "absent") {
      if (volume === undefined) return unchanged({ vg, lv: name });
      if (!force)
        throw new VolleyError(
          "ACTION_FAILED",
          `Sorry, no removal of logical volume ${name} without force=true.`,
        );
      const diff = { path: `logical volume ${full}`, attributes: { state: ["present", "absent"] as const } };
      return { commands: [["lvremove", "--force", full]], diff, data: { vg, lv: name } satisfies VolumeData };
    }
    if (volume === undefined) {
      if (given.snapshot !== undefined && !volumes.some((one) => one.name === given.lv))
        return refuse(`Snapshot origin LV ${given.lv} does not exist in volume group ${vg}.`, context);
      const commands = [createCommand(given, volumes), ...(given.active ? [] : [["lvchange", "-an", full]])];
      const diff = { path: `logical volume ${full}`, attributes: { size: ["", given.size ?? ""] as const } };
      return { commands, diff };
    }
    const resize = resizeCommand(given, group, volume);
    const commands = [
      ...(resize === null ? [] : [resize.argv]),
      ...(volume.active === given.active || volume.isThinPool
        ? []
        : [["lvchange", given.active ? "-ay" : "-an", full]]),
    ];
    if (commands.length === 0) return unchanged(dataOf(vg, volume));
    const attributes: Record<string, readonly [string, string]> = {
      ...(resize === null ? {} : { size: [mib(volume.size), mib(resize.size)] as const }),
      ...(volume.active === given.active
        ? {}
        : { active: [String(volume.active), String(given.active)] as const }),
    };
    return { commands, diff: { path: `logical volume ${full}`, attributes } };
  },

  async apply({ commands }, given, system, { signal }) {
    const { vg, state } = given;
    const name = nameOf(given);
    for (const argv of commands)
      await runTool(system, argv, `change the logical volume ${vg}/${name}`, {
        signal,
        env: { LC_ALL: "C" },
      });
    const volume = state === "absent" ? undefined : await findVolume(vg, name, system);
    return { data: volume === undefined ? { vg, lv: name } : dataOf(vg, volume) };
  },
});

function nameOf({ lv, snapshot, thinpool }: VolumeParams): string {
  return snapshot ?? lv ?? thinpool ?? "";
}

function mib(bytes: number): string {
  return `${bytes / MIB} MiB`;
}

function dataOf(vg: string, { name, size }: LogicalVolume): VolumeData {
  return { vg, lv: name, size: size / MIB };
}

async function findVolume(vg: string, name: string, system: ReadSystem): Promise<LogicalVolume | undefined> {
  return (await readLogical(vg, system)).find((one) => one.name === name);
}

function refuse(message: string, { check }: ActionContext): VolumeChange {
  if (!check) throw new VolleyError("ACTION_FAILED", message);
  return { commands: [], unknown: `${message} An earlier task may make it.` };
}

/** A size as LVM's programs take it: `-l` for shares, `-L` for sizes, in MiB where no unit is given. */
function sizeOption(size: string): readonly [option: string, value: string] {
  const [, sign = "", number = "", share, unit] = SIZE.exec(size) ?? [];
  return share === undefined
    ? ["-L", `${sign}${number}${unit ?? "m"}`]
    : ["-l", `${sign}${number}%${share.toUpperCase()}`];
}

function createCommand(given: VolumeParams, volumes: readonly LogicalVolume[]): readonly string[] {
  const { vg, lv, size, snapshot, thinpool, pvs = [] } = given;
  const start = ["lvcreate", "--yes", ...commandWords(given.opts)];
  if (size !== undefined && /^[+-]/.test(size))
    throw new VolleyError("ACTION_FAILED", `Bad size specification of '${size}' for creating LV`);
  const [option, value] = size === undefined ? [] : sizeOption(size);
  const sized = option === undefined || value === undefined ? [] : [option, value];
  if (snapshot !== undefined) {
    const origin = volumes.find((one) => one.name === lv);
    // A snapshot of a thin volume takes no space of its own.
    if (sized.length === 0 && origin?.isThin !== true) throw noSize(snapshot);
    return [
      ...start,
      ...(origin?.isThin === true ? ["-k", "n"] : []),
      "-s",
      "-n",
      snapshot,
      ...sized,
      `${vg}/${lv}`,
    ];
  }
  if (sized.length === 0) throw noSize(lv ?? thinpool ?? "");
  if (thinpool === undefined) return [...start, "-n", lv ?? "", ...sized, vg, ...pvs];
  if (lv === undefined) return [...start, ...sized, "--thinpool", thinpool, vg, ...pvs];
  if (option === "-l")
    throw new VolleyError(
      "ACTION_FAILED",
      `a thin volume has a size of its own, no share: give the size of ${lv}`,
    );
  return [...start, "-n", lv, "-V", value ?? "", "--thin", `${vg}/${thinpool}`];
}

function noSize(name: string): VolleyError {
  return new VolleyError("ACTION_FAILED", `No size given: ${name} does not exist yet, and needs one`);
}

const UNITS = "bskmgtpe";

/** Return a size in bytes, before it is rounded up to extents. */
function bytesOf(size: string, group: VolumeGroup, volume: LogicalVolume): number {
  const [, sign, number = "0", share, unit = "m"] = SIZE.exec(size) ?? [];
  const base =
    share === undefined
      ? null
      : /^free$/i.test(share)
        ? group.free + (sign === "" ? volume.size : 0)
        : /^origin$/i.test(share)
          ? volume.size
          : group.size;
  const power = UNITS.indexOf(unit.toLowerCase());
  const factor = power === 0 ? 1 : power === 1 ? 512 : 1024 ** (power - 1);
  // A share is rounded down to extents by LVM.
  const amount =
    base === null
      ? Number(number) * factor
      : Math.floor((base * Number(number)) / 100 / group.extentSize) * group.extentSize;
  return sign === "+" ? volume.size + amount : sign === "-" ? volume.size - amount : amount;
}

function resizeCommand(
  given: VolumeParams,
  group: VolumeGroup,
  volume: LogicalVolume,
): { readonly argv: readonly string[]; readonly size: number } | null {
  const { vg, size, shrink, force, resizefs, pvs = [] } = given;
  if (size === undefined || given.snapshot !== undefined) return null;
  const extents = Math.ceil(bytesOf(size, group, volume) / group.extentSize);
  const wanted = extents * group.extentSize;
  const full = `${vg}/${volume.name}`;
  const more = resizefs ? ["--resizefs"] : [];
  if (wanted > volume.size) {
    if (!volume.isThin && wanted - volume.size > group.free)
      throw new VolleyError(
        "ACTION_FAILED",
        `Logical Volume ${volume.name} could not be extended: ${vg} has ${mib(group.free)} free, and ${mib(wanted - volume.size)} are needed`,
      );
    return { argv: ["lvextend", "--yes", ...more, "-l", String(extents), full, ...pvs], size: wanted };
  }
  if (wanted === volume.size || !shrink) return null;
  if (wanted <= 0)
    throw new VolleyError("ACTION_FAILED", `Sorry, no shrinking of ${volume.name} to 0 permitted.`);
  if (!force)
    throw new VolleyError("ACTION_FAILED", `Sorry, no shrinking of ${volume.name} without force=true.`);
  return { argv: ["lvreduce", "--force", ...more, "-l", String(extents), full], size: wanted };
}
