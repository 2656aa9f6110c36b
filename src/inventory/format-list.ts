import type { Host, Inventory } from "../core/inventory.ts";
import { type FormatOptions, paint } from "./paint.ts";

const HEADINGS = ["HOST", "ADDRESS", "USER", "BECOME", "GROUPS"];
const GAP = 2;
const MIN_GROUPS_WIDTH = 16;

function count(amount: number, noun: string): string {
  return `${amount} ${noun}${amount === 1 ? "" : "s"}`;
}

function describeAddress({ name, connection }: Host): string {
  if (connection.connection === "local") return "(local)";
  const { address, port } = connection;
  if (port === undefined) return address === name ? "" : address;
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

/** Breaks words into lines no wider than `width`; a word that is wider has a line of its own. */
function wrapWords(words: readonly string[], width: number): readonly string[] {
  const lines: string[] = [];
  for (const word of words) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width)
      lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines.length === 0 ? [""] : lines;
}

/** Hosts as a table: how each is reached, who one becomes there, and its groups, nearest first. */
export function formatInventoryList(
  inventory: Inventory,
  hosts: readonly Host[],
  options: FormatOptions,
): string {
  const { dim, bold } = paint(options.color);
  if (hosts.length === 0) return `${dim("No hosts.")}\n`;
  const rows = hosts.map((host) => [
    host.name,
    describeAddress(host),
    host.connection.user ?? "",
    host.connection.become ?? "",
  ]);
  const used = [0, 1, 2, 3].filter((column) => rows.some((row) => row[column] !== ""));
  const widths = new Map(
    used.map((column) => [
      column,
      Math.max(HEADINGS[column]!.length, ...rows.map((row) => row[column]!.length)) + GAP,
    ]),
  );
  const indent = [...widths.values()].reduce((total, width) => total + width, 0);
  const groupsWidth = Math.max(MIN_GROUPS_WIDTH, options.columns - indent);
  const pad = (cells: readonly string[]): string[] =>
    used.map((column) => cells[column]!.padEnd(widths.get(column)!));
  const lines = [dim([...pad(HEADINGS), HEADINGS[4]!].join(""))];
  for (const [index, host] of hosts.entries()) {
    const [name, ...rest] = pad(rows[index]!);
    const names = host.groups.map((group, place) => (place < host.groups.length - 1 ? `${group},` : group));
    const [first, ...more] = wrapWords(names, groupsWidth);
    lines.push(`${bold(name!)}${rest.join("")}${dim(first!)}`.trimEnd());
    for (const line of more) lines.push(`${" ".repeat(indent)}${dim(line)}`);
  }
  const groups = new Set(hosts.flatMap((host) => host.groups.filter((group) => group !== "ungrouped"))).size;
  const shown =
    hosts.length === inventory.hosts.size
      ? count(hosts.length, "host")
      : `${hosts.length} of ${count(inventory.hosts.size, "host")}`;
  return `${lines.join("\n")}\n\n${dim(`${shown} in ${count(groups, "group")}`)}\n`;
}

/** What `ansible-inventory --list` prints, so that it can be an executable inventory for Ansible too. */
export function inventoryToJson(
  inventory: Inventory,
  hosts: readonly Host[],
): Readonly<Record<string, unknown>> {
  const names = new Set(hosts.map(({ name }) => name));
  const groups = [...inventory.groups.values()].map((group) => {
    const own = group.directHosts.filter((host) => names.has(host));
    return [
      group.name,
      {
        ...(group.children.length > 0 ? { children: group.children } : {}),
        ...(own.length > 0 ? { hosts: own } : {}),
      },
    ] as const;
  });
  return {
    _meta: { hostvars: Object.fromEntries(hosts.map(({ name, vars }) => [name, vars])) },
    ...Object.fromEntries(groups.filter(([name, body]) => name === "all" || Object.keys(body).length > 0)),
  };
}
