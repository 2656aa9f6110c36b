import * as v from "valibot";
import { ActionFailure, unchanged } from "../../core/action.ts";
import { isVolleyError, VolleyError } from "../../core/errors.ts";
import type { ReadSystem, Stat } from "../../core/system.ts";
import type { FileContext } from "../accounts/accounts.ts";
import { defineAction } from "../define.ts";
import { accountWarnings } from "../shared/account-warnings.ts";
import { attributesOf } from "../shared/attributes.ts";
import { describeFile, type FileDescription } from "../shared/describe-file.ts";
import { attributeAliases, fileAttributes, flag, optionalText, text } from "../shared/params.ts";
import { expandPath, followLinks } from "../shared/paths.ts";
import { inspectFile } from "../shared/write-file.ts";
import { describeDiff, type FileDiff } from "./file-diff.ts";
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
} from "./file-plan.ts";
import { TIME_FORMAT, timesOfNew } from "./file-time.ts";

const STATES = ["file", "directory", "touch", "link", "hard", "absent"] as const;

type FileState = (typeof STATES)[number];

/** The data of a file task: `dest` of links and touched files, `path` of others. */
interface FileData extends Partial<Omit<FileDescription, "state">> {
  readonly path?: string;
  readonly dest?: string;
  /** The target of a link as given; null for none. */
  readonly src?: string | null;
  readonly state?: FileDescription["state"] | "absent";
  /** Only of a registered result. */
  readonly diff?: FileDiff;
  readonly warnings?: readonly string[];
}

interface FileActionChange extends StepsChange {
  readonly result: FileResult;
}

const timeFormat = v.optional(
  v.pipe(v.string(), v.description("The time's format, as Python's strptime takes it: `%Y-%m-%d`.")),
  TIME_FORMAT,
);

const SRC_NEEDS_LINK = "src option requires state to be 'link' or 'hard'";
const RECURSE_NEEDS_DIRECTORY = "recurse option requires state to be 'directory'";

const params = v.pipe(
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
    modification_time_format: timeFormat,
    access_time_format: timeFormat,
  }),
  v.check(
    ({ state, src }) => src === undefined || state === undefined || state === "link" || state === "hard",
    SRC_NEEDS_LINK,
  ),
  v.check(
    ({ state, recurse }) => !recurse || state === undefined || state === "directory",
    RECURSE_NEEDS_DIRECTORY,
  ),
);

/** Make, change and remove files, directories and links. */
export const file = defineAction<typeof params, FileActionChange, FileData>({
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
  aliases: { ...attributeAliases, dest: "path", name: "path" },
  params,
  examples: [
    { path: "/srv/app", state: "directory", owner: "www-data", mode: "0750" },
    { path: "/etc/nginx/sites-enabled/app", state: "link", src: "../sites-available/app" },
    { path: "/etc/motd.d/old", state: "absent" },
  ],
  title: ({ path }) => path,

  async inspect(params, system, context) {
    const given = await expandPath(system, params.path, context.facts.env);
    const path = given.replace(/(?<=.)\/+$/, "");
    const stat = await system.lstat(path);
    const { recurse, follow = true, force } = params;
    const state = params.state ?? presentState(stat) ?? (recurse ? "directory" : "file");
    const src = params.src && (await expandPath(system, params.src, context.facts.env));
    try {
      refuseMisplaced(params, path, state);
      const time = state === "touch" ? "now" : "preserve";
      const request: PathRequest = {
        ...{ system, context, path, stat, src, force, follow, recurse },
        ...attributesOf(params),
        followsInTree: params.follow === true,
        times: {
          modification: params.modification_time ?? time,
          access: params.access_time ?? time,
          modificationFormat: params.modification_time_format,
          accessFormat: params.access_time_format,
        },
      };
      const { plan, at } = await planState(state, request);
      const isGuess = params.state === undefined;
      const warnings = await accountWarnings(system, params, context);
      const isKept = stat === null && (state === "absent" || (state === "touch" && context.check));
      const result: FileResult = {
        ...{ state, isGuess, path: at === path ? given : at, src: src ?? null },
        more: {
          ...(warnings.length === 0 ? {} : { warnings }),
          ...(context.registered !== true || isKept
            ? {}
            : {
                diff: await describeDiff(
                  system,
                  { state, path: at, stat: at === path ? stat : await system.lstat(at), src },
                  plan,
                ),
              }),
        },
      };
      const isDone = plan.steps.length === 0 && plan.unknown === undefined;
      const data = isDone || context.check ? await describeResult(result, system, context) : {};
      if (isDone) return unchanged(data);
      return {
        ...stepsChange(plan.steps, plan.diff, plan.messages),
        ...{ result, data },
        ...(plan.unknown === undefined ? {} : { unknown: plan.unknown }),
      };
    } catch (thrown) {
      if (!isVolleyError(thrown) || thrown.code !== "ACTION_FAILED") throw thrown;
      // The file is missing in check mode as well, where the rest of the run is real.
      const isChecked = context.check || stat === null;
      const warnings = await accountWarnings(system, params, { ...context, check: isChecked });
      const data = {
        ...(state === "hard" || state === "link" ? { dest: given, src } : { path: given }),
        ...{ state: "absent", ...(await describeFile(system, path, context)) },
        ...(warnings.length === 0 ? {} : { warnings }),
      };
      throw new ActionFailure(thrown.code, thrown.message, data, { cause: thrown });
    }
  },

  async apply(change, _params, system, context) {
    await applySteps(change.steps, system);
    const { result } = change;
    return { data: await describeResult(result, system, context) };
  },
});

/** The file that a result tells of. */
interface FileResult {
  readonly state: FileState;
  /** True when no state was asked for. */
  readonly isGuess: boolean;
  readonly path: string;
  readonly src: string | null;
  readonly more: Pick<FileData, "diff" | "warnings">;
}

/** Describe the entry as it is, under the names that Ansible uses for the state. */
async function describeResult(
  { state, isGuess, path, src, more }: FileResult,
  system: ReadSystem,
  context: FileContext,
): Promise<FileData> {
  const found: Partial<FileDescription> = await describeFile(system, path.replace(/(?<=.)\/+$/, ""), context);
  const isHard = state === "hard" || (isGuess && found.state === "hard");
  if (state === "link") return { dest: path, src, ...found, ...more };
  if (isHard)
    return { dest: path, src, ...found, ...(found.state === "file" ? { state: "hard" } : {}), ...more };
  if (state === "touch") return { dest: path, ...found, ...more };
  return { path, ...(state === "absent" && found.state === undefined ? { state } : found), ...more };
}

function refuseMisplaced(
  { recurse, src }: { readonly recurse: boolean; readonly src?: string | undefined },
  path: string,
  state: FileState,
): void {
  if (recurse && state !== "directory") {
    throw new VolleyError("ACTION_FAILED", `${RECURSE_NEEDS_DIRECTORY}; ${path} is to be a ${state}`);
  }
  if (src !== undefined && state !== "link" && state !== "hard") {
    throw new VolleyError("ACTION_FAILED", `${SRC_NEEDS_LINK}, and ${path} is to be a ${state}`);
  }
}

/** Return the state that keeps an existing entry. */
function presentState(stat: Stat | null): FileState | undefined {
  if (stat === null) return undefined;
  return stat.type === "directory" || stat.type === "link" ? stat.type : "file";
}

/** A plan, and the path that it is for. */
interface PathPlan {
  readonly plan: Plan;
  readonly at: string;
}

async function planState(state: FileState, request: PathRequest): Promise<PathPlan> {
  const { path: at, stat } = request;
  switch (state) {
    case "link":
      return { plan: await planSymlink(request), at };
    case "hard":
      return { plan: await planHardLink(request), at };
    case "absent": {
      if (stat === null) return { plan: NOTHING_TO_DO, at };
      const diff = [{ path: at, attributes: { state: [stat.type, "absent"] as const } }];
      return { plan: { steps: [{ do: "remove", path: at }], diff }, at };
    }
    case "touch":
      return { plan: await planTouch(await followRequest(request)), at };
    case "directory":
    case "file": {
      const followed = await followRequest(request);
      const plan = await (state === "file" ? planPresent : planDirectory)(followed);
      return { plan, at: followed.path };
    }
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
      `file (${path}) is absent, cannot continue; make it with copy or template, or with state: "touch"`,
    );
  }
  if (stat.type === "directory" || stat.type === "link") {
    throw new VolleyError(
      "ACTION_FAILED",
      `file (${path}) is ${stat.type}, cannot continue; write state: "${stat.type}"`,
    );
  }
  return planAttributes(request, path, stat);
}

async function planTouch(request: PathRequest): Promise<Plan> {
  const { system, context, path, stat } = request;
  if (stat !== null) return planAttributes(request, path, stat);
  const change = await inspectFile({ ...attributesOf(request), system, context, path, content: "" });
  const times = timesOfNew(request.times);
  return change === null
    ? NOTHING_TO_DO
    : {
        steps: [
          { do: "file", change },
          ...(times === null ? [] : [{ do: "times", path, ...times } as const]),
        ],
        diff: [change.diff],
        ...(change.message === undefined ? {} : { messages: [change.message] }),
      };
}
