import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";

/** How to start one host's systemd-nspawn. */
export interface ContainerOptions {
  readonly root: string;
  readonly machine: string;
  readonly hostName: string;
  /** The folders of its control group, one per hierarchy. */
  readonly controlGroup: readonly string[];
  /** The Node to put at /usr/local/bin/node, or undefined for a host without. */
  readonly nodePath: string | undefined;
  /** Directories of this machine that it has as its own: `FROM:TO`. */
  readonly binds: readonly string[];
  /** Read the kernel arguments that systemd gets. */
  bootArguments(): readonly string[];
  /** Where the container's console output is appended. */
  readonly consolePath: string;
}

/** systemd-nspawn ends with this when the host asked to be rebooted and it was told to keep its unit. */
export const rebootExitCode = 133;

// The shell joins the control group before it becomes systemd-nspawn, which makes its own within that.
const joinAndBecome = 'while [ "$1" != -- ]; do echo $$ >"$1/cgroup.procs"; shift; done; shift; exec "$@"';

/**
 * Boot a root under systemd-nspawn, sharing this machine's network. The kernel kills it when this process
 * ends in any way, since no handler runs on SIGKILL.
 */
export function startContainer(options: ContainerOptions): ChildProcess {
  const nspawn = [
    "systemd-nspawn",
    "--quiet",
    "--boot",
    `--directory=${options.root}`,
    `--machine=${options.machine}`,
    `--hostname=${options.hostName}`,
    "--register=no",
    "--keep-unit",
    "--settings=no",
    "--resolv-conf=off",
    "--timezone=off",
    "--link-journal=no",
    "--console=pipe",
    ...options.binds.map((bind) => `--bind=${bind}`),
    ...(options.nodePath === undefined ? [] : [`--bind-ro=${options.nodePath}:/usr/local/bin/node`]),
    ...options.bootArguments(),
  ];
  const become = ["/bin/sh", "-c", joinAndBecome, "sh", ...options.controlGroup, "--", ...nspawn];
  const console = openSync(options.consolePath, "a", 0o600);
  try {
    return spawn("setpriv", ["--pdeathsig", "KILL", ...become], {
      // In a session of its own, so that Ctrl-C reaches only the process that cleans up.
      detached: true,
      stdio: ["ignore", console, console],
    });
  } finally {
    closeSync(console);
  }
}
