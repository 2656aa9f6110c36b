import type { Host } from "../../core/inventory.ts";
import type { AskPassphrase } from "../../transport/ssh/keys.ts";
import type { KnownHosts } from "../../transport/ssh/known-hosts.ts";
import type { SshTransport } from "../../transport/ssh/ssh-transport.ts";
import { parseSshArguments } from "../../transport/ssh-config/arguments.ts";
import { createCommands } from "../../transport/ssh-config/evaluate.ts";
import { readSshConfig, type SshConfigChoice } from "../../transport/ssh-config/read.ts";
import { createResolver, type HostWish } from "../../transport/ssh-config/resolve.ts";
import type { Endpoint, HostKeyPolicy, SshSettings, Transport } from "../../transport/transport.ts";

import { readText, whereOf } from "./host-var.ts";

/** What the caller says of reaching hosts; where a host's inventory or ssh_config says otherwise, see each. */
export interface ReachOptions {
  /** Login user where the inventory names none. Default: what ssh_config says, else the current user. */
  readonly user?: string;
  /** The key to use where the inventory names none, instead of all others. */
  readonly privateKeyFile?: string;
  /** Over what the inventory and ssh_config say. Default: `ask` when there is somebody to ask, else `strict`. */
  readonly hostKeys?: HostKeyPolicy;
  /** Instead of those that ssh reads. */
  readonly knownHostsFiles?: readonly string[];
  /** For connecting, and again for logging in. Default: what ssh_config says, else 15 s. */
  readonly connectTimeoutMs?: number;
  /** How often to try again when a host refuses or resets a connection before login. Default 2. */
  readonly connectRetries?: number;
  /** ssh_config file to read instead of `~/.ssh/config` and `/etc/ssh/ssh_config`; `none`: none. */
  readonly sshConfig?: string;
  /** Default `auto`: ssh2, and OpenSSH's own `ssh` for hosts that ask for what ssh2 cannot do. */
  readonly transport?: "auto" | "ssh2" | "openssh";
  /** The login password where the inventory names none. */
  readonly password?: string;
  /** Whether the hosts may use this machine's SSH agent. Default: what ssh_config says. */
  readonly forwardAgent?: boolean;
}

const ARGUMENT_VARS = ["ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args"];
/** Vars that hold a login password, the nearest first. */
export const PASSWORD_VARS = ["ansible_ssh_password", "ansible_ssh_pass", "ansible_password"];

/** Hosts as transports see them. */
export interface Reach {
  /** Fails with `USAGE`, `INVENTORY_INVALID` or `CANCELLED`: commands of `Match exec` are run. */
  endpointOf(host: Host): Promise<Endpoint>;
}

/** Reads ssh_config, once. Fails with `USAGE`. */
export function openReach(options: ReachOptions, canAsk: boolean, signal: AbortSignal): Reach {
  const configFile: SshConfigChoice = options.sshConfig;
  const resolver = createResolver({
    files: readSshConfig(configFile),
    runCommand: createCommands(signal),
    configFile,
    user: options.user,
    privateKeyFile: options.privateKeyFile,
    password: options.password,
    hostKeyPolicy: options.hostKeys,
    defaultHostKeyPolicy: canAsk ? "ask" : "strict",
    knownHostsFiles: options.knownHostsFiles,
    connectTimeoutMs: options.connectTimeoutMs,
    forwardAgent: options.forwardAgent,
  });
  return { endpointOf: async (host) => await resolver.resolve(wishOf(host)) };
}

function wishOf(host: Host): HostWish {
  const { address, port, user, privateKeyFile } = host.connection;
  const given = ARGUMENT_VARS.flatMap((name) => {
    const text = readText(host, name);
    return text === undefined ? [] : [parseSshArguments(text, whereOf(host, name))];
  });
  return {
    host: host.name,
    name: address,
    port,
    user,
    privateKeyFile,
    password: PASSWORD_VARS.map((name) => readText(host, name)).find((text) => text !== undefined),
    written: given.flatMap(({ options }) => options),
    words: given.flatMap(({ words }) => words),
  };
}

/** A host key that is not known, as a person is asked about it. */
export interface UnknownHostKey {
  readonly host: string;
  /** As known_hosts would name it: an address, with a port when it is not 22. */
  readonly name: string;
  /** `ssh-ed25519` and so on. */
  readonly type: string;
  /** `SHA256:…`, as ssh-keygen -l prints it. */
  readonly fingerprint: string;
  /** The known_hosts file it would be added to. */
  readonly file: string;
}

/** Asks a person whether these keys are right; true: all are added to known_hosts. */
export type AskHostKeys = (keys: readonly UnknownHostKey[]) => Promise<boolean>;

/** What reaching the hosts of a run takes. */
export interface TransportsOptions extends ReachOptions {
  readonly askPassphrase?: AskPassphrase;
  readonly askHostKeys?: AskHostKeys;
}

/** The two ways to reach a host by ssh, and how each host is to be reached. */
export interface SshTransports {
  readonly ssh: SshTransport;
  readonly openssh: Transport;
  readonly reach: Reach;
  knownHostsOf(settings: SshSettings): KnownHosts;
}

/** Opens them; nothing is connected yet. Fails with `USAGE`. */
export async function openSshTransports(
  options: TransportsOptions,
  signal: AbortSignal,
): Promise<SshTransports> {
  const { askPassphrase } = options;
  const [{ createSshTransport }, { KeyRing }, { openKnownHosts }, { createOpenSshTransport }] =
    await Promise.all([
      import("../../transport/ssh/ssh-transport.ts"),
      import("../../transport/ssh/keys.ts"),
      import("../../transport/ssh/known-hosts.ts"),
      import("../../transport/openssh/openssh-transport.ts"),
    ]);
  const reach = openReach(options, options.askHostKeys !== undefined, signal);
  const knownHosts = new Map<string, KnownHosts>();
  const knownHostsOf = ({ knownHostsFiles, newKeysFile }: SshSettings): KnownHosts => {
    const key = JSON.stringify([knownHostsFiles, newKeysFile]);
    const known = knownHosts.get(key) ?? openKnownHosts(knownHostsFiles, newKeysFile ?? null);
    knownHosts.set(key, known);
    return known;
  };
  const ssh: SshTransport = createSshTransport({
    keys: new KeyRing(askPassphrase ?? (async () => null)),
    knownHostsOf,
    interactive: askPassphrase !== undefined,
    connectRetries: options.connectRetries,
  });
  const openssh = createOpenSshTransport({ connectRetries: options.connectRetries });
  return { ssh, openssh, reach, knownHostsOf };
}
