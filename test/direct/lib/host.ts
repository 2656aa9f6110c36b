import { openTransports } from "../../../src/controller/prepare/transports.ts";
import { quote } from "../../../src/core/unix/shell.ts";
import { sessionsOf } from "../../../src/direct/sessions.ts";
import { type OpenedSystem, openSystem } from "../../../src/direct/users.ts";
import { startEmbeddedFleet } from "../../../src/embedded/fleet.ts";
import type { EmbeddedFleet, EmbeddedFleetOptions } from "../../../src/embedded/options.ts";
import type { Connection } from "../../../src/transport/transport.ts";
import { connectTo, hostsOf, type Reached } from "../../transport/lib/reach.ts";

/** A host, connected to. */
export interface DirectHost<Fleet = EmbeddedFleet> {
  readonly fleet: Fleet;
  readonly connection: Connection;
  /** Opens a System of the host, as often as wanted; `wrap` may listen to the connection. */
  open(options?: { readonly root?: string; readonly connection?: Connection }): Promise<OpenedSystem>;
  stop(): Promise<void>;
}

/** Starts an embedded host and connects to it. */
export async function startDirectHost(options: Partial<EmbeddedFleetOptions> = {}): Promise<DirectHost> {
  const fleet = await startEmbeddedFleet({ count: 1, ...options });
  return connectDirectly(fleet, fleet.stop);
}

/** Connects to the first host of a fleet that `stopFleet` stops. */
export async function connectDirectly<Fleet extends Pick<EmbeddedFleet, "knownHostsPath"> & Reached>(
  fleet: Fleet,
  stopFleet: () => Promise<unknown>,
): Promise<DirectHost<Fleet>> {
  const [host] = hostsOf(fleet);
  const { signal } = new AbortController();
  const reach = { sshConfig: "none", connectTimeoutMs: 30_000, knownHostsFiles: [fleet.knownHostsPath] };
  const transports = await openTransports([host!], reach, signal);
  const connection = await connectTo(transports, host!);
  const sessions = sessionsOf(connection, host!.name);
  return {
    fleet,
    connection,
    open: async ({ root, connection: used = connection } = {}) =>
      await openSystem(
        {
          start: (script) => used.exec(`exec sh -c ${quote(script)}`, signal, { wait: "taken" }),
          files: () => used.files(signal, "taken"),
          forward: used.forward,
        },
        sessions,
        root === undefined ? {} : { root },
      ),
    stop: async () => {
      connection.close();
      transports.close();
      await stopFleet();
    },
  };
}
