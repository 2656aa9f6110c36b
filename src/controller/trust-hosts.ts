import type { Inventory } from "../core/inventory.ts";
import type { Vars } from "../core/json.ts";
import type { Endpoint } from "../transport/transport.ts";
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
  const signal = options.signal ?? new AbortController().signal;
  const { ssh, openssh, reach, knownHostsOf } = await openSshTransports(options, signal);
  try {
    // Nobody logs in to them: their passwords, which may be encrypted, are not needed.
    const endpoints: Endpoint[] = [];
    for (const host of hosts)
      endpoints.push(await reach.endpointOf({ ...host, vars: withoutPasswords(host.vars) }));
    const skipped = endpoints.flatMap((endpoint) => {
      const reason = onlyForOpenSsh(endpoint);
      return reason === undefined ? [] : [{ host: endpoint.host, reason }];
    });
    const learned = await learnHostKeys({
      endpoints: endpoints.filter((endpoint) => onlyForOpenSsh(endpoint) === undefined),
      ssh,
      knownHostsOf,
      ask: options.askHostKeys,
      all: true,
      signal,
    });
    const certified = learned.certified.map(({ host, line }) => ({
      host,
      reason: `only a certificate vouches for its key (@cert-authority, ${line})`,
    }));
    return { ...learned, skipped: [...skipped, ...certified] };
  } finally {
    ssh.close();
    openssh.close();
  }
}

/** Where `ssh` decides in ways of its own whether a key is good, or how to get there, it must learn the key as well. */
function onlyForOpenSsh({ ssh }: Endpoint): string | undefined {
  return (
    ssh?.refusedBySsh2 ?? ssh?.jumps.map((hop) => hop.ssh?.refusedBySsh2).find((each) => each !== undefined)
  );
}

function withoutPasswords(vars: Vars): Vars {
  return Object.fromEntries(Object.entries(vars).filter(([name]) => !PASSWORD_VARS.includes(name)));
}
