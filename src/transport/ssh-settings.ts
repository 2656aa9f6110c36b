import type { Endpoint } from "./transport.ts";

/** A way to log in, as SSH calls it (RFC 4252). */
export type LoginMethod = "publickey" | "password" | "keyboard-interactive";

/** What to do with a host whose key is not known: refuse it, ask a person, add it, or check no key at all. */
export type HostKeyPolicy = "strict" | "ask" | "accept-new" | "off";

/** The policies, the safest first. */
export const HOST_KEY_POLICIES = [
  "strict",
  "ask",
  "accept-new",
  "off",
] as const satisfies readonly HostKeyPolicy[];

/** How one host is reached, beyond address and user: from the command line, the inventory and ssh_config, in this order. */
export interface SshSettings {
  /** Keys to try, those that are there or whose public half is: the ones that are named, else those ssh tries by itself. */
  readonly identityFiles: readonly string[];
  /** Whether they are named: then a person is asked for their passphrases. */
  readonly identitiesNamed: boolean;
  /** Whether the agent may offer only these keys. */
  readonly identitiesOnly: boolean;
  /** Path of the agent's socket; undefined: no agent. */
  readonly agent: string | undefined;
  readonly forwardAgent: boolean;
  /** The socket of the agent to forward, where it is another than the one logged in with. */
  readonly forwardedAgent: string | undefined;
  /** Ways to log in, the first to try first: `publickey`, `password`, `keyboard-interactive`. */
  readonly loginMethods: readonly LoginMethod[];
  /** Algorithms of signatures that keys may be used with (ssh_config(5), PubkeyAcceptedAlgorithms); undefined: any. */
  readonly keyAlgorithms: readonly string[] | undefined;
  /** RSA keys with fewer bits are taken from nobody (ssh_config(5), RequiredRSASize). */
  readonly requiredRsaBits: number;
  /** Whether a person may be asked (ssh_config(5), BatchMode). */
  readonly mayAsk: boolean;
  readonly password: string | undefined;
  /** The hosts to go through, the nearest first. */
  readonly jumps: readonly Endpoint[];
  /** The name to look up in known_hosts instead of the address, without a port. */
  readonly hostKeyAlias: string | undefined;
  readonly knownHostsFiles: readonly string[];
  /** The one of them that new keys are added to; undefined: none, so that no new host can be trusted. */
  readonly newKeysFile: string | undefined;
  /** Whether names are hashed in what is added. */
  readonly hashKnownHosts: boolean;
  readonly hostKeyPolicy: HostKeyPolicy;
  /** With the policy `off`: whether a host that presents another key than the listed one gets no password. */
  readonly passwordsNeedKnownKeys: boolean;
  /** Algorithms to negotiate, the best first, of those that ssh2 has; undefined: ssh2's own choice. */
  readonly algorithms: Readonly<
    Record<"cipher" | "hmac" | "kex" | "serverHostKey", readonly string[] | undefined>
  >;
  /** The address of this machine to connect from. */
  readonly bindAddress: string | undefined;
  /** The kind of address to connect to; undefined: any. */
  readonly addressFamily: 4 | 6 | undefined;
  /** How often to try again when a host refuses the connection; undefined: as often as is usual. */
  readonly connectRetries: number | undefined;
  /** Variables that commands on the host are given, as far as its sshd takes them (sshd_config(5), AcceptEnv). */
  readonly environment: Readonly<Record<string, string>>;
  /** For connecting, and again for logging in. */
  readonly connectTimeoutMs: number;
  /** 0: none. */
  readonly keepAliveMs: number;
  /** How many may stay unanswered. */
  readonly keepAliveCountMax: number;
  /** Whether the host, or one on the way, is reached through a command: ssh2 starts none. */
  readonly usesProxyCommand: boolean;
  /** What is asked for that only OpenSSH's own `ssh` can do; undefined: nothing. */
  readonly needsOpenSsh: string | undefined;
  /** Of that, what a host must not be reached without. */
  readonly refusedBySsh2: string | undefined;
  /** The host as OpenSSH's `ssh` is to be told of it. */
  readonly openSsh: OpenSshCall;
}

/** How OpenSSH's `ssh` is called: it reads its configuration by itself. */
export interface OpenSshCall {
  /** The name its configuration knows the host by. */
  readonly destination: string;
  /** What the inventory and the command line say beside it. */
  readonly arguments: readonly string[];
}
