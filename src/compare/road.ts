import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openPlan, readHostPlan } from "../controller/prepare/plan.ts";
import type { TransportsOptions } from "../controller/prepare/reach.ts";
import { preparePlaybook } from "../controller/prepare/read.ts";
import { openTransports, type Transports } from "../controller/prepare/transports.ts";
import type { Host } from "../core/inventory.ts";
import { quote } from "../core/shell-quote.ts";
import type { Endpoint, SshSettings } from "../transport/transport.ts";
import type { SecretOptions } from "../vars/secrets/sources.ts";
import { createSecretStore } from "../vars/secrets/store.ts";

import { endpointKey, ProxySet } from "./proxy.ts";

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
  const { hosts } = await openPlan(
    await readHostPlan(prepared, { inventory: options.inventory, limit, cwd, secrets }),
    secrets,
  );
  return { playbook: prepared.name, hosts, transports: await openTransports(hosts, reach, signal) };
}

/** The way from here to the hosts, on which everything that is compared goes. */
export interface Road {
  readonly proxies: ProxySet;
  /** Of this comparison alone, mode 0700; removed at its end. */
  readonly directory: string;
  /** Says where the proxy of an endpoint is. */
  readonly routesFile: string;
  /** Leads through the proxies. */
  readonly inventoryFile: string;
  /** Those with a proxy: hosts, or first hops to them. */
  readonly endpoints: number;
  close(): void;
}

/** Starts a proxy for every host, or for the first hop to it, and writes the files that lead there. */
export async function openRoad({ hosts, transports }: PlannedHosts): Promise<Road> {
  const directory = mkdtempSync(join(tmpdir(), "volley-compare-"));
  const proxies = new ProxySet();
  const close = (): void => {
    proxies.close();
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    const routes: Record<string, number> = {};
    const reached: ReachedHost[] = [];
    for (const host of hosts) {
      if (host.connection.connection === "local") {
        reached.push({ host, endpoint: undefined, proxyPort: undefined });
        continue;
      }
      const { endpoint } = transports.of(host);
      const { jumps = [], usesProxyCommand = false } = endpoint.ssh ?? {};
      const firstHop = jumps[0] ?? endpoint;
      const port = usesProxyCommand ? undefined : await proxies.open(firstHop);
      if (port !== undefined) routes[endpointKey(firstHop)] = port;
      reached.push({ host, endpoint, proxyPort: jumps.length === 0 ? port : undefined });
    }
    const write = (name: string, text: string): string => {
      const path = join(directory, name);
      writeFileSync(path, text, { mode: 0o600 });
      return path;
    };
    return {
      proxies,
      directory,
      routesFile: write("routes.json", JSON.stringify(routes)),
      inventoryFile: write("inventory.yaml", toAnsibleInventory(reached)),
      endpoints: Object.keys(routes).length,
      close,
    };
  } catch (thrown) {
    close();
    throw thrown;
  }
}

/** A host as an outside command is to reach it. */
export interface ReachedHost {
  readonly host: Host;
  /** Undefined of a host that is this machine. */
  readonly endpoint: Endpoint | undefined;
  /** Of its proxy, on 127.0.0.1; undefined where there is none. */
  readonly proxyPort: number | undefined;
}

/**
 * An inventory in Ansible's YAML (as JSON, which is YAML) of these hosts and their groups, without vars but those of the
 * connection: it may stand behind another one. Hosts with a proxy are reached through it, under the host keys of their own.
 */
export function toAnsibleInventory(hosts: readonly ReachedHost[]): string {
  const groups = new Map<string, Record<string, null>>();
  for (const { host } of hosts) {
    for (const group of host.groups) {
      if (group === "ungrouped") continue;
      groups.set(group, { ...groups.get(group), [host.name]: null });
    }
  }
  const all = {
    hosts: Object.fromEntries(hosts.map((each) => [each.host.name, connectionVars(each)])),
    children: Object.fromEntries([...groups].map(([name, members]) => [name, { hosts: members }])),
  };
  return `${JSON.stringify({ all }, null, 2)}\n`;
}

function connectionVars({ host, endpoint, proxyPort }: ReachedHost): Readonly<Record<string, unknown>> {
  if (endpoint === undefined) return { ansible_connection: "local" };
  const { user, privateKeyFile, ssh } = endpoint;
  const login = {
    ansible_user: user,
    ...(privateKeyFile === undefined ? {} : { ansible_ssh_private_key_file: privateKeyFile }),
  };
  const before = host.vars.ansible_ssh_common_args;
  const given = typeof before === "string" && before !== "" ? [before] : [];
  if (proxyPort === undefined) {
    return {
      ...login,
      ansible_host: endpoint.address,
      ansible_port: endpoint.port,
      ...(given.length === 0 ? {} : { ansible_ssh_common_args: before }),
    };
  }
  return {
    ...login,
    ansible_host: "127.0.0.1",
    ansible_port: proxyPort,
    ansible_ssh_common_args: [...given, ...hostKeyArguments(endpoint, ssh)].join(" "),
  };
}

/** ssh(1) adds no port to an alias, so that it is written as known_hosts has it (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT). */
function hostKeyArguments({ address, port }: Endpoint, ssh: SshSettings | undefined): readonly string[] {
  const alias = ssh?.hostKeyAlias ?? (port === 22 ? address : `[${address}]:${port}`);
  const files = (ssh?.knownHostsFiles ?? []).map((file) => `"${file}"`).join(" ");
  const checking = { strict: "yes", ask: "yes", "accept-new": "accept-new", off: "no" } as const;
  return [
    `HostKeyAlias=${alias}`,
    `StrictHostKeyChecking=${checking[ssh?.hostKeyPolicy ?? "strict"]}`,
    ...(files === "" ? [] : [`UserKnownHostsFile=${files}`]),
    ...(ssh?.identityFiles ?? []).map((file) => `IdentityFile="${file}"`),
  ].map((option) => `-o ${quote(option)}`);
}
