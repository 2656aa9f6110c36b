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
