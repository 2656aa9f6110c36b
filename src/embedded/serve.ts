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
 * Arguments: `--count N`, `--root DIR`, `--hash-known-hosts`, `--separate-host-keys`, and `--fault INDEX=JSON` any number
 * of times; JSON is a fault or a list of faults.
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
    },
  });
  const faults = parseFaults(values.fault);
  const fleet = await startEmbeddedFleet({
    count: Number(values.count),
    ...(values.root === undefined ? {} : { root: values.root }),
    hashKnownHosts: values["hash-known-hosts"],
    separateHostKeys: values["separate-host-keys"],
    faults: (index) => faults.get(index),
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

function parseFaults(texts: readonly string[]): ReadonlyMap<number, readonly HostFault[]> {
  return new Map(
    texts.map((text) => {
      const separator = text.indexOf("=");
      const faults = JSON.parse(text.slice(separator + 1)) as HostFault | readonly HostFault[];
      return [Number(text.slice(0, separator)), listFaults(faults)];
    }),
  );
}
