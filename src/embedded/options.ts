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
interface ExecEvent {
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
  /**
   * Directory for the links to all programs but node, which the PATH of a host without a usable node has. Fleets to come
   * use what is there. Default: in the root.
   */
  readonly programs?: string;
  /** The user's login shell, an absolute path. Default: /bin/sh. */
  readonly shell?: string;
}

/** Counts of an embedded host so far. */
interface HostStats {
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

/** A fault of an embedded host. */
export type HostFault =
  /** The host's port refuses connections. */
  | { readonly kind: "refuse" }
  /** TCP connections are accepted and never answered. */
  | { readonly kind: "hang" }
  /** Every byte takes this much longer, each way. */
  | { readonly kind: "slow"; readonly delayMs: number }
  /** A connection is cut after so many bytes in one direction (default: in). Only the first `times` ones (default: all). */
  | {
      readonly kind: "dropAfterBytes";
      readonly bytes: number;
      readonly direction?: "in" | "out";
      readonly times?: number;
    }
  /**
   * A banner at login, and text on stdout before that of each command, as ~/.ssh/rc prints it. `inSftp`: also before
   * SFTP, as a shell's profile prints it.
   */
  | {
      readonly kind: "noisyBanner";
      readonly banner?: string;
      readonly stdout?: string;
      readonly inSftp?: boolean;
    }
  /** Nothing can be created or changed in the home directory. */
  | { readonly kind: "readOnlyHome" }
  /** SFTP writes fail after the host has received so many bytes of file content. */
  | { readonly kind: "diskFull"; readonly afterBytes: number }
  /** A bit is flipped in every file written over SFTP. */
  | { readonly kind: "corruptUpload" }
  /** A connection may have so many sessions at a time (sshd_config(5), MaxSessions). */
  | { readonly kind: "maxSessions"; readonly sessions: number }
  /** The host has no SFTP subsystem. */
  | { readonly kind: "noSftp" }
  /** No `node` is in PATH. */
  | { readonly kind: "noNode" }
  /** The `node` in PATH reports an old version (default: v12.22.0) and runs no file. */
  | { readonly kind: "oldNode"; readonly version?: string }
  /** No key and no password is accepted. */
  | { readonly kind: "rejectAuth" }
  /** The host presents another key than the one in known_hosts. */
  | { readonly kind: "wrongHostKey" };

/** Return the fault of one kind; undefined when the host does not have it. */
export function findFault<Kind extends HostFault["kind"]>(
  faults: readonly HostFault[],
  kind: Kind,
): Extract<HostFault, { kind: Kind }> | undefined {
  return faults.find((fault): fault is Extract<HostFault, { kind: Kind }> => fault.kind === kind);
}

/** Make a list of the value of `options.faults`. */
export function listFaults(faults: HostFault | readonly HostFault[] | undefined): readonly HostFault[] {
  if (faults === undefined) return [];
  return "kind" in faults ? [faults] : faults;
}
