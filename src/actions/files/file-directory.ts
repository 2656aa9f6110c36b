import { posix } from "node:path";
import { VolleyError } from "../../core/errors.ts";
import type { PathRequest, Plan } from "./file-request.ts";
import { joinPlans, planAttributes } from "./file-request.ts";
import { timesOfNew } from "./file-times.ts";
import { inspectMissingDirectories } from "./steps.ts";

/** What makes a directory as it should be, with everything below it when `recurse` is set. */
export async function planDirectory(request: PathRequest): Promise<Plan> {
  const { path, stat, system, context, recurse } = request;
  if (stat === null) {
    const { steps, diff } = await inspectMissingDirectories(system, path, request, context);
    const times = timesOfNew(path, request.modification_time, request.access_time);
    return { steps: times === null ? steps : [...steps, times], diff };
  }
  if (stat.type !== "directory") {
    throw new VolleyError("ACTION_FAILED", `${path} is a ${stat.type}, not a directory; remove it first`);
  }
  const own = await planAttributes(request, path, stat);
  return recurse ? joinPlans(own, ...(await planBelow(request, path, new Set()))) : own;
}

/**
 * One plan for everything below a directory. Links are followed only where that was asked for: what they lead to within
 * the tree is found anyway. `seen` holds the inodes of directories, so that links cannot lead in circles.
 */
async function planBelow(
  request: PathRequest,
  directory: string,
  seen: Set<string>,
): Promise<readonly Plan[]> {
  const { system, context, followsInTree } = request;
  if (followsInTree) {
    const own = await system.stat(directory, true);
    const key = `${own?.device}:${own?.inode}`;
    if (seen.has(key)) return [];
    seen.add(key);
  }
  const plans: Plan[] = [];
  for (const name of await system.list(directory)) {
    context.signal.throwIfAborted();
    const path = posix.join(directory, name);
    const stat = await system.lstat(path);
    if (stat === null) continue;
    plans.push(await planAttributes(request, path, stat));
    if (stat.type === "directory") plans.push(...(await planBelow(request, path, seen)));
    if (stat.type === "link" && followsInTree) plans.push(...(await planLinkTarget(request, path, seen)));
  }
  return plans;
}

async function planLinkTarget(
  request: PathRequest,
  link: string,
  seen: Set<string>,
): Promise<readonly Plan[]> {
  if ((await request.system.stat(link)) === null) return [];
  const path = await request.system.realPath(link);
  const stat = await request.system.lstat(path);
  if (stat === null) return [];
  const own = await planAttributes(request, path, stat);
  return stat.type === "directory" ? [own, ...(await planBelow(request, path, seen))] : [own];
}
