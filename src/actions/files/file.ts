import * as v from "valibot";
import { unchanged } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { Stat } from "../../core/system.ts";
import { defineAction } from "../define.ts";
import { fileAttributes, flag, optionalText, text } from "../shared/params.ts";
import { followLinks } from "../shared/paths.ts";
import { inspectFile } from "../shared/write-file.ts";
import {
  applySteps,
  NOTHING_TO_DO,
  type PathRequest,
  type Plan,
  planAttributes,
  planDirectory,
  planHardLink,
  planSymlink,
  type StepsChange,
  stepsChange,
  timesOfNew,
} from "./file-plan.ts";

const STATES = ["file", "directory", "touch", "link", "hard", "absent"] as const;

type FileState = (typeof STATES)[number];

/** The data of a file task. */
interface FileData {
  readonly path: string;
  readonly state: FileState;
}

interface FileActionChange extends StepsChange {
  readonly data: FileData;
}

/** Make, change and remove files, directories and links. */
export const file = defineAction({
  name: "file",
  doc: `Make directories and links, set owner, group and mode, and remove files.

States: \`file\` sets attributes of an existing file; \`directory\` makes a directory and its parents; \`touch\` makes an
empty file, or sets an existing file's times to now; \`link\` and \`hard\` make a link to \`src\`; \`absent\` removes a file,
or a directory with its content. Default: the existing type; with \`recurse\` a directory.

As in Ansible, links are followed unless \`follow\` is false, and attributes are set on the target of a link. A link in
the place of a file, or to a missing target, needs \`force\`. New parent directories get the same attributes. \`touch\` is
a change every time unless both times are \`preserve\`.

Unlike Ansible, \`recurse\` follows links below a directory only with \`follow: true\`, and root follows another user's
link only to a target that the same user owns.`,
  params: v.pipe(
    v.strictObject({
      path: text("The file, directory or link: an absolute path, or one from `~/`."),
      state: v.optional(v.pipe(v.picklist(STATES), v.description("The wanted state."))),
      src: optionalText(
        "Target of a link: absolute, or relative to the link's directory. For `hard`, an absolute path.",
      ),
      ...fileAttributes,
      recurse: flag("Set the attributes of everything below a directory too."),
      force: flag(
        "Make a link even if its target is missing, or in the place of a file or an empty directory.",
      ),
      follow: v.optional(
        v.pipe(
          v.boolean(),
          v.description(
            "Work on the target of a link. Default: true for `path` itself; `recurse` follows links below it only with an explicit true.",
          ),
        ),
      ),
      modification_time: optionalText(
        "`preserve`, `now`, or `YYYYMMDDHHMM.SS`. Default: `now` for touch, else `preserve`.",
      ),
      access_time: optionalText("The same for the access time."),
    }),
    v.check(
      ({ state, src }) => src === undefined || state === undefined || state === "link" || state === "hard",
      '"src" is where a link leads, and goes with state: "link" or "hard"',
    ),
    v.check(
      ({ state, recurse }) => !recurse || state === undefined || state === "directory",
      '"recurse" goes with state: "directory"',
    ),
  ),
  examples: [
    { path: "/srv/app", state: "directory", owner: "www-data", mode: "0750" },
    { path: "/etc/nginx/sites-enabled/app", state: "link", src: "../sites-available/app" },
    { path: "/etc/motd.d/old", state: "absent" },
  ],
  title: ({ path }) => path,

  async inspect(params, system, context) {
    const { path: given, recurse, follow = true, src, force, owner, group, mode } = params;
    const path = given.replace(/(?<=.)\/+$/, "");
    const stat = await system.lstat(path);
    const state = params.state ?? presentState(stat) ?? (recurse ? "directory" : "file");
    if (recurse && state !== "directory") {
      throw new VolleyError("ACTION_FAILED", `"recurse" is for directories, and ${path} is to be a ${state}`);
    }
    if (src !== undefined && state !== "link" && state !== "hard") {
      throw new VolleyError(
        "ACTION_FAILED",
        `"src" is where a link leads; for ${path} to be one, write state: "link"`,
      );
    }
    const time = state === "touch" ? "now" : "preserve";
    const request: PathRequest = {
      ...{ system, context, path, stat, src, force, follow, recurse, owner, group, mode },
      followsInTree: params.follow === true,
      modification_time: params.modification_time ?? time,
      access_time: params.access_time ?? time,
    };
    const plan = await planState(state, request);
    if (plan.steps.length === 0 && plan.unknown === undefined) return unchanged<FileData>({ path, state });
    const change: FileActionChange = {
      ...stepsChange(plan.steps, plan.diff, plan.messages),
      data: { path, state },
      ...(plan.unknown === undefined ? {} : { unknown: plan.unknown }),
    };
    return change;
  },

  async apply(change, _params, system) {
    await applySteps(change.steps, system);
    return { data: change.data };
  },
});

/** Return the state that keeps an existing entry. */
function presentState(stat: Stat | null): FileState | undefined {
  if (stat === null) return undefined;
  return stat.type === "directory" || stat.type === "link" ? stat.type : "file";
}

async function planState(state: FileState, request: PathRequest): Promise<Plan> {
  switch (state) {
    case "link":
      return planSymlink(request);
    case "hard":
      return planHardLink(request);
    case "absent": {
      const { path, stat } = request;
      if (stat === null) return NOTHING_TO_DO;
      return {
        steps: [{ do: "remove", path }],
        diff: [{ path, attributes: { state: [stat.type, "absent"] } }],
      };
    }
    case "directory":
      return planDirectory(await followRequest(request));
    case "touch":
      return planTouch(await followRequest(request));
    case "file":
      return planPresent(await followRequest(request));
  }
}

async function followRequest(request: PathRequest): Promise<PathRequest> {
  if (request.stat?.type !== "link" || !request.follow) return request;
  const path = await followLinks(request.system, request.path);
  return { ...request, path, stat: await request.system.lstat(path) };
}

async function planPresent(request: PathRequest): Promise<Plan> {
  const { path, stat, context } = request;
  if (stat === null) {
    if (context.check) return { ...NOTHING_TO_DO, unknown: `there is no ${path} yet` };
    throw new VolleyError(
      "ACTION_FAILED",
      `there is no ${path}; make it with copy or template, or with state: "touch"`,
    );
  }
  if (stat.type === "directory" || stat.type === "link") {
    throw new VolleyError(
      "ACTION_FAILED",
      `${path} is a ${stat.type}, not a file; write state: "${stat.type}"`,
    );
  }
  return planAttributes(request, path, stat);
}

async function planTouch(request: PathRequest): Promise<Plan> {
  const { system, context, path, stat, owner, group, mode } = request;
  if (stat !== null) return planAttributes(request, path, stat);
  const change = await inspectFile({ system, context, path, content: "", owner, group, mode });
  const times = timesOfNew(path, request.modification_time, request.access_time);
  return change === null
    ? NOTHING_TO_DO
    : {
        steps: [{ do: "file", change }, ...(times === null ? [] : [times])],
        diff: [change.diff],
        ...(change.message === undefined ? {} : { messages: [change.message] }),
      };
}
