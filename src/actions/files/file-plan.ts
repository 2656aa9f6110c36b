import { posix } from "node:path";
import type { ActionContext, Change } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { Diff } from "../../core/result.ts";
import type { ReadSystem, Stat, System } from "../../core/system.ts";
import type { FileContext } from "../accounts/accounts.ts";
import {
  type AttributeChange,
  applyAttributes,
  type FileAttributes,
  inspectAttributes,
} from "../shared/attributes.ts";
import { followLinks, linkTarget, missingDirectories, parentOf, requireOwnLinks } from "../shared/paths.ts";
import { applyFile, type FileApplied, type FileChange } from "../shared/write-file.ts";
import { inspectTimes, type TimesToSet, timesOfNew, type WantedTimes } from "./file-time.ts";

/** The request that each state of the `file` action plans for. */
export interface PathRequest extends FileAttributes {
  readonly system: ReadSystem;
  readonly context: ActionContext;
  /** The path, with links followed where wanted. */
  readonly path: string;
  /** The existing entry (`lstat`). */
  readonly stat: Stat | null;
  readonly src: string | undefined;
  readonly force: boolean;
  readonly follow: boolean;
  /** True when `recurse` follows links. */
  readonly followsInTree: boolean;
  readonly recurse: boolean;
  readonly times: WantedTimes;
}

/** Steps with their diff and messages. */
export interface Plan {
  readonly steps: readonly Step[];
  readonly diff: readonly Diff[];
  readonly messages?: readonly string[];
  /** The reason why check mode cannot know the outcome. */
  readonly unknown?: string;
}

/** A plan without steps. */
export const NOTHING_TO_DO: Plan = { steps: [], diff: [] };

/** Join plans in order. */
function joinPlans(...plans: readonly Plan[]): Plan {
  return {
    steps: plans.flatMap((plan) => plan.steps),
    diff: plans.flatMap((plan) => plan.diff),
    messages: plans.flatMap((plan) => plan.messages ?? []),
  };
}

/** Plan changes of attributes and times for an existing entry. */
export async function planAttributes(request: PathRequest, path: string, stat: Stat): Promise<Plan> {
  const change = await inspectAttributes(request.system, path, stat, request, request.context);
  const times = stat.type === "link" ? null : inspectTimes(stat, request.times);
  if (change === null && times === null) return NOTHING_TO_DO;
  return {
    steps: [
      ...(change === null ? [] : [{ do: "attributes", change } as const]),
      ...(times === null ? [] : [{ do: "times", path, ...times.set } as const]),
    ],
    diff: [{ path, attributes: { ...change?.diff.attributes, ...times?.attributes } }],
    ...(change?.message === undefined ? {} : { messages: [change.message] }),
  };
}

/** Plan a directory, with everything below it when `recurse` is set. */
export async function planDirectory(request: PathRequest): Promise<Plan> {
  const { path, stat, system, context, recurse } = request;
  if (stat === null) {
    const { steps, diff } = await inspectMissingDirectories(system, path, request, context);
    const times = timesOfNew(request.times);
    return { steps: times === null ? steps : [...steps, { do: "times", path, ...times }], diff };
  }
  if (stat.type !== "directory") fail(`${path} already exists as a ${stat.type}; remove it first`);
  const own = await planAttributes(request, path, stat);
  return recurse ? joinPlans(own, ...(await planBelow(request, path, new Set()))) : own;
}

/**
 * Plan everything below a directory. Links are followed only with `follow: true`; their targets within the tree are
 * found anyway. `seen` holds the inodes of directories, against circles of links.
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

function fail(message: string): never {
  throw new VolleyError("ACTION_FAILED", message);
}

/** Plan the removal of an empty directory in the place of a link. Fails when more than `force` allows would be lost. */
async function planClearing(
  { path, stat, system, force }: PathRequest,
  isHard = false,
): Promise<readonly Step[]> {
  if (stat === null || stat.type === "link") return [];
  if (!force)
    fail(
      isHard
        ? `Cannot link, file exists at destination: ${path} is a ${stat.type}; set force: true to replace it`
        : `refusing to convert from ${stat.type} to symlink for ${path}; set force: true to replace it`,
    );
  if (stat.type !== "directory") return [];
  if ((await system.list(path)).length > 0)
    fail(`the directory ${path} is not empty, refusing to convert it; remove it first`);
  return [{ do: "remove", path }];
}

async function requireParent({ path, system, context }: PathRequest): Promise<void> {
  const parent = parentOf(path);
  if (!context.check && (await system.stat(parent)) === null) {
    fail(`${parent} does not exist; make it first with file({ path, state: "directory" })`);
  }
}

/** Plan a symbolic link to `src`. As in Ansible, attributes are set on the link's target when it is followed. */
export async function planSymlink(request: PathRequest): Promise<Plan> {
  const { path, stat, system, context, src, force, follow } = request;
  const current = stat?.type === "link" ? await system.readLink(path) : undefined;
  const target = src ?? current ?? fail("src is required for creating new symlinks");
  const leadsTo = linkTarget(path, target);
  const there = await system.stat(leadsTo);
  // Without `src` an existing link is only inspected, and may be broken.
  if (there === null && src !== undefined && !force && !context.check) {
    fail(`src file does not exist, use "force=yes" if you really want to create the link: ${leadsTo}`);
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

/** Plan the attributes of the link itself, or of its target. */
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

/** Return the stat of a new link. */
export function newLink({ uid, gid }: ReadSystem): Stat {
  const zero = {
    size: 0,
    mtimeMs: 0,
    atimeMs: 0,
    ctimeMs: 0,
    inode: 0,
    device: 0,
    blocks: 0,
    blockSize: 0,
    rdev: 0,
  };
  return { type: "link", mode: 0o777, uid, gid, links: 1, ...zero };
}

/** Plan a hard link to `src`. */
export async function planHardLink(request: PathRequest): Promise<Plan> {
  const { path, stat, system, context, src } = request;
  const existing = src ?? fail("src is required for creating new hardlinks");
  const source = await system.stat(existing, true);
  if (source === null) {
    if (!context.check) fail("src does not exist");
    return {
      steps: [{ do: "hardlink", path, existing }],
      diff: [{ path, attributes: { state: ["absent", `hard link to ${existing}`] } }],
    };
  }
  if (source.type === "directory") fail(`${existing} is a directory; hard links are for files`);
  const attributes = await planAttributes(request, path, source);
  const own = stat === null ? null : await system.lstat(path, true);
  if (own !== null && own.inode === source.inode && own.device === source.device) return attributes;
  const clearing = await planClearing(request, true);
  await requireParent(request);
  return joinPlans(
    {
      steps: [...clearing, { do: "hardlink", path, existing }],
      diff: [{ path, attributes: { state: [stat?.type ?? "absent", `hard link to ${existing}`] } }],
    },
    attributes,
  );
}

/** A change of a path. */
export type Step =
  | { readonly do: "directory"; readonly path: string; readonly mode?: number }
  | { readonly do: "file"; readonly change: FileChange }
  | { readonly do: "attributes"; readonly change: AttributeChange }
  | { readonly do: "remove"; readonly path: string }
  /** Replaces an entry at `path` that is no directory. */
  | { readonly do: "symlink"; readonly path: string; readonly target: string }
  /** Replaces an entry at `path` that is no directory. */
  | { readonly do: "hardlink"; readonly path: string; readonly existing: string }
  | ({ readonly do: "times"; readonly path: string } & TimesToSet);

/** A Change made of steps, which are carried out in order. */
export interface StepsChange extends Change {
  readonly steps: readonly Step[];
  readonly diff: readonly Diff[];
}

const MAX_DIFFS = 200;

/** Make a Change of steps; of very many diffs only the first are kept, and the message says so. */
export function stepsChange(
  steps: readonly Step[],
  diff: readonly Diff[],
  messages: Iterable<string> = [],
): StepsChange {
  const more = diff.length - MAX_DIFFS;
  const said = [...new Set(messages), ...(more > 0 ? [`${more} more paths differ`] : [])];
  return {
    steps,
    diff: diff.slice(0, MAX_DIFFS),
    ...(said.length === 0 ? {} : { message: said.join("; ") }),
  };
}

/** Plan a missing directory and its missing parents, all with the wanted attributes, as Ansible does. Skips paths in `planned`, and adds to it. */
export async function inspectMissingDirectories(
  system: ReadSystem,
  directory: string,
  wanted: FileAttributes,
  context: FileContext,
  planned: Set<string> = new Set(),
): Promise<{ readonly steps: readonly Step[]; readonly diff: readonly Diff[] }> {
  const steps: Step[] = [];
  const diff: Diff[] = [];
  for (const path of await missingDirectories(system, directory)) {
    if (planned.has(path)) continue;
    planned.add(path);
    const change = await inspectAttributes(system, path, null, wanted, context, "directory");
    steps.push({ do: "directory", path, ...(change?.mode === undefined ? {} : { mode: change.mode }) });
    if (change !== null && (change.uid !== -1 || change.gid !== -1)) steps.push({ do: "attributes", change });
    diff.push({ path, attributes: { state: ["absent", "directory"], ...change?.diff.attributes } });
  }
  return { steps, diff };
}

/** Carry steps out in order. */
export async function applySteps(steps: readonly Step[], system: System): Promise<FileApplied> {
  let applied: FileApplied = { data: {} };
  for (const step of steps) {
    if (step.do === "file") {
      const { data, message = applied.message } = await applyFile(step.change, system);
      applied = { data: { ...applied.data, ...data }, ...(message === undefined ? {} : { message }) };
    } else await applyStep(step, system);
  }
  return applied;
}

function applyStep(step: Exclude<Step, { do: "file" }>, system: System): Promise<void> {
  switch (step.do) {
    case "directory":
      return system.makeDirectory(step.path, step.mode);
    case "attributes":
      return applyAttributes(step.change, system);
    case "remove":
      return system.remove(step.path);
    case "symlink":
      return replaceBy(system, step.path, (path) => system.symlink(step.target, path));
    case "hardlink":
      return replaceBy(system, step.path, (path) => system.link(step.existing, path));
    case "times":
      return setTimes(system, step.path, step);
  }
}

async function setTimes(system: System, path: string, { atimeMs, mtimeMs }: TimesToSet): Promise<void> {
  const now = Date.now();
  const at = (time: number | "now"): number => (time === "now" ? now : time);
  try {
    await system.setTimes(path, at(atimeMs), at(mtimeMs));
  } catch (thrown) {
    if (atimeMs !== "now" || mtimeMs !== "now" || (await system.which("touch")) === null) throw thrown;
    // Only the owner may set any times, but everybody who may write may set both to now.
    if ((await system.run(["touch", "-c", "--", path])).code !== 0) throw thrown;
  }
}

async function replaceBy(
  system: System,
  path: string,
  make: (temporary: string) => Promise<void>,
): Promise<void> {
  const temporary = posix.join(posix.dirname(path), `.volley-link-${process.pid}`);
  await system.remove(temporary);
  await make(temporary);
  try {
    await system.rename(temporary, path);
  } catch (thrown) {
    await system.remove(temporary);
    throw thrown;
  }
}
