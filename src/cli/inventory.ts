import { VolleyError } from "../core/errors.ts";
import type { Host, Inventory } from "../core/inventory.ts";
import { writeJson } from "../core/json-text.ts";
import { Data, mapLeaves } from "../core/value.ts";
import {
  formatInventoryGraph,
  formatInventoryHost,
  formatInventoryList,
  inventoryToJson,
} from "../inventory/format.ts";

import { loadInventory } from "../inventory/load.ts";
import { limitHosts, selectHosts } from "../inventory/select.ts";
import type { SecretStore } from "../vars/secrets/store.ts";

/** What `volley inventory` can be asked. */
export type InventoryAction = "list" | "graph" | "host";

/** The flags of `volley inventory`. */
export interface InventoryFlags {
  readonly inventory: readonly string[];
  readonly limit?: string;
  readonly json?: boolean;
  /** Where the playbook lies, for the `group_vars` and `host_vars` beside it. */
  readonly playbookDirectory?: string;
}

/** Where `volley inventory` prints, and what it needs to read inventories. */
export interface InventoryIo {
  readonly stdout: (text: string) => void;
  /** Where what is left out is told. */
  readonly stderr: (text: string) => void;
  readonly color: boolean;
  readonly cwd: string;
  readonly loadModule: (file: string) => Promise<unknown>;
  /** The terminal's width in characters; default 80. */
  readonly columns?: number;
  readonly signal?: AbortSignal;
  /** Opens encrypted files. Default: nobody is asked. */
  readonly secrets?: SecretStore;
}

function pickHosts(
  inventory: Inventory,
  patterns: readonly string[],
  limit: string | undefined,
  cwd: string,
): readonly Host[] {
  const hosts =
    patterns.length === 0 ? [...inventory.hosts.values()] : selectHosts(inventory, patterns.join(","));
  return limit === undefined ? hosts : limitHosts(hosts, inventory, limit, { cwd });
}

/** What Ansible writes, and reads from a program, for a text that is never a template. */
function toAnsible(leaf: unknown): unknown {
  return leaf instanceof Data ? { __ansible_unsafe: leaf.text } : leaf;
}

function toJson(value: unknown): string {
  return `${writeJson(mapLeaves(value, toAnsible), { indent: "  " })}\n`;
}

/** Says what could not be opened, where the output has no place for it. */
function tellLocked(hosts: readonly Host[], io: InventoryIo): void {
  const locked = new Map<string, VolleyError>();
  for (const why of hosts.flatMap((host) => host.locked ?? []))
    locked.set(`${why.location?.file}: ${why.message}`, why);
  for (const [text, { hint }] of locked)
    io.stderr(
      `volley: warning: what it sets is left out: ${text}${hint === undefined ? "" : ` (${hint})`}\n`,
    );
}

function showHosts(
  inventory: Inventory,
  args: readonly string[],
  flags: InventoryFlags,
  io: InventoryIo,
): void {
  if (args.length === 0) throw new VolleyError("USAGE", "which host? Write: volley inventory host NAME");
  const hosts = pickHosts(inventory, args, flags.limit, io.cwd);
  if (flags.json === true) {
    tellLocked(hosts, io);
    io.stdout(
      toJson(
        hosts.length === 1 ? hosts[0]!.vars : Object.fromEntries(hosts.map(({ name, vars }) => [name, vars])),
      ),
    );
    return;
  }
  const options = { color: io.color, columns: io.columns ?? 80 };
  io.stdout(hosts.map((host) => formatInventoryHost(host, options)).join("\n\n"));
}

/**
 * `volley inventory list [PATTERN]`, `graph [GROUP]` and `host NAME`: prints what the inventory holds; `--json` prints
 * what ansible-inventory would. Gives the exit code. Fails with `INVENTORY_*`, `PATTERN_UNKNOWN` or `USAGE`.
 */
export async function inventoryCommand(
  action: InventoryAction,
  args: readonly string[],
  flags: InventoryFlags,
  io: InventoryIo,
): Promise<number> {
  const inventory = await loadInventory(flags.inventory, {
    cwd: io.cwd,
    loadModule: io.loadModule,
    ...(flags.playbookDirectory === undefined ? {} : { playbookDirectory: flags.playbookDirectory }),
    ...(io.signal === undefined ? {} : { signal: io.signal }),
    ...(io.secrets === undefined ? {} : { secrets: io.secrets }),
  });
  for (const warning of inventory.warnings ?? []) io.stderr(`volley: warning: ${warning}\n`);
  switch (action) {
    case "list": {
      const hosts = pickHosts(inventory, args, flags.limit, io.cwd);
      tellLocked(hosts, io);
      const options = { color: io.color, columns: io.columns ?? 80 };
      io.stdout(
        flags.json === true
          ? toJson(inventoryToJson(inventory, hosts))
          : formatInventoryList(inventory, hosts, options),
      );
      return 0;
    }
    case "graph": {
      const hosts = new Set(pickHosts(inventory, [], flags.limit, io.cwd).map(({ name }) => name));
      const root = args[0]?.replace(/^@/, "");
      if (flags.json === true)
        throw new VolleyError("USAGE", "graph has no --json; use: volley inventory list --json");
      io.stdout(
        formatInventoryGraph(inventory, { color: io.color, hosts, ...(root === undefined ? {} : { root }) }),
      );
      return 0;
    }
    case "host":
      showHosts(inventory, args, flags, io);
      return 0;
  }
}
