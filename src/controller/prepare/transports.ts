import { userInfo } from "node:os";
import pLimit from "p-limit";
import type { ContainerSettings, Host } from "../../core/inventory.ts";
import { createContainerTransport } from "../../transport/container/container-transport.ts";
import { createLocalTransport } from "../../transport/local.ts";
import { type KnownHosts, knownAs } from "../../transport/ssh/known-hosts.ts";
import type { Endpoint, SshSettings, Transport } from "../../transport/transport.ts";
import { openEarlyConnections } from "./early.ts";
import {
  openSshTransports,
  type Reach,
  type Reached,
  type ReachOptions,
  type SshTransports,
  type TransportsOptions,
} from "./reach.ts";
import { learnHostKeys } from "./trust.ts";

/** The transports of a run, each opened when the first host needs it. */
export interface Transports {
  of(host: Host): Reached;
  /** Begin to connect to hosts over SSH, before their sessions ask for it. */
  connectEarly(hosts: readonly Host[]): void;
  /** Notes for the user about the transport of some hosts. */
  readonly notes: readonly { readonly host: string; readonly text: string }[];
  close(): void;
}

/** Hosts resolved at a time: each may run commands of `Match exec`. */
const HOSTS_AT_ONCE = 16;

/**
 * Find out how to reach hosts, and ask for passphrases and about unknown host keys. Fails with `USAGE` or
 * `INVENTORY_INVALID`.
 */
export async function openTransports(
  hosts: readonly Host[],
  options: TransportsOptions,
  signal: AbortSignal,
): Promise<Transports> {
  const { askHostKeys } = options;
  for (const { connection } of hosts) if (connection.refused !== undefined) throw connection.refused;
  const remote = hosts.filter(({ connection }) => connection.connection === "ssh");
  const here = openHere(options);
  const closeHere = here.close;
  const reached = new Map<string, Reached>();
  const notes: { readonly host: string; readonly text: string }[] = [];
  for (const host of hosts) {
    const way = here.reach(host);
    if (way !== undefined) reached.set(host.name, way);
  }
  if (remote.length === 0)
    return {
      of: (host) => reached.get(host.name)!,
      connectEarly: () => {},
      notes,
      close: closeHere,
    };

  const { ssh, passphrases, openssh, reach, knownHostsOf } = await openSshTransports(options, signal);
  const early = openEarlyConnections();
  let kept: Transport | undefined;
  const close = (): void => {
    early.close();
    kept?.close();
    ssh.close();
    openssh.close();
    closeHere();
  };
  try {
    const bySsh2: Endpoint[] = [];
    const reasons = new Map<string, string[]>();
    for (const endpoint of await endpointsOf(remote, reach)) {
      const { host } = endpoint;
      const reason = needsOpenSsh(endpoint, knownHostsOf);
      const byOpenSsh = isByOpenSsh(reason, options);
      reached.set(host, { endpoint, transport: byOpenSsh ? openssh : ssh });
      if (!byOpenSsh) bySsh2.push(endpoint);
      if (reason === undefined || options.transport === "openssh") continue;
      reasons.set(reason, [...(reasons.get(reason) ?? []), host]);
    }
    const how =
      options.transport === "ssh2"
        ? "reached with ssh2, as asked for, although"
        : "reached with OpenSSH's ssh:";
    for (const [reason, names] of reasons) notes.push(noteOf(`${how} ${reason}`, names));
    for (const file of await ssh.lockedKeys(withJumps(bySsh2))) await ssh.unlock(file);
    const keeping = bySsh2.filter(({ ssh }) => ssh?.persistMs !== undefined);
    if (keeping.length > 0) {
      const why = await openKept(options, { ssh, passphrases }, (opened) => {
        kept = opened;
        for (const endpoint of keeping) reached.set(endpoint.host, { endpoint, transport: opened });
      });
      if (why !== undefined)
        notes.push(
          noteOf(
            `connected to directly, and the connection is not kept: ${why}`,
            keeping.map(({ host }) => host),
          ),
        );
    }
    if (askHostKeys !== undefined)
      await learnHostKeys({ endpoints: bySsh2, ssh, knownHostsOf, ask: askHostKeys, signal });
  } catch (thrown) {
    close();
    throw thrown;
  }
  return {
    of: (host) => reached.get(host.name)!,
    connectEarly: (wanted) => {
      for (const { name } of wanted) {
        const way = reached.get(name);
        if (way !== undefined && [ssh, kept].includes(way.transport)) reached.set(name, early.begin(way));
      }
    },
    notes,
    close,
  };
}

/** Ways to hosts that are named one after the other, of a process where nobody can be asked. */
export interface Ways {
  /** Find the way to a host. Fails with `USAGE` or `INVENTORY_INVALID`. */
  reach(host: Host): Promise<Reached>;
  close(): void;
}

/** Open ways to hosts. Fails with `USAGE`. */
export async function openWays(options: ReachOptions, signal: AbortSignal): Promise<Ways> {
  const here = openHere(options);
  const { ssh, openssh, reach, knownHostsOf } = await openSshTransports(options, signal);
  return {
    reach: async (host) => {
      const way = here.reach(host);
      if (way !== undefined) return way;
      const endpoint = await reach.endpointOf(host);
      const isOther = isByOpenSsh(needsOpenSsh(endpoint, knownHostsOf), options);
      return { endpoint, transport: isOther ? openssh : ssh };
    },
    close: () => {
      ssh.close();
      openssh.close();
      here.close();
    },
  };
}

/** Open the transports to this machine and into containers. */
function openHere(options: Pick<ReachOptions, "user" | "connectTimeoutMs">): {
  /** Undefined for a host over SSH. */
  reach(host: Host): Reached | undefined;
  close(): void;
} {
  const local = createLocalTransport();
  const containers = createContainerTransport({ connectTimeoutMs: options.connectTimeoutMs });
  return {
    reach: (host) => {
      const { connection, container } = host.connection;
      if (connection === "local") return { endpoint: localEndpoint(host), transport: local };
      if (connection === "ssh" || container === undefined) return undefined;
      return { endpoint: containerEndpoint(host, container, options), transport: containers };
    },
    close: () => {
      local.close();
      containers.close();
    },
  };
}

function isByOpenSsh(reason: string | undefined, { transport }: Pick<ReachOptions, "transport">): boolean {
  return transport === "openssh" || (reason !== undefined && transport !== "ssh2");
}

/** Open the transport over the background process; returns the reason where that process cannot be used. */
async function openKept(
  { persist, askPassphrase, connectRetries }: TransportsOptions,
  { ssh, passphrases }: Pick<SshTransports, "ssh" | "passphrases">,
  use: (kept: Transport) => void,
): Promise<string | undefined> {
  const [{ createPersistTransport }, link] = await Promise.all([
    import("../../transport/persist/client.ts"),
    persist!.openLink(),
  ]);
  const why = await link.reached;
  if (why !== undefined) return why;
  const interactive = askPassphrase !== undefined;
  use(createPersistTransport({ link, direct: ssh, passphrases, interactive, connectRetries }));
  return undefined;
}

async function endpointsOf(hosts: readonly Host[], reach: Reach): Promise<readonly Endpoint[]> {
  const limit = pLimit(HOSTS_AT_ONCE);
  return await Promise.all(hosts.map((host) => limit(() => reach.endpointOf(host))));
}

/** Return the hosts and their jump hosts, each once. */
function withJumps(endpoints: readonly Endpoint[]): readonly Endpoint[] {
  const all = new Map<string, Endpoint>();
  for (const endpoint of endpoints) {
    for (const hop of endpoint.ssh?.jumps ?? []) all.set(JSON.stringify(hop), hop);
    all.set(endpoint.host, endpoint);
  }
  return [...all.values()];
}

function needsOpenSsh(
  endpoint: Endpoint,
  knownHostsOf: (settings: SshSettings) => KnownHosts,
): string | undefined {
  const { ssh } = endpoint;
  if (ssh === undefined || ssh.needsOpenSsh !== undefined) return ssh?.needsOpenSsh;
  if (ssh.hostKeyPolicy === "off") return undefined;
  const { address, port } = knownAs(endpoint);
  try {
    if (!knownHostsOf(ssh).needsCertificate(address, port)) return undefined;
  } catch {
    // A known_hosts file that cannot be read fails the host when it connects.
    return undefined;
  }
  return "only a certificate vouches for its key (@cert-authority)";
}

/** Return a note about hosts, under the name of the first. */
export function noteOf(
  reason: string,
  names: readonly string[],
): { readonly host: string; readonly text: string } {
  const [host, ...others] = names;
  const count = others.length;
  const more = count === 0 ? "" : count === 1 ? "; so is 1 more host" : `; so are ${count} more hosts`;
  return { host: host!, text: `${reason}${more}` };
}

/** Return how to do a host's part on this machine: of a run that asks nothing of its hosts. */
export function reachedHere(host: Host): Reached {
  return { endpoint: localEndpoint(host), transport: createLocalTransport() };
}

/** The user is root where nothing names one, whatever the image says: hosts are provisioned. */
function containerEndpoint(
  { name: host, connection }: Host,
  container: ContainerSettings,
  { user = "root" }: Pick<TransportsOptions, "user">,
): Endpoint {
  const address = `${container.kind}:${container.name}`;
  return { host, address, port: 22, user: connection.user ?? user, privateKeyFile: undefined, container };
}

function localEndpoint(host: Host): Endpoint {
  const { address, port, user, privateKeyFile } = host.connection;
  return { host: host.name, address, port: port ?? 22, user: user ?? userInfo().username, privateKeyFile };
}
