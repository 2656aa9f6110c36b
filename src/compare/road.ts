import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openPlan, readHostPlan } from "../controller/prepare/plan.ts";
import type { TransportsOptions } from "../controller/prepare/reach.ts";
import { preparePlaybook } from "../controller/prepare/read.ts";
import { openTransports, type Transports } from "../controller/prepare/transports.ts";
import { VolleyError } from "../core/errors.ts";
import type { Host } from "../core/inventory.ts";
import { quote } from "../core/unix/shell.ts";
import type { Endpoint, SshSettings } from "../transport/transport.ts";
import type { SecretOptions } from "../vars/secrets/sources.ts";
import { createSecretStore } from "../vars/secrets/store.ts";
import { endpointKey, ProxySet } from "./proxy.ts";

/** The hosts of a comparison. */
export interface HostsOptions {
  readonly playbook: string;
  readonly inventory: readonly string[];
  readonly limit: string | undefined;
  readonly secrets: SecretOptions;
  readonly reach: TransportsOptions;
  readonly cwd: string;
  readonly signal: AbortSignal;
}

/** The hosts of a playbook, and how to reach them. */
export interface PlannedHosts {
  /** The playbook's path in its project. */
  readonly playbook: string;
  readonly hosts: readonly Host[];
  readonly transports: Transports;
}

/** Find the hosts as a run does. Fails as a run does before the first host is touched. */
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

/** The way from here to the hosts, through the proxies, that all compared runs take. */
export interface Road {
  readonly proxies: ProxySet;
  /** A directory of this comparison alone, mode 0700; removed at its end. */
  readonly directory: string;
  /** The file that maps endpoints to their proxies. */
  readonly routesFile: string;
  /** The inventory that leads through the proxies. */
  readonly inventoryFile: string;
  /** Number of endpoints with a proxy: hosts, or first hops to them. */
  readonly endpoints: number;
  close(): void;
}

/** Start a proxy for every host, or for the first hop to it, and write the files that lead there. */
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
      if (host.connection.container !== undefined)
        throw new VolleyError(
          "USAGE",
          `${host.name} is a container, and volley compare counts what goes over SSH`,
          {
            hint: "leave it out with --limit",
          },
        );
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

/** A host as other programs reach it. */
export interface ReachedHost {
  readonly host: Host;
  /** Undefined of this machine. */
  readonly endpoint: Endpoint | undefined;
  /** The port of its proxy on 127.0.0.1; undefined where there is none. */
  readonly proxyPort: number | undefined;
}

/**
 * Write an inventory of these hosts and their groups in Ansible's YAML (as JSON, which is YAML). The inventory holds
 * only the vars of connections, so that it can follow another inventory. Hosts with a proxy are reached through it, and
 * checked against their own host keys.
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

/**
 * Return the ssh options that check a host's key behind a proxy. ssh(1) adds no port to an alias, so the alias is
 * written as in known_hosts (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT).
 */
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
