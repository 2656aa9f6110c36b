import * as v from "valibot";
import { type ActionContext, type Change, type Unchanged, unchanged } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ReadSystem } from "../../core/system.ts";
import { defineAction } from "../define.ts";
import { describe, flag, nameText, oneOf } from "../shared/params.ts";
import { commandWords, runTool } from "../shared/run-tool.ts";
import { readGroup, readLogical, readPhysical } from "./lvm.ts";

const params = v.strictObject({
  vg: nameText("The volume group."),
  pvs: v.optional(
    describe(
      v.array(v.pipe(v.string(), v.startsWith("/", "must be absolute paths"))),
      "The devices of the group; required for a new one.",
    ),
  ),
  pesize: v.optional(
    v.pipe(
      v.union([v.string(), v.number()]),
      v.transform(String),
      v.regex(/^\d+[bskmgtpeBSKMGTPE]?$/, "must be a size, such as 4 or 128K"),
      v.description("The size of an extent of a new group, in MiB unless it has a unit."),
    ),
    "4",
  ),
  pv_options: v.optional(describe(v.string(), "Options for pvcreate."), ""),
  vg_options: v.optional(describe(v.string(), "Options for vgcreate."), ""),
  state: oneOf(["present", "absent"], "present", "Make or remove it."),
  active: v.optional(describe(v.boolean(), "Activate or deactivate all logical volumes of the group.")),
  force: flag("Remove a group that has logical volumes, and use devices that hold something else."),
  remove_extra_pvs: flag("Take devices out of the group that are not in `pvs`.", true),
  reset_vg_uuid: flag("Give the group a new UUID; always a change."),
  reset_pv_uuid: flag("Give the devices new UUIDs; always a change."),
});

type GroupParams = v.InferOutput<typeof params>;

interface GroupChange extends Change {
  readonly commands: readonly (readonly string[])[];
}

/** Manage volume groups. */
export const lvg = defineAction<typeof params, GroupChange>({
  name: "lvg",
  doc: "Make an LVM volume group of devices, change its devices, or remove it. Devices become physical volumes where they are none.",
  params,
  examples: [
    { vg: "data", pvs: ["/dev/sdb1", "/dev/sdc1"], pesize: "32" },
    { vg: "data", state: "absent" },
  ],
  title: ({ vg }) => vg,

  async inspect(given, system, context): Promise<GroupChange | Unchanged<undefined>> {
    const { vg, state, force } = given;
    const group = await readGroup(vg, system);
    if (state === "absent") {
      if (group === undefined) return unchanged();
      if (group.lvCount > 0 && !force)
        throw new VolleyError(
          "ACTION_FAILED",
          `Refuse to remove non-empty volume group ${vg} without force=true; it has ${group.lvCount} logical volumes`,
        );
      const diff = { path: `volume group ${vg}`, attributes: { state: ["present", "absent"] as const } };
      return { commands: [["vgremove", "--force", vg]], diff };
    }
    const missing = await missingDevices(given.pvs ?? [], system);
    if (missing.length > 0) return refuse(`Device ${missing.join(", ")} not found.`, context);
    if (group === undefined) return create(given, system);
    return alter(given, system);
  },

  async apply({ commands }, { vg }, system, { signal }) {
    for (const argv of commands)
      await runTool(system, argv, `change the volume group ${vg}`, { signal, env: { LC_ALL: "C" } });
  },
});

function refuse(message: string, { check }: ActionContext): GroupChange {
  if (!check) throw new VolleyError("ACTION_FAILED", message);
  return { commands: [], unknown: `${message} An earlier task may make it.` };
}

async function missingDevices(pvs: readonly string[], system: ReadSystem): Promise<readonly string[]> {
  const missing: string[] = [];
  for (const path of pvs) if ((await system.stat(path)) === null) missing.push(path);
  return missing;
}

/** The commands that make devices physical volumes, where they are none. Fails for those of another group. */
async function prepare(
  { vg, pv_options, force }: GroupParams,
  devices: readonly string[],
  system: ReadSystem,
): Promise<readonly (readonly string[])[]> {
  const there = await readPhysical(system);
  const commands: (readonly string[])[] = [];
  for (const device of devices) {
    const real = await system.realPath(device);
    const known = there.find(({ path }) => path === device || path === real);
    if (known === undefined)
      commands.push(["pvcreate", ...commandWords(pv_options), ...(force ? ["-f"] : []), "--yes", device]);
    else if (known.group !== "" && known.group !== vg)
      throw new VolleyError("ACTION_FAILED", `${device} is already in the volume group ${known.group}`);
  }
  return commands;
}

async function create(given: GroupParams, system: ReadSystem): Promise<GroupChange> {
  const { vg, pvs = [], pesize, vg_options } = given;
  if (pvs.length === 0)
    throw new VolleyError("ACTION_FAILED", `there is no volume group ${vg}; give pvs to make it`);
  const commands = [
    ...(await prepare(given, pvs, system)),
    ["vgcreate", ...commandWords(vg_options), "-s", pesize, vg, ...pvs],
  ];
  return { commands, diff: { path: `volume group ${vg}`, attributes: { pvs: ["", pvs.join(", ")] } } };
}

async function alter(given: GroupParams, system: ReadSystem): Promise<GroupChange | Unchanged<undefined>> {
  const { vg, active } = given;
  const commands: (readonly string[])[] = [];
  const attributes: Record<string, readonly [string, string]> = {};
  const now = (await readPhysical(system)).filter(({ group }) => group === vg).map(({ path }) => path);
  if (given.pvs !== undefined) {
    const isIn = async (path: string, paths: readonly string[]): Promise<boolean> =>
      paths.includes(path) || paths.includes(await system.realPath(path));
    const added: string[] = [];
    for (const path of given.pvs) if (!(await isIn(path, now))) added.push(path);
    const wanted = [...given.pvs, ...(await Promise.all(given.pvs.map((path) => system.realPath(path))))];
    const extra: string[] = [];
    if (given.remove_extra_pvs) for (const path of now) if (!(await isIn(path, wanted))) extra.push(path);
    if (added.length > 0) commands.push(...(await prepare(given, added, system)), ["vgextend", vg, ...added]);
    if (extra.length > 0) commands.push(["vgreduce", "--force", vg, ...extra]);
    if (added.length + extra.length > 0) {
      const after = [...now.filter((path) => !extra.includes(path)), ...added];
      attributes.pvs = [now.join(", "), after.join(", ")];
    }
  }
  if (active !== undefined) {
    const volumes = (await readLogical(vg, system)).filter(
      ({ name }) => !name.includes("_tdata") && !name.includes("_tmeta"),
    );
    if (volumes.some((volume) => volume.active !== active)) {
      commands.push(["vgchange", "--activate", active ? "y" : "n", vg]);
      attributes.active = [String(!active), String(active)];
    }
  }
  if (given.reset_vg_uuid) {
    commands.push(["vgchange", "-u", vg]);
    attributes.uuid = ["", "new"];
  }
  if (given.reset_pv_uuid) {
    commands.push(...now.map((path) => ["pvchange", "-u", path]));
    attributes.pv_uuid = ["", "new"];
  }
  if (commands.length === 0) return unchanged();
  return { commands, diff: { path: `volume group ${vg}`, attributes } };
}
