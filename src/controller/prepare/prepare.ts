import { fileURLToPath } from "node:url";
import type { Bundle } from "../../bundle/build.ts";
import { createMask, maskError } from "../../vars/mask.ts";
import { createSecretStore } from "../../vars/secrets/store.ts";
import type { RunOptions } from "./options.ts";
import { concernedBy, type OpenPlan, openPlan, planHosts, secretsOf, varsOfJobs } from "./plan.ts";
import { preflight } from "./preflight.ts";
import { type PreparedPlaybook, preparePlaybook, readInventory } from "./read.ts";

/** All that is known of a run before any host is touched. */
export interface PreparedRun {
  readonly playbook: PreparedPlaybook;
  readonly plan: OpenPlan;
  readonly bundle: Bundle;
  /** What all of it took. */
  readonly buildMs: number;
  /** An error without the secrets that may stand in it. */
  hideSecrets(thrown: unknown): unknown;
}

/** Reads playbook and inventory, asks for secrets, checks what can be checked, and makes the bundle. */
export async function prepareRun(
  options: RunOptions,
  { cwd, signal }: { readonly cwd: string; readonly signal: AbortSignal },
): Promise<PreparedRun> {
  const startedAt = performance.now();
  const file = options.playbook instanceof URL ? fileURLToPath(options.playbook) : options.playbook;
  const playbook = await preparePlaybook(file, cwd);
  const secrets = createSecretStore({
    ...options.secrets,
    cwd,
    signal,
    ...(options.askPassphrase === undefined ? {} : { ask: options.askPassphrase }),
  });
  const { inventory, select } = await readInventory(options.inventory, {
    cwd,
    playbookDirectory: playbook.directory,
    secrets,
    concerned: concernedBy(playbook.playbook, options.limit),
  });
  const plan = await openPlan(
    planHosts(playbook.playbook, inventory, (pattern) => select(pattern, options.limit), options.limit),
    secrets,
  );
  const { plays, hosts, groups } = plan;
  const hideSecrets = (thrown: unknown): unknown => {
    const mask = createMask(hosts.flatMap(secretsOf));
    return mask === null ? thrown : maskError(mask, thrown);
  };
  try {
    await preflight({ plays, assets: playbook.assets, groups, check: options.check ?? false });
  } catch (thrown) {
    throw hideSecrets(playbook.locate(thrown));
  }
  const bundle = await playbook.bundle({ vars: varsOfJobs(plan) });
  return { playbook, plan, bundle, buildMs: performance.now() - startedAt, hideSecrets };
}
