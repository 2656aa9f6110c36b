import { Argument, type Command } from "commander";
import { VolleyError } from "../core/errors.ts";
import type { Host, Inventory } from "../core/inventory.ts";
import { Data, mapLeaves, writeJson } from "../core/values/value.ts";
import type { ExtraVars } from "../inventory/extra-vars.ts";
import type { SecretStore } from "../vars/secrets/store.ts";
import {
  addExtraVarsOption,
  addInventoryOptions,
  addReachOptions,
  addSecretOptions,
  type ExtraVarsFlags,
  type InventoryFlags,
  inventoryPaths,
  type ReachFlags,
  reachOptions,
  type SecretFlags,
  secretOptions,
} from "./options.ts";
import { ansibleSettings, settleSources } from "./run/options.ts";
import { expandLimit } from "./run/runs.ts";
import { askHostKeys, askPassphrase, formatHostKeys } from "./terminal.ts";

// The commands about the hosts of an inventory: `volley inventory`, `volley ls` and `volley hosts`.

/** Views of the inventory. */
export type InventoryAction = "list" | "graph" | "host";

/** Add `volley inventory`. */
export function addInventoryCommand(program: Command): void {
  addSecretOptions(
    addExtraVarsOption(
      addInventoryOptions(
        program
          .command("inventory")
          .summary("show what was understood of the inventory")
          .description("Show hosts, groups, and where each var came from.")
          .addArgument(new Argument("<action>", "what to show").choices(["list", "graph", "host"]))
          .argument("[pattern...]", "hosts to show"),
      ),
    ),
  )
    .option("--json", "print JSON; list prints what ansible-inventory --list does")
    .action(async (action: InventoryAction, patterns: readonly string[], flags: ShowFlags) => {
      process.exitCode = await show(action, patterns, flags);
    });
}

/** Add `volley ls`. */
export function addListCommand(program: Command): void {
  addSecretOptions(
    addExtraVarsOption(
      addInventoryOptions(
        program
          .command("ls")
          .summary("list the hosts of the inventory, or those of a pattern")
          .description(
            "List hosts with address, user and groups: the same as volley inventory list. No host is touched.",
          )
          .argument("[pattern...]", "hosts to list: web, web:&prod, web[01-17,19], @failed (default: all)"),
      ),
    ),
  )
    .option("--json", "print the JSON of ansible-inventory --list")
    .option("-1, --names", "print the names alone, one a line")
    .action(async (patterns: readonly string[], flags: ShowFlags) => {
      process.exitCode = await show("list", patterns, flags);
    });
}

interface ShowFlags extends InventoryFlags, ExtraVarsFlags, SecretFlags {
  readonly json?: boolean;
  readonly names?: boolean;
}

/** Show a view of the inventory on this process's streams; returns the exit code. */
async function show(action: InventoryAction, patterns: readonly string[], given: ShowFlags): Promise<number> {
  if (given.json === true && given.names === true)
    throw new VolleyError("USAGE", "--json goes without --names");
  const flags = settleSources(given, await ansibleSettings([]));
  const { createSecretStore } = await import("../vars/secrets/store.ts");
  const cwd = process.cwd();
  const limit = await expandLimit(flags.limit);
  return inventoryCommand(
    action,
    await Promise.all(patterns.map(expandLimit)),
    {
      inventory: inventoryPaths(flags),
      ...(limit === undefined ? {} : { limit }),
      ...(flags.json === undefined ? {} : { json: flags.json }),
      ...(flags.names === undefined ? {} : { names: flags.names }),
      ...(flags.extraVars === undefined ? {} : { extraVars: flags.extraVars }),
    },
    {
      stdout: (text) => process.stdout.write(text),
      stderr: (text) => process.stderr.write(text),
      color: process.stdout.isTTY === true && (process.env.NO_COLOR ?? "") === "",
      cwd,
      columns: process.stdout.columns ?? 80,
      // The TypeScript compiler takes longer to load than all else.
      loadModule: async (file) => (await import("../controller/prepare/read.ts")).loadInventoryModule(file),
      secrets: createSecretStore({ ...secretOptions(flags), cwd, ask: askPassphrase }),
    },
  );
}

/** The flags of `volley inventory`. */
export interface InventoryView {
  readonly inventory: readonly string[];
  readonly limit?: string;
  readonly json?: boolean;
  /** Print the names alone; for `list`. */
  readonly names?: boolean;
  readonly extraVars?: readonly string[];
}

/** The output streams, and the access to inventories. */
interface InventoryIo {
  readonly stdout: (text: string) => void;
  /** Get warnings. */
  readonly stderr: (text: string) => void;
  readonly color: boolean;
  readonly cwd: string;
  readonly loadModule: (file: string) => Promise<unknown>;
  /** Width of the terminal in characters. Default 80. */
  readonly columns?: number;
  /** Opens encrypted files. Default: they stay closed. */
  readonly secrets?: SecretStore;
}

/**
 * Print what the inventory holds: `list [PATTERN]`, `graph [GROUP]` or `host NAME`; with `json` what ansible-inventory
 * would print. Returns the exit code. Fails with `INVENTORY_*`, `PATTERN_UNKNOWN` or `USAGE`.
 */
export async function inventoryCommand(
  action: InventoryAction,
  args: readonly string[],
  { inventory: paths, limit, json = false, names = false, extraVars }: InventoryView,
  io: InventoryIo,
): Promise<number> {
  const [{ loadInventory }, { limitHosts, selectHosts }] = await Promise.all([
    import("../inventory/load.ts"),
    import("../inventory/select.ts"),
  ]);
  const { cwd, loadModule, secrets, color, columns = 80 } = io;
  const extra = extraVars === undefined ? undefined : await readExtra(extraVars, io);
  for (const warning of extra?.warnings ?? []) io.stderr(`volley: warning: ${warning}\n`);
  const inventory = await loadInventory(paths, {
    cwd,
    loadModule,
    ...(secrets === undefined ? {} : { secrets }),
    ...(extra === undefined ? {} : { extraVars: extra.entries }),
  });
  for (const warning of inventory.warnings ?? []) io.stderr(`volley: warning: ${warning}\n`);
  const pickHosts = (patterns: readonly string[]): readonly Host[] => {
    const hosts =
      patterns.length === 0 ? [...inventory.hosts.values()] : selectHosts(inventory, patterns.join(","));
    return limit === undefined ? hosts : limitHosts(hosts, inventory, limit, { cwd });
  };
  switch (action) {
    case "list":
      io.stdout(await listText(inventory, pickHosts(args)));
      return 0;
    case "graph": {
      const hosts = new Set(pickHosts([]).map(({ name }) => name));
      const root = args[0]?.replace(/^@/, "");
      if (json) throw new VolleyError("USAGE", "graph has no --json; use: volley inventory list --json");
      const { formatInventoryGraph } = await import("../inventory/format.ts");
      io.stdout(formatInventoryGraph(inventory, { color, hosts, ...(root === undefined ? {} : { root }) }));
      return 0;
    }
    case "host":
      if (args.length === 0) throw new VolleyError("USAGE", "which host? Write: volley inventory host NAME");
      io.stdout(await hostsText(pickHosts(args)));
      return 0;
  }

  async function listText(from: Inventory, hosts: readonly Host[]): Promise<string> {
    if (names) return hosts.map(({ name }) => `${name}\n`).join("");
    const { formatInventoryList, inventoryToJson } = await import("../inventory/format.ts");
    warnOfLocked(hosts, io);
    return json ? toJson(inventoryToJson(from, hosts)) : formatInventoryList(from, hosts, { color, columns });
  }

  async function hostsText(hosts: readonly Host[]): Promise<string> {
    if (json) {
      warnOfLocked(hosts, io);
      return toJson(
        hosts.length === 1 ? hosts[0]!.vars : Object.fromEntries(hosts.map(({ name, vars }) => [name, vars])),
      );
    }
    const { formatInventoryHost } = await import("../inventory/format.ts");
    return hosts.map((host) => formatInventoryHost(host, { color, columns })).join("\n\n");
  }
}

async function readExtra(texts: readonly string[], { cwd, secrets }: InventoryIo): Promise<ExtraVars> {
  const [{ readExtraVars }, { createSecretStore }] = await Promise.all([
    import("../inventory/extra-vars.ts"),
    import("../vars/secrets/store.ts"),
  ]);
  return await readExtraVars(texts, { cwd, secrets: secrets ?? createSecretStore({ cwd }) });
}

/** Warn of files that could not be opened, where the output has no place for them. */
function warnOfLocked(hosts: readonly Host[], { stderr }: InventoryIo): void {
  const locked = new Map<string, VolleyError>();
  for (const why of hosts.flatMap((host) => host.locked ?? []))
    locked.set(`${why.location?.file}: ${why.message}`, why);
  for (const [text, { hint }] of locked)
    stderr(`volley: warning: what it sets is left out: ${text}${hint === undefined ? "" : ` (${hint})`}\n`);
}

function toJson(value: unknown): string {
  return `${writeJson(mapLeaves(value, toAnsible), { indent: "  " })}\n`;
}

/** Ansible's form, in inventories from programs, of a text that is no template. */
function toAnsible(leaf: unknown): unknown {
  return leaf instanceof Data ? { __ansible_unsafe: leaf.text } : leaf;
}

interface TrustFlags extends InventoryFlags, ReachFlags {
  readonly yes?: boolean;
}

/** Add `volley hosts`. */
export function addHostsCommand(program: Command): void {
  const hosts = program.command("hosts").summary("prepare to reach the hosts of an inventory");
  addReachOptions(
    addInventoryOptions(
      hosts
        .command("trust")
        .summary("learn the host keys that known_hosts does not list")
        .description(
          "Fetch the hosts' keys, show the fingerprints of those that known_hosts does not list and, once you agree, add them. A key that has changed or is revoked is reported and never added.",
        )
        .argument("[pattern...]", "hosts to look at (default: all)"),
    ),
  )
    .option("-y, --yes", "add the keys without asking")
    .addHelpText(
      "after",
      "\nExit codes: 0 all keys are known, 1 you did not agree, or a key has changed or is revoked, 4 some host did not show a key.\n",
    )
    .action(async (patterns: readonly string[], flags: TrustFlags) => {
      process.exitCode = await trust(patterns, flags);
    });
}

async function trust(patterns: readonly string[], flags: TrustFlags): Promise<number> {
  const { trustHosts } = await import("../controller/prepare/trust.ts");
  const { limit } = flags;
  const { added, refused, silent, skipped, distrusted, known } = await trustHosts({
    ...(await reachOptions(flags)),
    inventory: inventoryPaths(flags),
    ...(patterns.length === 0 ? {} : { pattern: patterns.join(",") }),
    ...(limit === undefined ? {} : { limit }),
    askHostKeys: async (keys) => {
      if (flags.yes !== true) {
        if (process.stdin.isTTY !== true) {
          process.stdout.write(`${formatHostKeys(keys)}\n`);
          process.stderr.write(
            "volley: there is no terminal to ask at: compare the fingerprints, then use --yes\n",
          );
          return false;
        }
        return await askHostKeys(keys);
      }
      process.stdout.write(`${formatHostKeys(keys)}\n`);
      return true;
    },
  });
  for (const { host, reason } of skipped) process.stdout.write(`${host}: left to ssh itself: ${reason}\n`);
  for (const { host, address, port } of silent)
    process.stdout.write(
      `${host}: no key from ${address.includes(":") ? `[${address}]` : address}:${port}\n`,
    );
  for (const { host, problem, hint } of distrusted)
    process.stdout.write(`${host}: ${problem}; it is not added\n  hint: ${hint}\n`);
  const files = [...new Set(added.map(({ file }) => file))].join(", ");
  if (added.length > 0) process.stdout.write(`Added ${added.length} to ${files}.\n`);
  else if (known > 0)
    process.stdout.write(`${known === 1 ? "1 host, its key is" : `${known} hosts, their keys are`} known.\n`);
  if (refused.length > 0 || distrusted.length > 0) return 1;
  return silent.length > 0 ? 4 : 0;
}
