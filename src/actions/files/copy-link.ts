import { VolleyError } from "../../core/errors.ts";
import type { Diff } from "../../core/result.ts";
import type { ReadSystem } from "../../core/system.ts";
import type { FileContext } from "../accounts/ownership.ts";
import { type FileAttributes, inspectAttributes } from "../shared/attributes.ts";
import { newLink } from "./file-link.ts";
import { NOTHING_TO_DO, type Plan } from "./file-request.ts";

/** A link in a tree that is copied, and what it says. */
export interface LinkCopy {
  readonly path: string;
  readonly target: string;
}

/** What makes the same link at `path`, whether it leads anywhere there or not. */
export async function planLinkCopy(
  { path, target }: LinkCopy,
  { owner, group, force }: FileAttributes & { readonly force: boolean },
  system: ReadSystem,
  context: FileContext,
): Promise<Plan> {
  const stat = await system.lstat(path);
  if (stat !== null && !force) return NOTHING_TO_DO;
  if (stat?.type === "directory") {
    throw new VolleyError(
      "ACTION_FAILED",
      `${path} is a directory where there should be a link; remove it first`,
    );
  }
  const current = stat?.type === "link" ? await system.readLink(path) : undefined;
  const same = current === target;
  const attributed = same ? stat : newLink(system);
  const change = await inspectAttributes(system, path, attributed, { owner, group }, context);
  const before = stat === null ? "absent" : current === undefined ? stat.type : `link to ${current}`;
  const state: Diff["attributes"] = same ? {} : { state: [before, `link to ${target}`] };
  return {
    steps: [
      ...(same ? [] : [{ do: "symlink", path, target } as const]),
      ...(change === null ? [] : [{ do: "attributes", change } as const]),
    ],
    diff: same && change === null ? [] : [{ path, attributes: { ...state, ...change?.diff.attributes } }],
  };
}
