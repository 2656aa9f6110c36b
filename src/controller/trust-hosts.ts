import type { Inventory } from "../core/inventory.ts";
import type { Vars } from "../core/json.ts";
import { PASSWORD_VARS } from "./reach.ts";
import { readInventory } from "./read-inventory.ts";
import { openSshTransports, type TransportsOptions } from "./transports.ts";
import { type AskHostKeys, type Learned, learnHostKeys } from "./trust.ts";

/** Whose keys to learn, and how the hosts are reached. */
export interface TrustHostsOptions extends TransportsOptions {
  readonly inventory: string | readonly string[] | Inventory;
  /** Default `all`. */
  readonly pattern?: string;
  readonly limit?: string;
  /** Decides whether the keys found are right. */
  readonly askHostKeys: AskHostKeys;
  readonly signal?: AbortSignal;
  readonly cwd?: string;
}

/** What became of the hosts. */
export interface TrustedHosts extends Learned {
  /** Hosts looked at. */
  readonly count: number;
  /** Hosts that only OpenSSH's own `ssh` can reach: their keys are for it to learn. */
  readonly skipped: readonly { readonly host: string; readonly reason: string }[];
}

/** Adds the keys of hosts that known_hosts does not list, once somebody has agreed to them. Fails as `run` does before its first host. */
export async function trustHosts(options: TrustHostsOptions): Promise<TrustedHosts> {
  const cwd = options.cwd ?? process.cwd();
  const { select } = await readInventory(options.inventory, { cwd, playbookDirectory: cwd });
  const hosts = select(options.pattern ?? "all", options.limit).filter(
    ({ connection }) => connection.connection !== "local",
  );
  const { ssh, openssh, reach, knownHostsOf } = await openSshTransports(options);
  try {
    // Nobody logs in to them: their passwords, which may be encrypted, are not needed.
    const endpoints = hosts.map((host) => reach.endpointOf({ ...host, vars: withoutPasswords(host.vars) }));
    const skipped = endpoints.flatMap(({ host, ssh: settings }) =>
      settings?.usesProxyCommand === true ? [{ host, reason: settings.needsOpenSsh ?? "ProxyCommand" }] : [],
    );
    const learned = await learnHostKeys({
      endpoints: endpoints.filter(({ ssh: settings }) => settings?.usesProxyCommand !== true),
      ssh,
      knownHostsOf,
      ask: options.askHostKeys,
      all: true,
      signal: options.signal ?? new AbortController().signal,
    });
    return { ...learned, count: hosts.length, skipped };
  } finally {
    ssh.close();
    openssh.close();
  }
}

function withoutPasswords(vars: Vars): Vars {
  return Object.fromEntries(Object.entries(vars).filter(([name]) => !PASSWORD_VARS.includes(name)));
}
