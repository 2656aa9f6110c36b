import { concernedBy, openPlan, planHosts } from "../controller/prepare/plan.ts";
import type { TransportsOptions } from "../controller/prepare/reach.ts";
import { preparePlaybook, readInventory } from "../controller/prepare/read.ts";
import { openTransports, type Transports } from "../controller/prepare/transports.ts";

import type { Host } from "../core/inventory.ts";
import type { SecretOptions } from "../vars/secrets/sources.ts";
import { createSecretStore } from "../vars/secrets/store.ts";

/** Which hosts a playbook is compared on. */
export interface HostsOptions {
  readonly playbook: string;
  readonly inventory: readonly string[];
  readonly limit: string | undefined;
  readonly secrets: SecretOptions;
  readonly reach: TransportsOptions;
  readonly cwd: string;
  readonly signal: AbortSignal;
}

/** The hosts of a playbook, and how they are reached. */
export interface PlannedHosts {
  /** The playbook, relative to its project. */
  readonly playbook: string;
  readonly hosts: readonly Host[];
  readonly transports: Transports;
}

/** Finds them as a run does. Fails as a run does before the first host is touched. */
export async function openHosts(options: HostsOptions): Promise<PlannedHosts> {
  const { cwd, signal, limit, reach } = options;
  const prepared = await preparePlaybook(options.playbook, cwd);
  const ask = reach.askPassphrase;
  const secrets = createSecretStore({
    ...options.secrets,
    cwd,
    signal,
    ...(ask === undefined ? {} : { ask }),
  });
  const { inventory, select } = await readInventory(options.inventory, {
    cwd,
    playbookDirectory: prepared.directory,
    secrets,
    concerned: concernedBy(prepared.playbook, limit),
  });
  const { hosts } = await openPlan(
    planHosts(prepared.playbook, inventory, (pattern) => select(pattern, limit), limit),
    secrets,
  );
  return { playbook: prepared.name, hosts, transports: await openTransports(hosts, reach, signal) };
}
