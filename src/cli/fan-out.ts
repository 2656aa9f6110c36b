import { findHosts, withPasswords } from "../connect/hosts.ts";
import type { Reached } from "../controller/prepare/reach.ts";
import { becomeWay } from "../controller/prepare/reach.ts";
import { openTransports } from "../controller/prepare/transports.ts";
import { isVolleyError } from "../core/errors.ts";
import type { Host } from "../core/inventory.ts";
import type { Become } from "../core/unix/users.ts";
import { createSecretStore, type SecretStore } from "../vars/secrets/store.ts";
import {
  type BecomeFlags,
  becomeOptions,
  type ConnectionFlags,
  type InventoryFlags,
  inventoryPaths,
  type KindFlags,
  reachOptions,
  type SecretFlags,
  secretOptions,
} from "./options.ts";
import { expandLimit } from "./run/runs.ts";
import { askPassphrase, printWarning } from "./terminal.ts";

/** A host as a fan-out works on it. */
export interface FanOutTarget extends Reached {
  readonly name: string;
  readonly become: Become | null;
}

/** The hosts of a command without a playbook, none of them reached yet. */
export interface FanOutPlan {
  readonly hosts: readonly Host[];
  /** Open transports, ask for passphrases and unknown host keys, and print notes to stderr. Fails with `USAGE`. */
  open(signal: AbortSignal): Promise<{ readonly targets: readonly FanOutTarget[]; close(): void }>;
}

/**
 * Select the hosts that `exec`, `put`, `get` or `shell` names, and ask for the passwords they need. Fails with
 * `INVENTORY_*`, `PATTERN_UNKNOWN`, `SECRET_FAILED` or `USAGE`.
 */
export async function planFanOut(
  pattern: string | undefined,
  flags: InventoryFlags & KindFlags & ConnectionFlags & BecomeFlags & SecretFlags,
): Promise<FanOutPlan> {
  const secrets = createSecretStore({ ...secretOptions(flags), cwd: process.cwd(), ask: askPassphrase });
  const selected = await hostsToWorkOn(pattern, flags, secrets);
  const opened = await Promise.all(selected.map((host) => withPasswords(host, secrets)));
  const hosts = opened.map(({ host }) => host);
  const become = await becomeOptions(flags);
  const becomeOn = (host: Host): Become | null => {
    const user = becomeUserOf(host, flags);
    return user === null ? null : { ...becomeWay(host, become), user };
  };
  return {
    hosts,
    open: async (signal) => {
      const transports = await openTransports(hosts, await reachOptions(flags), signal);
      for (const { host, text } of transports.notes) process.stderr.write(`${host}: ${text}\n`);
      try {
        const targets = hosts.map((host) => ({
          name: host.name,
          become: becomeOn(host),
          ...transports.of(host),
        }));
        return { targets, close: transports.close };
      } catch (thrown) {
        transports.close();
        throw thrown;
      }
    },
  };
}

/**
 * Select hosts in the pattern's order. Without an inventory the pattern's names are the hosts, and ssh_config tells how
 * to reach them. Fails with `INVENTORY_*`, `PATTERN_UNKNOWN`, `SECRET_FAILED` or `USAGE`.
 */
export async function hostsToWorkOn(
  wanted: string | undefined,
  flags: InventoryFlags & KindFlags,
  secrets: SecretStore,
): Promise<readonly Host[]> {
  const { inventory, hosts } = await findHosts({
    pattern: wanted === undefined ? undefined : await expandLimit(wanted),
    limit: await expandLimit(flags.limit),
    inventories: (areNames) => {
      try {
        return inventoryPaths(flags);
      } catch (thrown) {
        if (!isVolleyError(thrown) || thrown.code !== "INVENTORY_MISSING" || !areNames) throw thrown;
        return undefined;
      }
    },
    connection: flags.connection,
    secrets,
    cwd: process.cwd(),
  });
  for (const warning of inventory.warnings ?? []) printWarning(warning);
  return hosts;
}

/** Return the user to become on a host: the command line comes before the inventory. Null: the login user. */
function becomeUserOf(
  host: Host,
  { become, becomeUser }: Pick<BecomeFlags, "become" | "becomeUser">,
): string | null {
  return becomeUser ?? (become === true ? "root" : (host.connection.become ?? null));
}
