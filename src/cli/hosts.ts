import type { Command } from "commander";
import {
  addInventoryOptions,
  addReachOptions,
  type InventoryFlags,
  inventoryPaths,
  type ReachFlags,
  reachOptions,
} from "./options.ts";

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
  const [{ trustHosts }, { askHostKeys, formatHostKeys }] = await Promise.all([
    import("../controller/prepare/trust.ts"),
    import("./ask.ts"),
  ]);
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
