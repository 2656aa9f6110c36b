import { posix } from "node:path";
import type { Change } from "../../core/action.ts";
import type { Diff } from "../../core/result.ts";
import type { ReadSystem, System } from "../../core/system.ts";
import type { FileContext } from "../accounts/accounts.ts";
import {
  type AttributeChange,
  applyAttributes,
  type FileAttributes,
  inspectAttributes,
} from "../shared/attributes.ts";
import { missingDirectories } from "../shared/paths.ts";
import { applyFile, type FileApplied, type FileChange } from "../shared/write-file.ts";

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
  | {
      readonly do: "times";
      readonly path: string;
      readonly atimeMs: number | "now";
      readonly mtimeMs: number | "now";
    };

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
    case "times": {
      const now = Date.now();
      const at = (time: number | "now"): number => (time === "now" ? now : time);
      return system.setTimes(step.path, at(step.atimeMs), at(step.mtimeMs));
    }
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
