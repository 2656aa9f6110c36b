/** Something that is wrong with an embedded host. */
export type HostFault =
  /** Nobody listens on the host's port. */
  | { readonly kind: "refuse" }
  /** TCP connections are accepted and never answered. */
  | { readonly kind: "hang" }
  /** Everything takes this much longer, each way. */
  | { readonly kind: "slow"; readonly delayMs: number }
  /** A connection is severed once this many bytes went one way (default: in); the first `times` ones only (default: all). */
  | {
      readonly kind: "dropAfterBytes";
      readonly bytes: number;
      readonly direction?: "in" | "out";
      readonly times?: number;
    }
  /**
   * A banner at login, and text on stdout before any command's own, as ~/.ssh/rc prints it; `inSftp`: and before SFTP, as
   * a shell's profile does.
   */
  | {
      readonly kind: "noisyBanner";
      readonly banner?: string;
      readonly stdout?: string;
      readonly inSftp?: boolean;
    }
  /** Nothing can be created or changed in the home directory. */
  | { readonly kind: "readOnlyHome" }
  /** SFTP writes fail once the host has received this many bytes of file content. */
  | { readonly kind: "diskFull"; readonly afterBytes: number }
  /** One bit of every file written over SFTP arrives flipped. */
  | { readonly kind: "corruptUpload" }
  /** A connection may have this many sessions at a time, as MaxSessions of sshd_config(5) has it. */
  | { readonly kind: "maxSessions"; readonly sessions: number }
  /** There is no SFTP subsystem. */
  | { readonly kind: "noSftp" }
  /** There is no `node` in PATH. */
  | { readonly kind: "noNode" }
  /** The `node` in PATH says it is too old (default: v12.22.0) and runs no file. */
  | { readonly kind: "oldNode"; readonly version?: string }
  /** No key and no password is accepted. */
  | { readonly kind: "rejectAuth" }
  /** The host presents another key than the one known_hosts lists. */
  | { readonly kind: "wrongHostKey" };

/** The fault of one kind, or undefined when the host does not have it. */
export function findFault<Kind extends HostFault["kind"]>(
  faults: readonly HostFault[],
  kind: Kind,
): Extract<HostFault, { kind: Kind }> | undefined {
  return faults.find((fault): fault is Extract<HostFault, { kind: Kind }> => fault.kind === kind);
}

/** Makes a list of what `options.faults` may return. */
export function listFaults(faults: HostFault | readonly HostFault[] | undefined): readonly HostFault[] {
  if (faults === undefined) return [];
  return "kind" in faults ? [faults] : faults;
}
