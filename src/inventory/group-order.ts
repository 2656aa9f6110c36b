import { didYouMean, VolleyError } from "../core/errors.ts";

import { printable } from "../core/text.ts";
import { addChild, type Draft, type DraftGroup } from "./draft.ts";

/** How the groups of an inventory hang together. */
export interface GroupOrder {
  /** From lowest to highest precedence: by depth, then priority, then name; `all` first. */
  readonly sorted: readonly DraftGroup[];
  /** The groups each is below, itself and `all` included. */
  readonly ancestors: ReadonlyMap<string, ReadonlySet<string>>;
}

function checkMentions(draft: Draft): void {
  for (const group of draft.groups.values()) {
    if (group.mentioned === null) continue;
    const declared = [...draft.groups.values()]
      .filter(({ mentioned }) => mentioned === null)
      .map(({ name }) => name);
    const message = `there is no group "${group.name}"${didYouMean(group.name, declared)}`;
    throw new VolleyError("INVENTORY_INVALID", message, { location: group.mentioned });
  }
}

function checkCycles(draft: Draft): void {
  const done = new Set<string>();
  const visit = (group: DraftGroup, chain: readonly string[]): void => {
    if (done.has(group.name)) return;
    for (const [child, location] of group.children) {
      const path = [...chain, group.name];
      const start = path.indexOf(child);
      if (start >= 0) {
        const cycle = [...path.slice(start), child].join(" → ");
        throw new VolleyError(
          "INVENTORY_INVALID",
          `groups hold each other in a circle: ${printable(cycle)}`,
          {
            location,
          },
        );
      }
      visit(draft.groups.get(child)!, path);
    }
    done.add(group.name);
  };
  for (const group of draft.groups.values()) visit(group, []);
}

function compareNames(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Puts every group without a parent below `all`, and orders groups by precedence. Fails with `INVENTORY_INVALID` for circles and groups that nothing declares. */
export function orderGroups(draft: Draft): GroupOrder {
  checkMentions(draft);
  checkCycles(draft);
  const parents = new Map<string, string[]>();
  for (const group of draft.groups.values()) {
    for (const child of group.children.keys())
      parents.set(child, [...(parents.get(child) ?? []), group.name]);
  }
  const all = draft.groups.get("all")!;
  const named = [...all.children];
  all.children.clear();
  // First, as ansible-inventory shows it.
  if (!parents.has("ungrouped")) all.children.set("ungrouped", { file: "" });
  for (const [child, location] of named) all.children.set(child, location);
  for (const name of draft.groups.keys()) {
    if (name === "all" || parents.has(name)) continue;
    addChild(all, name, { file: "" });
    parents.set(name, ["all"]);
  }
  const ancestors = new Map<string, ReadonlySet<string>>();
  const depths = new Map<string, number>();
  const place = (name: string): void => {
    if (depths.has(name)) return;
    const above = new Set([name]);
    let depth = 0;
    for (const parent of parents.get(name) ?? []) {
      place(parent);
      for (const ancestor of ancestors.get(parent)!) above.add(ancestor);
      depth = Math.max(depth, depths.get(parent)! + 1);
    }
    ancestors.set(name, above);
    depths.set(name, depth);
  };
  for (const name of draft.groups.keys()) place(name);
  const sorted = [...draft.groups.values()].sort(
    (a, b) =>
      depths.get(a.name)! - depths.get(b.name)! || a.priority - b.priority || compareNames(a.name, b.name),
  );
  return { sorted, ancestors };
}
