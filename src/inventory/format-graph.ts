import { didYouMean, VolleyError } from "../core/errors.ts";
import type { Inventory } from "../core/inventory.ts";

import { paint } from "./paint.ts";

/** Groups and their hosts as a tree, the way `ansible-inventory --graph` draws it. Fails with `PATTERN_UNKNOWN` for an unknown root. */
export function formatInventoryGraph(
  inventory: Inventory,
  options: { readonly color: boolean; readonly root?: string; readonly hosts?: ReadonlySet<string> },
): string {
  const { dim, bold } = paint(options.color);
  const { root = "all", hosts = new Set(inventory.hosts.keys()) } = options;
  if (!inventory.groups.has(root)) {
    const suggestion = didYouMean(root, inventory.groups.keys());
    throw new VolleyError("PATTERN_UNKNOWN", `no group is called "${root}"${suggestion}`);
  }
  const lines: string[] = [];
  const visit = (name: string, depth: number): void => {
    const stem = (level: number): string => (level === 0 ? "" : dim(`${"  |".repeat(level)}--`));
    const { children, directHosts } = inventory.groups.get(name)!;
    lines.push(`${stem(depth)}${bold(`@${name}:`)}`);
    for (const child of children) visit(child, depth + 1);
    for (const host of directHosts) if (hosts.has(host)) lines.push(`${stem(depth + 1)}${host}`);
  };
  visit(root, 0);
  return `${lines.join("\n")}\n`;
}
