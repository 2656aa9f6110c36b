import { once } from "node:events";
import { parseArgs } from "node:util";
import { startEmbeddedFleet } from "./fleet.ts";
import { type EmbeddedFleet, type EmbeddedHost, type HostFault, listFaults } from "./options.ts";

/** The line that `serveEmbeddedFleet` prints: an {@link EmbeddedFleet} without its functions. */
export interface FleetDescription
  extends Pick<EmbeddedFleet, "root" | "user" | "privateKeyPath" | "knownHostsPath"> {
  readonly hosts: readonly Pick<EmbeddedHost, "name" | "address" | "port" | "home" | "hostKeyFingerprint">[];
  readonly inventoryYaml: string;
}

/**
 * Serve a fleet from a process of its own, so that its CPU time is not its client's. Prints a {@link FleetDescription} as
 * one line of JSON, and stops at the end of stdin or at SIGTERM or SIGINT.
 *
 * Arguments: `--count N`, `--root DIR`, `--hash-known-hosts`, `--separate-host-keys`, and, any number of times,
 * `--fault INDEX=JSON`, where JSON is a fault or a list of faults, and `--env NAME=VALUE`, for every command.
 */
export async function serveEmbeddedFleet(argv: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      count: { type: "string", default: "1" },
      root: { type: "string" },
      "hash-known-hosts": { type: "boolean", default: false },
      "separate-host-keys": { type: "boolean", default: false },
      fault: { type: "string", multiple: true, default: [] },
      env: { type: "string", multiple: true, default: [] },
    },
  });
  const faults = new Map(
    split(values.fault).map(([index, json]) => {
      const given = JSON.parse(json) as HostFault | readonly HostFault[];
      return [Number(index), listFaults(given)] as const;
    }),
  );
  const fleet = await startEmbeddedFleet({
    count: Number(values.count),
    ...(values.root === undefined ? {} : { root: values.root }),
    hashKnownHosts: values["hash-known-hosts"],
    separateHostKeys: values["separate-host-keys"],
    faults: (index) => faults.get(index),
    env: Object.fromEntries(split(values.env)),
  });
  try {
    process.stdout.write(`${JSON.stringify(describeFleet(fleet))}\n`);
    process.stdin.resume();
    await Promise.race([once(process.stdin, "close"), once(process, "SIGTERM"), once(process, "SIGINT")]);
  } finally {
    process.stdin.destroy();
    await fleet.stop();
  }
}

function describeFleet(fleet: EmbeddedFleet): FleetDescription {
  const { root, user, privateKeyPath, knownHostsPath } = fleet;
  const hosts = fleet.hosts.map(({ name, address, port, home, hostKeyFingerprint }) => ({
    name,
    address,
    port,
    home,
    hostKeyFingerprint,
  }));
  return { hosts, root, user, privateKeyPath, knownHostsPath, inventoryYaml: fleet.inventoryYaml() };
}

/** Split `NAME=VALUE` at its first `=`. */
function split(texts: readonly string[]): readonly (readonly [string, string])[] {
  return texts.map((text) => {
    const separator = text.indexOf("=");
    return [text.slice(0, separator), text.slice(separator + 1)];
  });
}
