import type { Host } from "../../core/inventory.ts";
import type { AskPassphrase } from "../../transport/ssh/keys.ts";
import type { KnownHosts } from "../../transport/ssh/known-hosts.ts";
import type { SshTransport } from "../../transport/ssh/ssh-transport.ts";
import { createCommands } from "../../transport/ssh-config/evaluate.ts";
import { parseSshArguments } from "../../transport/ssh-config/parse.ts";
import { readSshConfig, type SshConfigChoice } from "../../transport/ssh-config/read.ts";
import { createResolver, type HostWish } from "../../transport/ssh-config/resolve.ts";
import type { Endpoint, HostKeyPolicy, SshSettings, Transport } from "../../transport/transport.ts";
import { readText, whereOf } from "./host-var.ts";

/** Options for reaching hosts. Each option says whether the inventory and ssh_config come before it. */
export interface ReachOptions {
  /** Login user where the inventory names none. Default: ssh_config's, else the current user. */
  readonly user?: string;
  /** The only key to use where the inventory names none. */
  readonly privateKeyFile?: string;
  /** Comes before the inventory and ssh_config. Default: `ask` when `askHostKeys` is given, else `strict`. */
  readonly hostKeys?: HostKeyPolicy;
  /** Used instead of ssh's own files. */
  readonly knownHostsFiles?: readonly string[];
  /** Time limit to connect, and again to log in. Default: ssh_config's, else 15 s. */
  readonly connectTimeoutMs?: number;
  /** Times to try again when a host refuses or resets a connection before login. Default 2. */
  readonly connectRetries?: number;
  /** ssh_config file to read instead of `~/.ssh/config` and `/etc/ssh/ssh_config`; `none` reads no file. */
  readonly sshConfig?: string;
  /** Default `auto`: ssh2, and OpenSSH's own `ssh` for hosts whose settings ssh2 does not support. */
  readonly transport?: "auto" | "ssh2" | "openssh";
  /** The login password where the inventory names none. */
  readonly password?: string;
  /** Allow the hosts to use this machine's SSH agent. Default: ssh_config's. */
  readonly forwardAgent?: boolean;
}

const ARGUMENT_VARS = ["ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args"];
/** Vars that hold a login password, the nearest first. */
export const PASSWORD_VARS = ["ansible_ssh_password", "ansible_ssh_pass", "ansible_password"];

/** A converter from hosts of the inventory to endpoints. */
export interface Reach {
  /** Resolve a host; runs the commands of `Match exec`. Fails with `USAGE`, `INVENTORY_INVALID` or `CANCELLED`. */
  endpointOf(host: Host): Promise<Endpoint>;
}

/** Read ssh_config, once. Fails with `USAGE`. */
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

/** An unknown host key, as shown to the user. */
export interface UnknownHostKey {
  readonly host: string;
  /** The host's name in known_hosts: an address, with a port when it is not 22. */
  readonly name: string;
  /** The key's type, such as `ssh-ed25519`. */
  readonly type: string;
  /** `SHA256:…`, as `ssh-keygen -l` prints it. */
  readonly fingerprint: string;
  /** The known_hosts file to add the key to. */
  readonly file: string;
}

/** Ask the user whether these keys are right. True adds all of them to known_hosts. */
export type AskHostKeys = (keys: readonly UnknownHostKey[]) => Promise<boolean>;

/** Options of transports. */
export interface TransportsOptions extends ReachOptions {
  readonly askPassphrase?: AskPassphrase;
  readonly askHostKeys?: AskHostKeys;
}

/** The two SSH transports, and how to reach each host. */
export interface SshTransports {
  readonly ssh: SshTransport;
  readonly openssh: Transport;
  readonly reach: Reach;
  knownHostsOf(settings: SshSettings): KnownHosts;
}

/** Open the SSH transports, without a connection. Fails with `USAGE`. */
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
