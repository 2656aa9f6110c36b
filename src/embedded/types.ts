import type { HostFault } from "./faults.ts";

/** A user who may log in with a password. */
export interface ConnectionPassword {
  readonly user: string;
  readonly password: string;
}

/** A user who may log in by answering prompts (RFC 4256). */
export interface ConnectionPrompts {
  readonly user: string;
  readonly prompts: readonly { readonly prompt: string; readonly answer: string; readonly echo?: boolean }[];
}

/** A command that a client runs on an embedded host. */
export interface ExecEvent {
  readonly host: string;
  readonly command: string;
}

/** Options of an embedded fleet. */
export interface EmbeddedFleetOptions {
  /** Number of hosts. */
  readonly count: number;
  /** Directory for keys and homes; `stop()` keeps it. Default: a new one with mode 0700, which `stop()` removes. */
  readonly root?: string;
  /** Keep the default root as well. Default: false. */
  readonly keepRoot?: boolean;
  /** Name of a host by its index, from 0. Default: `web01`, `web02`, … */
  readonly names?: (index: number) => string;
  /** Public keys to accept beside the generated one, as in an authorized_keys file. */
  readonly authorizedKeys?: readonly string[];
  /** Users who may log in with a password. Default: none. */
  readonly passwords?: readonly ConnectionPassword[];
  /** Users who may log in by answering prompts. Default: none. */
  readonly keyboardInteractive?: readonly ConnectionPrompts[];
  /** Called for every command that runs on a host. */
  readonly onExec?: (event: ExecEvent) => void;
  /** Faults of a host by its index, from 0. Default: none. */
  readonly faults?: (index: number) => HostFault | readonly HostFault[] | undefined;
  /** Write known_hosts with hashed addresses. Default: false. */
  readonly hashKnownHosts?: boolean;
  /** Generate one host key for each host instead of one for all. Default: false. */
  readonly separateHostKeys?: boolean;
  /** Environment variables of every command, beside those that sshd sets. */
  readonly env?: Readonly<Record<string, string>>;
  /** The user's login shell, an absolute path. Default: /bin/sh. */
  readonly shell?: string;
}

/** Counts of an embedded host so far. */
export interface HostStats {
  /** Connections accepted since the start. */
  readonly connections: number;
  /** Connections open now. */
  readonly openConnections: number;
  /** Commands run since the start. */
  readonly execs: number;
  /** Bytes received on the wire, encryption included. */
  readonly bytesIn: number;
  /** Bytes sent on the wire, encryption included. */
  readonly bytesOut: number;
  /** Bytes of file content received over SFTP. */
  readonly sftpBytesIn: number;
}

/** A host of an embedded fleet: an SSH server on a loopback port with a home directory of its own. */
export interface EmbeddedHost {
  readonly name: string;
  readonly address: "127.0.0.1";
  readonly port: number;
  readonly home: string;
  /** Fingerprint of the key in known_hosts, as `ssh-keygen -l` prints it. */
  readonly hostKeyFingerprint: string;
  readonly stats: HostStats;
  /** Cut the open connections, as a network failure would. */
  dropConnections(): void;
}

/** A running embedded fleet, and how to reach it. */
export interface EmbeddedFleet {
  readonly hosts: readonly EmbeddedHost[];
  readonly root: string;
  readonly user: string;
  readonly privateKeyPath: string;
  readonly knownHostsPath: string;
  /** Return an Ansible inventory of the fleet, in YAML. */
  inventoryYaml(): string;
  /** Close every connection, kill the processes that sessions started, and remove the root unless it is kept. */
  stop(): Promise<void>;
}
