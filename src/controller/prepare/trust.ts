import pLimit from "p-limit";
import type { Inventory } from "../../core/inventory.ts";
import type { Vars } from "../../core/values/vars.ts";
import {
  fingerprintOf,
  hostName,
  type KnownHosts,
  keyType,
  knownAs,
  noFile,
} from "../../transport/ssh/known-hosts.ts";
import type { SshTransport } from "../../transport/ssh/ssh-transport.ts";
import type { Endpoint, SshSettings } from "../../transport/transport.ts";
import {
  type AskHostKeys,
  openSshTransports,
  PASSWORD_VARS,
  type TransportsOptions,
  type UnknownHostKey,
} from "./reach.ts";

// Host keys that are not known yet: found by asking hosts, shown, and added to known_hosts.

/** Options of learning host keys. */
export interface LearnOptions {
  readonly endpoints: readonly Endpoint[];
  readonly ssh: Pick<SshTransport, "scan">;
  knownHostsOf(settings: SshSettings): KnownHosts;
  readonly ask: AskHostKeys;
  /** Look also at listed hosts, and at hosts whose policy is not to ask. Default false. */
  readonly all?: boolean;
  readonly signal: AbortSignal;
}

/** The keys and hosts, by outcome. */
export interface Learned {
  readonly added: readonly UnknownHostKey[];
  readonly refused: readonly UnknownHostKey[];
  /** Hosts that did not present a key. */
  readonly silent: readonly Endpoint[];
  /** Hosts whose key must not be added: known_hosts lists another one, or the key is revoked. */
  readonly distrusted: readonly DistrustedHost[];
  /** Hosts known only by a certificate, which ssh2 cannot check. */
  readonly certified: readonly { readonly host: string; readonly line: string }[];
  /** Number of hosts that presented a listed key. */
  readonly known: number;
}

/** A host whose key must not be added. */
export interface DistrustedHost {
  readonly host: string;
  /** The problem in one sentence, with file and line. */
  readonly problem: string;
  readonly hint: string;
}

const SCANS_AT_ONCE = 50;

/**
 * Fetch the keys of hosts that known_hosts does not list, and ask about all of them at once. Jump hosts come first, in
 * a question of their own: the hosts behind them are reached through them. Fails with `HOST_KEY_UNKNOWN` when a key
 * cannot be added.
 */
export async function learnHostKeys(options: LearnOptions): Promise<Learned> {
  const { endpoints, knownHostsOf, all = false } = options;
  const added: UnknownHostKey[] = [];
  const refused: UnknownHostKey[] = [];
  const silent: Endpoint[] = [];
  const distrusted: DistrustedHost[] = [];
  const certified: { readonly host: string; readonly line: string }[] = [];
  let known = 0;
  const wanted = (endpoint: Endpoint): boolean => {
    const settings = endpoint.ssh;
    if (settings === undefined) return false;
    if (all) return true;
    if (settings.hostKeyPolicy !== "ask") return false;
    const { address, port } = knownAs(endpoint);
    // Without a file to add the key to, the answer would change nothing.
    if (settings.newKeysFile === undefined) return false;
    const files = knownHostsOf(settings);
    const types = [...files.keyTypes(address, port), ...files.keyTypesWithoutPort(address, port)];
    return types.length === 0 && !files.needsCertificate(address, port);
  };
  for (const level of levelsOf(endpoints)) {
    const unknown: Found[] = [];
    for (const found of await scanAll(level.filter(wanted), options, silent)) {
      const { endpoint, key, shown } = found;
      const { address, port } = knownAs(endpoint);
      const verdict = knownHostsOf(endpoint.ssh!).check(address, port, key);
      if (verdict.kind === "unknown") unknown.push(found);
      else if (verdict.kind === "known") known++;
      else if (verdict.kind === "certified")
        certified.push({ host: endpoint.host, line: `${verdict.file}:${verdict.line}` });
      else distrusted.push(distrust(verdict, shown));
    }
    if (unknown.length === 0) continue;
    const keys = unknown.map(({ shown }) => shown);
    const nowhere = unknown.find(({ endpoint }) => endpoint.ssh!.newKeysFile === undefined);
    if (nowhere !== undefined) throw noFile(nowhere.shown.name);
    if (!(await options.ask(keys))) {
      refused.push(...keys);
      // Hosts behind a jump host that is not trusted cannot be reached.
      break;
    }
    for (const { endpoint, key } of unknown) {
      const { address, port } = knownAs(endpoint);
      const settings = endpoint.ssh!;
      knownHostsOf(settings).add(address, port, key, settings.hashKnownHosts);
    }
    added.push(...keys);
  }
  return { added, refused, silent, distrusted, certified, known };
}

function distrust(
  {
    kind,
    file,
    line,
  }: { readonly kind: "changed" | "revoked"; readonly file: string; readonly line: number },
  { host, name, type, fingerprint }: UnknownHostKey,
): DistrustedHost {
  const shown = `it presents ${type} ${fingerprint}`;
  return kind === "revoked"
    ? {
        host,
        problem: `its key is revoked (${file}:${line}): ${shown}`,
        hint: "give the host another key, and find out who had this one",
      }
    : {
        host,
        problem: `its key has changed: ${shown}, not the one at ${file}:${line}`,
        hint: `if the host was reinstalled, remove the old key: ssh-keygen -R '${name}' -f ${file}`,
      };
}

interface Found {
  readonly endpoint: Endpoint;
  readonly key: Buffer;
  readonly shown: UnknownHostKey;
}

async function scanAll(
  unknown: readonly Endpoint[],
  { ssh, signal }: LearnOptions,
  silent: Endpoint[],
): Promise<readonly Found[]> {
  const limit = pLimit(SCANS_AT_ONCE);
  const scanned = await Promise.all(
    unknown.map((endpoint) => limit(async () => ({ endpoint, offered: await ssh.scan(endpoint, signal) }))),
  );
  return scanned.flatMap(({ endpoint, offered }) => {
    if (offered === undefined) {
      silent.push(endpoint);
      return [];
    }
    return [{ endpoint, key: offered.key, shown: showKey(endpoint, offered.key) }];
  });
}

function showKey(endpoint: Endpoint, key: Buffer): UnknownHostKey {
  const { address, port } = knownAs(endpoint);
  return {
    host: endpoint.host,
    name: hostName(address, port),
    type: keyType(key),
    fingerprint: fingerprintOf(key),
    file: endpoint.ssh?.newKeysFile ?? "",
  };
}

/** Sort hosts by the number of jumps in front of them; each name in known_hosts appears once. */
function levelsOf(endpoints: readonly Endpoint[]): readonly (readonly Endpoint[])[] {
  const levels: Map<string, Endpoint>[] = [];
  const seen = new Set<string>();
  const put = (depth: number, endpoint: Endpoint): void => {
    const { address, port } = knownAs(endpoint);
    const name = `${hostName(address, port)} ${endpoint.ssh?.knownHostsFiles.join(" ")}`;
    if (seen.has(name)) return;
    seen.add(name);
    while (levels.length <= depth) levels.push(new Map());
    levels[depth]!.set(name, endpoint);
  };
  for (const { ssh } of endpoints) for (const [depth, hop] of (ssh?.jumps ?? []).entries()) put(depth, hop);
  for (const endpoint of endpoints) put(endpoint.ssh?.jumps.length ?? 0, endpoint);
  return levels.map((level) => [...level.values()]);
}

/** The hosts whose keys to learn, and how to reach them. */
export interface TrustHostsOptions extends TransportsOptions {
  readonly inventory: string | readonly string[] | Inventory;
  /** Default `all`. */
  readonly pattern?: string;
  readonly limit?: string;
  /** Asks the user whether the keys are right. */
  readonly askHostKeys: AskHostKeys;
  readonly signal?: AbortSignal;
  readonly cwd?: string;
}

/** The outcome for the hosts, and the hosts that were left out. */
export interface TrustedHosts extends Learned {
  /** Hosts that only OpenSSH's own `ssh` reaches: `ssh` must learn their keys. */
  readonly skipped: readonly { readonly host: string; readonly reason: string }[];
}

/**
 * Add the keys of hosts that known_hosts does not list, once the user agrees. Fails as `run` does before its first
 * host.
 */
export async function trustHosts(options: TrustHostsOptions): Promise<TrustedHosts> {
  const cwd = options.cwd ?? process.cwd();
  // Imported here because it loads every action, which learning keys for a run or `exec` must not wait for.
  const { readInventory } = await import("./read.ts");
  const { select } = await readInventory(options.inventory, { cwd });
  const hosts = select(options.pattern ?? "all", options.limit).filter(
    ({ connection }) => connection.connection === "ssh",
  );
  const signal = options.signal ?? new AbortController().signal;
  const { ssh, openssh, reach, knownHostsOf } = await openSshTransports(options, signal);
  try {
    // Fetching a key needs no login, so leave out passwords, which may be encrypted.
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

/** Return why only OpenSSH's `ssh` can check the host's key, or find the way to the host; undefined when ssh2 can. */
function onlyForOpenSsh({ ssh }: Endpoint): string | undefined {
  return (
    ssh?.refusedBySsh2 ?? ssh?.jumps.map((hop) => hop.ssh?.refusedBySsh2).find((each) => each !== undefined)
  );
}

function withoutPasswords(vars: Vars): Vars {
  return Object.fromEntries(Object.entries(vars).filter(([name]) => !PASSWORD_VARS.includes(name)));
}
