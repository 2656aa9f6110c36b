import type { HostFault } from "./faults.ts";
import type { ConnectionPassword, ConnectionPrompts } from "./host-server.ts";

/** A command that a client asked an embedded host to run. */
export interface ExecEvent {
  readonly host: string;
  readonly command: string;
}

/** How to start an embedded fleet. */
export interface EmbeddedFleetOptions {
  /** How many hosts to start. */
  readonly count: number;
  /** Directory for keys and homes; kept by `stop()`. Default: a fresh one with mode 0700, removed by `stop()`. */
  readonly root?: string;
  /** Keep a root that was made freshly, too. Default: false. */
  readonly keepRoot?: boolean;
  /** Name of the host with a zero-based index. Default: `web01`, `web02`, … */
  readonly names?: (index: number) => string;
  /** Public keys accepted beside the generated one, as in an authorized_keys file. */
  readonly authorizedKeys?: readonly string[];
  /** Users who may log in with a password. Default: none. */
  readonly passwords?: readonly ConnectionPassword[];
  /** Users who may log in by answering prompts. Default: none. */
  readonly keyboardInteractive?: readonly ConnectionPrompts[];
  /** Called for every command a host is asked to run. */
  readonly onExec?: (event: ExecEvent) => void;
  /** What is wrong with the host with a zero-based index. Default: nothing. */
  readonly faults?: (index: number) => HostFault | readonly HostFault[] | undefined;
  /** Write known_hosts with hashed addresses. Default: false. */
  readonly hashKnownHosts?: boolean;
  /** Generate one host key for each host instead of one for all. Default: false. */
  readonly separateHostKeys?: boolean;
  /** Environment variables of every command, beside those sshd sets. */
  readonly env?: Readonly<Record<string, string>>;
  /** The user's login shell, an absolute path. Default: /bin/sh. */
  readonly shell?: string;
}

/** What an embedded host has seen so far. */
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

/** One host of an embedded fleet: an SSH server on a loopback port with a home directory of its own. */
export interface EmbeddedHost {
  readonly name: string;
  readonly address: "127.0.0.1";
  readonly port: number;
  readonly home: string;
  /** Fingerprint of the key that known_hosts lists, as `ssh-keygen -l` prints it. */
  readonly hostKeyFingerprint: string;
  readonly stats: HostStats;
  /** Severs the connections that are open now, as a network failure would. */
  dropConnections(): void;
}

/** A running embedded fleet and everything needed to reach it. */
export interface EmbeddedFleet {
  readonly hosts: readonly EmbeddedHost[];
  readonly root: string;
  readonly user: string;
  readonly privateKeyPath: string;
  readonly knownHostsPath: string;
  /** An Ansible inventory of the fleet, in YAML. */
  inventoryYaml(): string;
  /** Closes every connection, kills what sessions started and removes the root unless it is kept. */
  stop(): Promise<void>;
}
