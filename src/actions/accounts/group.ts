import * as v from "valibot";
import { type Change, unchanged } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import { defineAction } from "../define.ts";
import { flag, nameText, oneOf } from "../shared/params.ts";
import { runTool } from "../shared/run-tool.ts";
import { forgetNames, readGroups } from "./accounts.ts";

interface GroupChange extends Change {
  readonly argv: readonly string[];
}

/** The data of a group task. */
interface GroupData {
  readonly name: string;
  readonly state: "present" | "absent";
  /** Missing when the group is absent. */
  readonly gid?: number;
  /** As given; missing when the group is absent. */
  readonly system?: boolean;
}

const optionalInteger = (description: string) =>
  v.optional(v.pipe(v.number(), v.integer(), v.minValue(0), v.description(description)));

const params = v.strictObject({
  name: nameText("Name of the group."),
  gid: v.optional(
    v.pipe(v.number(), v.integer(), v.minValue(0), v.description("Group id. Default: the next free one.")),
  ),
  state: oneOf(["present", "absent"], "present", "Make or remove the group."),
  system: flag("Make a system group, with an id of that range."),
  non_unique: flag("Allow an id that another group has."),
  force: flag("Remove the group even if it is a user's primary group."),
  gid_min: optionalInteger("Lowest id of a new group without `gid`."),
  gid_max: optionalInteger("Highest id of a new group without `gid`."),
  local: flag("Accepted and ignored: only local files are ever changed."),
});

/** Make, change and remove groups. */
export const group = defineAction<typeof params, GroupChange, GroupData>({
  name: "group",
  doc: `Make, change or remove a group.

Only \`/etc/group\` is read and changed, with \`groupadd\`, \`groupmod\` and \`groupdel\`, as Ansible does. \`system\` matters only when the group is made. A user's primary group is removed only with \`force\`.`,
  params,
  examples: [{ name: "deploy" }, { name: "media", gid: 2000 }, { name: "old", state: "absent" }],
  title: ({ name }) => name,

  async inspect({ name, gid, state, system: isSystem, non_unique, force, gid_min, gid_max }, system) {
    if (non_unique && gid === undefined)
      throw new VolleyError("PARAMS_INVALID", "non_unique is True but all of the following are missing: gid");
    const groups = await readGroups(system);
    const present = groups.find((entry) => entry.name === name);
    const path = `group ${name}`;
    if (state === "absent") {
      if (present === undefined) return unchanged({ name, state });
      return {
        argv: ["groupdel", ...(force ? ["--force"] : []), name],
        diff: { path, before: `gid ${present.gid}\n`, after: null },
      };
    }
    if (present !== undefined && (gid === undefined || gid === present.gid)) {
      return unchanged({ name, state, gid: present.gid, system: isSystem });
    }
    const owner = groups.find((entry) => entry.gid === gid);
    if (owner !== undefined && !non_unique) {
      throw new VolleyError(
        "ACTION_FAILED",
        `gid ${gid} belongs to the group "${owner.name}"; choose another, or set non_unique`,
      );
    }
    const idOptions =
      gid === undefined ? [] : ["--gid", String(gid), ...(non_unique ? ["--non-unique"] : [])];
    if (present !== undefined) {
      return {
        argv: ["groupmod", ...idOptions, name],
        diff: { path, attributes: { gid: [String(present.gid), String(gid)] } },
      };
    }
    return {
      argv: [
        ...["groupadd", ...(isSystem ? ["--system"] : []), ...idOptions],
        ...(gid_min === undefined ? [] : ["--key", `GID_MIN=${gid_min}`]),
        ...(gid_max === undefined ? [] : ["--key", `GID_MAX=${gid_max}`]),
        name,
      ],
      diff: { path, before: null, after: gid === undefined ? "" : `gid ${gid}\n` },
    };
  },

  async apply({ argv }, { name, state, system: isSystem }, system, context) {
    await runTool(system, argv, `${state === "absent" ? "remove" : "set up"} the group ${name}`, {
      signal: context.signal,
    });
    forgetNames(context);
    const gid = (await readGroups(system)).find((entry) => entry.name === name)?.gid;
    return { data: { name, state, ...(gid === undefined ? {} : { gid, system: isSystem }) } };
  },
});
