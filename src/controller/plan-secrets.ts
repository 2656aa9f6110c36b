import { VolleyError } from "../core/errors.ts";
import type { Host } from "../core/inventory.ts";
import { createMask, type Mask } from "../core/mask.ts";
import { findSecrets } from "../core/secret.ts";
import { type ResolvedVars, resolveVars } from "../secrets/resolve-vars.ts";
import type { SecretStore } from "../secrets/store.ts";
import type { Plan } from "./plan.ts";

/** A plan whose hosts have the values of their secrets. */
export interface OpenPlan extends Plan {
  /** What a person should know of secrets that could not be made safe. */
  readonly warnings: readonly { readonly host: string; readonly text: string }[];
}

/** Gets the secrets of the hosts that take part, and of no others. Fails with `SECRET_FAILED`. */
export async function openPlan(plan: Plan, store: SecretStore): Promise<OpenPlan> {
  refuseInPlays(plan);
  const warnings = new Map<string, { readonly host: string; readonly text: string }>();
  const opened = new Map<string, Host>();
  for (const host of plan.hosts) {
    const resolved = await openHost(host, host.vars, store);
    opened.set(host.name, withSecrets(host, resolved));
    for (const { name, source } of resolved.tooShort) {
      const text = `the secret ${name} is too short to be masked: it will be shown wherever it turns up`;
      if (!warnings.has(JSON.stringify([name, source])))
        warnings.set(JSON.stringify([name, source]), { host: host.name, text });
    }
  }
  const [first] = plan.hosts;
  for (const text of plan.inventory.warnings ?? [])
    if (first !== undefined) warnings.set(text, { host: first.name, text });
  const hosts = new Map(plan.inventory.hosts);
  for (const [name, host] of opened) if (hosts.has(name)) hosts.set(name, host);
  // A play may read some vars of hosts that do not take part.
  const shared = new Set(plan.plays.flatMap(({ play }) => play.hostVars ?? []));
  if (shared.size > 0) {
    for (const host of plan.inventory.hosts.values()) {
      if (opened.has(host.name)) continue;
      const vars = Object.fromEntries(Object.entries(host.vars).filter(([key]) => shared.has(key)));
      hosts.set(host.name, withSecrets(host, await openHost(host, vars, store)));
    }
  }
  return {
    ...plan,
    inventory: { ...plan.inventory, hosts },
    hosts: plan.hosts.map(({ name }) => opened.get(name)!),
    plays: plan.plays.map((play) => ({ ...play, hosts: play.hosts.map(({ name }) => opened.get(name)!) })),
    warnings: [...warnings.values()],
  };
}

async function openHost(host: Host, vars: Host["vars"], store: SecretStore): Promise<ResolvedVars> {
  const [locked] = host.locked ?? [];
  if (locked !== undefined) throw locked;
  return resolveVars(
    vars,
    {
      name: `host ${host.name}`,
      locate: (name) => {
        const { file, line } = host.sources[name] ?? {};
        return file === undefined ? undefined : { file, ...(line === undefined ? {} : { line }) };
      },
    },
    store,
  );
}

function withSecrets(host: Host, { vars, secretTexts }: ResolvedVars): Host {
  return { ...host, vars, secretTexts };
}

/** The playbook is in the bundle and runs on every host: a secret in it would have to be in both. */
function refuseInPlays({ plays }: Plan): void {
  for (const { play } of plays) {
    const places = [
      ["its vars", play.vars] as const,
      ...play.roles.map(({ role, vars }) => [`the vars of role "${role.name}"`, vars] as const),
    ];
    for (const [where, vars] of places) {
      if (findSecrets(vars).length === 0) continue;
      throw new VolleyError("PLAYBOOK_INVALID", `play "${play.name}": a secret cannot stand in ${where}`, {
        hint: "set it in the inventory, as a var of the host or its group: it then reaches only the hosts that need it",
      });
    }
  }
}

/** The texts to mask in whatever is told of a host: its own secrets, and those of others its plays may read. */
export function secretsOf(host: Host): readonly string[] {
  return Object.values(host.secretTexts ?? {}).flat();
}

/** Makes masks of secrets; hosts with the same secrets have the same one. */
export function createMasks(): (secrets: readonly string[]) => Mask | null {
  const made = new Map<string, Mask | null>();
  return (secrets) => {
    const key = JSON.stringify(secrets);
    let mask = made.get(key);
    if (mask === undefined) {
      mask = createMask(secrets);
      made.set(key, mask);
    }
    return mask;
  };
}
