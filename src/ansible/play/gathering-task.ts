import type { PlayNode, TaskNode, TreeSettings } from "../ir.ts";

/** Return the task that gathers a play's facts, with what the play or else the settings say of it. */
export function gatheringTask(
  { at, keys }: PlayNode,
  { gatherSubset, gatherTimeout, factPath }: TreeSettings,
): TaskNode {
  const asked = {
    gather_subset: keys.gather_subset ?? gatherSubset,
    gather_timeout: keys.gather_timeout ?? gatherTimeout,
    fact_path: keys.fact_path ?? factPath,
  };
  return {
    kind: "task",
    at,
    name: "Gathering Facts",
    module: "setup",
    args: Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== undefined)),
    keys: { tags: ["always"] },
  };
}
