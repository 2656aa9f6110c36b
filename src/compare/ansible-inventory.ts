import type { Host } from "../core/inventory.ts";
import { quote } from "../core/shell-quote.ts";
import type { Endpoint, SshSettings } from "../transport/transport.ts";

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
