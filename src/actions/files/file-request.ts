import type { ActionContext } from "../../core/action.ts";
import type { Diff } from "../../core/result.ts";
import type { ReadSystem, Stat } from "../../core/system.ts";
import { type FileAttributes, inspectAttributes } from "../shared/attributes.ts";

import { type FileTime, inspectTimes } from "./file-times.ts";

import type { Step } from "./steps.ts";

/** What the states of the `file` action work from. */
export interface PathRequest extends FileAttributes {
  readonly system: ReadSystem;
  readonly context: ActionContext;
  /** Where it is to be done, links followed where they should be. */
  readonly path: string;
  /** What is there (`lstat`). */
  readonly stat: Stat | null;
  readonly src: string | undefined;
  readonly force: boolean;
  readonly follow: boolean;
  /** Whether `recurse` follows links. */
  readonly followsInTree: boolean;
  readonly recurse: boolean;
  readonly modification_time: FileTime;
  readonly access_time: FileTime;
}

/** Steps, what they show, and what there is to say. */
export interface Plan {
  readonly steps: readonly Step[];
  readonly diff: readonly Diff[];
  readonly messages?: readonly string[];
  /** Why check mode cannot know. */
  readonly unknown?: string;
}

/** A plan that does nothing. */
export const NOTHING_TO_DO: Plan = { steps: [], diff: [] };

/** One plan after another. */
export function joinPlans(...plans: readonly Plan[]): Plan {
  return {
    steps: plans.flatMap((plan) => plan.steps),
    diff: plans.flatMap((plan) => plan.diff),
    messages: plans.flatMap((plan) => plan.messages ?? []),
  };
}

/** What is needed for the attributes and times of something that exists. */
export async function planAttributes(request: PathRequest, path: string, stat: Stat): Promise<Plan> {
  const change = await inspectAttributes(request.system, path, stat, request, request.context);
  const times =
    stat.type === "link" ? null : inspectTimes(path, stat, request.modification_time, request.access_time);
  if (change === null && times === null) return NOTHING_TO_DO;
  return {
    steps: [
      ...(change === null ? [] : [{ do: "attributes", change } as const]),
      ...(times === null ? [] : [times.step]),
    ],
    diff: [{ path, attributes: { ...change?.diff.attributes, ...times?.attributes } }],
    ...(change?.message === undefined ? {} : { messages: [change.message] }),
  };
}
