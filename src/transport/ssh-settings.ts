import type { Endpoint } from "./transport.ts";

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
  /** Keys to try, those that exist; empty: the ones ssh tries by itself. */
  readonly identityFiles: readonly string[];
  /** Whether the agent may offer only these keys. */
  readonly identitiesOnly: boolean;
  /** Path of the agent's socket; undefined: no agent. */
  readonly agent: string | undefined;
  readonly forwardAgent: boolean;
  readonly password: string | undefined;
  /** The hosts to go through, the nearest first. */
  readonly jumps: readonly Endpoint[];
  /** The name to look up in known_hosts instead of the address, without a port. */
  readonly hostKeyAlias: string | undefined;
  /** New keys are added to the first. */
  readonly knownHostsFiles: readonly string[];
  /** Whether names are hashed in what is added. */
  readonly hashKnownHosts: boolean;
  readonly hostKeyPolicy: HostKeyPolicy;
  /** ssh_config's HostKeyAlgorithms as written, with its `+`, `-` or `^`. */
  readonly hostKeyAlgorithms: string | undefined;
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
