import type { ActionContext } from "../../core/action.ts";
import { modeAfterChown } from "../../core/permissions.ts";
import type { Diff } from "../../core/result.ts";
import type { ReadSystem } from "../../core/system.ts";
import { findGroup, findOwner } from "../accounts/ownership.ts";
import type { FileAttributes } from "../shared/attributes.ts";
import { inspectFile } from "../shared/write-file.ts";
import { planLinkCopy } from "./copy-link.ts";
import type { CopySource, SourceFile } from "./copy-source.ts";
import { inspectMissingDirectories, type Step, type StepsChange, stepsChange } from "./steps.ts";

/** How files are copied. */
export interface CopyRequest extends FileAttributes {
  readonly directory_mode?: string | number | undefined;
  readonly force: boolean;
  readonly backup: boolean;
  readonly validate?: string | undefined;
  readonly follow: boolean;
}

/** Where they go. */
export interface CopyTarget {
  readonly dest: string;
  /** Where one file of the source goes. */
  readonly at: (path: string) => string;
  /** Made when it is missing; those of a tree always are. */
  readonly directory?: string;
}

// Of a large tree only this much text is worth showing.
const MAX_TREE_DIFF_CHARACTERS = 500_000;

/** What is needed for the target to have all the source has; nothing when it has no steps. */
export async function planCopy(
  request: CopyRequest,
  source: CopySource,
  target: CopyTarget,
  system: ReadSystem,
  context: ActionContext,
): Promise<StepsChange> {
  const { owner, group, mode, directory_mode, force, backup, validate, follow } = request;
  const steps: Step[] = [];
  const diff: Diff[] = [];
  const messages: string[] = [];
  const planned = new Set<string>();
  const directories = source.tree
    ? source.directories.map(({ path, mode }) => ({ path: target.at(path), mode }))
    : target.directory === undefined
      ? []
      : [{ path: target.directory, mode: undefined }];
  for (const one of directories) {
    const wanted = { owner, group, mode: directory_mode ?? one.mode };
    const missing = await inspectMissingDirectories(system, one.path, wanted, context, planned);
    steps.push(...missing.steps);
    diff.push(...missing.diff);
  }
  let shown = 0;
  for (const file of source.files) {
    context.signal.throwIfAborted();
    const path = target.at(file.path);
    if (!force && (await system.stat(path)) !== null) continue;
    const change = await inspectFile({
      ...{ system, context, path, content: await file.content(), owner, group, backup, validate, follow },
      mode: mode === "preserve" ? await preservedMode(file, request, system, context) : mode,
      parents: directories.length === 0 ? "required" : "given",
      secret: shown > MAX_TREE_DIFF_CHARACTERS,
    });
    if (change === null) continue;
    steps.push({ do: "file", change });
    diff.push(change.diff);
    if (change.message !== undefined) messages.push(change.message);
    shown += (change.diff.before?.length ?? 0) + (change.diff.after?.length ?? 0);
  }
  for (const { path, target: leadsTo } of source.links) {
    const link = { path: target.at(path), target: leadsTo };
    const plan = await planLinkCopy(link, { owner, group, force }, system, context);
    steps.push(...plan.steps);
    diff.push(...plan.diff);
  }
  return stepsChange(steps, diff, messages);
}

/** The mode of a file's copy: without setuid and setgid where it belongs to somebody else. */
async function preservedMode(
  { mode, owner: source }: SourceFile,
  { owner, group }: FileAttributes,
  system: ReadSystem,
  context: ActionContext,
): Promise<number> {
  if (source === undefined) return mode;
  const uid = owner === undefined ? system.uid : await findOwner(system, owner, context);
  const gid = group === undefined ? system.gid : await findGroup(system, group, context);
  return uid === source.uid && gid === source.gid ? mode : modeAfterChown({ mode, type: "file" });
}
