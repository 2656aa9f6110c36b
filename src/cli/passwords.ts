import type { Host } from "../core/inventory.ts";
import { findSecrets } from "../core/secret.ts";
import type { SecretStore } from "../vars/secrets/store.ts";

/** A password that the inventory holds as a secret is needed to log in; other secrets are of no use here. */
export async function withPasswords(host: Host, secrets: SecretStore): Promise<Host> {
  const own = Object.entries(host.vars).filter(([name]) => name.startsWith("ansible_"));
  if (!own.some(([name, value]) => /pass/.test(name) && value !== "") || findSecrets(host.vars).length === 0)
    return host;
  const { resolveVars } = await import("../vars/secrets/resolve-vars.ts");
  const { vars } = await resolveVars(
    host.vars,
    { name: `host ${host.name}`, locate: () => undefined },
    secrets,
  );
  return { ...host, vars };
}
