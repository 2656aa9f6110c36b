import { VolleyError } from "../../core/errors.ts";
import type { ReadSystem, Stat } from "../../core/system.ts";
import { followLinks, linkTarget, parentOf, requireOwnLinks } from "../shared/paths.ts";
import { joinPlans, NOTHING_TO_DO, type PathRequest, type Plan, planAttributes } from "./file-request.ts";
import type { Step } from "./steps.ts";

function fail(message: string): never {
  throw new VolleyError("ACTION_FAILED", message);
}

/** What clears the way for a link: nothing, unless an empty directory is there. Fails when more would be lost than was allowed. */
async function planClearing({ path, stat, system, force }: PathRequest): Promise<readonly Step[]> {
  if (stat === null || stat.type === "link") return [];
  if (!force) fail(`${path} is a ${stat.type}; set force: true to replace it by a link`);
  if (stat.type !== "directory") return [];
  if ((await system.list(path)).length > 0) fail(`${path} is a directory that is not empty; remove it first`);
  return [{ do: "remove", path }];
}

async function requireParent({ path, system, context }: PathRequest): Promise<void> {
  const parent = parentOf(path);
  if (!context.check && (await system.stat(parent)) === null) {
    fail(`${parent} does not exist; make it first with file({ path, state: "directory" })`);
  }
}

/** What makes a symbolic link to `src`; as in Ansible its attributes are, when it is followed, those of what it leads to. */
export async function planSymlink(request: PathRequest): Promise<Plan> {
  const { path, stat, system, context, src, force, follow } = request;
  const current = stat?.type === "link" ? await system.readLink(path) : undefined;
  const target = src ?? current ?? fail(`parameter "src" is required: where the link ${path} leads`);
  const leadsTo = linkTarget(path, target);
  const there = await system.stat(leadsTo);
  // A link that is only looked at may lead to nothing.
  if (there === null && src !== undefined && !force && !context.check) {
    fail(`${path} would lead to ${leadsTo}, which does not exist; set force: true to make it all the same`);
  }
  const attributes = await planLinkAttributes(
    request,
    current === target ? stat : null,
    follow ? leadsTo : null,
  );
  if (current === target) return attributes;
  const clearing = await planClearing(request);
  await requireParent(request);
  const before = stat === null ? "absent" : current === undefined ? stat.type : `link to ${current}`;
  return joinPlans(
    {
      steps: [...clearing, { do: "symlink", path, target }],
      diff: [{ path, attributes: { state: [before, `link to ${target}`] } }],
    },
    attributes,
  );
}

/** Attributes of the link itself, or of what it leads to. */
async function planLinkAttributes(
  request: PathRequest,
  link: Stat | null,
  leadsTo: string | null,
): Promise<Plan> {
  const { system, owner, group, path } = request;
  if (leadsTo === null) {
    if (link !== null) return planAttributes(request, path, link);
    return owner === undefined && group === undefined
      ? NOTHING_TO_DO
      : planAttributes(request, path, newLink(system));
  }
  const real = (await system.stat(leadsTo)) === null ? leadsTo : await followLinks(system, leadsTo);
  const stat = await system.lstat(real);
  if (stat === null) return NOTHING_TO_DO;
  const plan = await planAttributes(request, real, stat);
  if (link !== null && plan.steps.length > 0) await requireOwnLinks(system, path);
  return plan;
}

/** A link that is about to be made. */
export function newLink({ uid, gid }: ReadSystem): Stat {
  const zero = { size: 0, mtimeMs: 0, atimeMs: 0, inode: 0, device: 0 };
  return { type: "link", mode: 0o777, uid, gid, links: 1, ...zero };
}

/** What makes a hard link to `src`. */
export async function planHardLink(request: PathRequest): Promise<Plan> {
  const { path, stat, system, context, src } = request;
  const existing = src ?? fail(`parameter "src" is required: the file ${path} is to be another name of`);
  const source = await system.stat(existing, true);
  if (source === null) {
    if (!context.check) fail(`${existing} does not exist, so ${path} cannot be another name of it`);
    return {
      steps: [{ do: "hardlink", path, existing }],
      diff: [{ path, attributes: { state: ["absent", `hard link to ${existing}`] } }],
    };
  }
  if (source.type === "directory") fail(`${existing} is a directory; hard links are for files`);
  const attributes = await planAttributes(request, path, source);
  const own = stat === null ? null : await system.lstat(path, true);
  if (own !== null && own.inode === source.inode && own.device === source.device) return attributes;
  const clearing = await planClearing(request);
  await requireParent(request);
  return joinPlans(
    {
      steps: [...clearing, { do: "hardlink", path, existing }],
      diff: [{ path, attributes: { state: [stat?.type ?? "absent", `hard link to ${existing}`] } }],
    },
    attributes,
  );
}
