import { afterEach } from "vitest";
import type { TransportsOptions } from "../../../src/controller/prepare/reach.ts";
import { openTransports, type Transports } from "../../../src/controller/prepare/transports.ts";
import type { Host } from "../../../src/core/inventory.ts";
import { startEmbeddedFleet } from "../../../src/embedded/fleet.ts";
import type { EmbeddedFleet, EmbeddedFleetOptions, EmbeddedHost } from "../../../src/embedded/options.ts";
import { bareHost } from "../../../src/inventory/connection.ts";
import type { Connection } from "../../../src/transport/transport.ts";

/** Start fleets that are stopped after the test. */
export function fleetStarter(): (options?: Partial<EmbeddedFleetOptions>) => Promise<EmbeddedFleet> {
  const fleets: EmbeddedFleet[] = [];
  afterEach(async () => {
    await Promise.all(fleets.splice(0).map((fleet) => fleet.stop()));
  });
  return async (options = {}) => {
    const fleet = await startEmbeddedFleet({ count: 1, ...options });
    fleets.push(fleet);
    return fleet;
  };
}

/** A host as an inventory would give it. */
export function makeHost(
  name: string,
  connection: Partial<Host["connection"]>,
  vars: Host["vars"] = {},
): Host {
  const bare = bareHost(name, "ssh");
  return { ...bare, connection: { ...bare.connection, ...connection }, vars };
}

/** A fleet, as far as needed to reach its hosts. */
export interface Reached extends Pick<EmbeddedFleet, "user" | "privateKeyPath"> {
  readonly hosts: readonly Pick<EmbeddedHost, "name" | "address" | "port">[];
}

/** The hosts of a fleet, with the key that they accept. */
export function hostsOf(fleet: Reached, more: Partial<Host["connection"]> = {}): readonly Host[] {
  return fleet.hosts.map(({ name, address, port }) =>
    makeHost(name, { address, port, user: fleet.user, privateKeyFile: fleet.privateKeyPath, ...more }),
  );
}

/** Open transports that are closed after the test. */
export function transportsOpener(): (
  hosts: readonly Host[],
  options?: TransportsOptions,
) => Promise<Transports> {
  const opened: Transports[] = [];
  afterEach(() => {
    for (const transports of opened.splice(0)) transports.close();
  });
  return async (hosts, options = {}) => {
    const transports = await openTransports(
      hosts,
      { sshConfig: "none", connectTimeoutMs: 30_000, ...options },
      new AbortController().signal,
    );
    opened.push(transports);
    return transports;
  };
}

/** Connect to a host. */
export function connectTo(transports: Transports, host: Host): Promise<Connection> {
  const { endpoint, transport } = transports.of(host);
  return transport.connect(endpoint, new AbortController().signal);
}

/** Run a command on a connection; return its output and its end. */
export async function output(connection: Connection, command: string): Promise<string> {
  const process = await connection.exec(command, new AbortController().signal);
  let text = "";
  process.stdout.on("data", (chunk: Buffer) => {
    text += chunk.toString("utf8");
  });
  process.stderr.on("data", (chunk: Buffer) => {
    text += chunk.toString("utf8");
  });
  process.stdin.end();
  const exit = await process.exit;
  return exit.kind === "exited" && exit.code === 0 ? text : `${text}${JSON.stringify(exit)}`;
}

/** Connect, run a command, and close the connection. */
export async function visit(transports: Transports, host: Host, command = "echo here"): Promise<string> {
  const connection = await connectTo(transports, host);
  try {
    return await output(connection, command);
  } finally {
    connection.close();
  }
}
