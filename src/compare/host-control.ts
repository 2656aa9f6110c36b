import { VolleyError } from "../core/errors.ts";
import type { Connection, Endpoint, Transport } from "../transport/transport.ts";

/** A host and the way to it. */
export interface ControlledHost {
  readonly name: string;
  readonly endpoint: Endpoint;
  readonly transport: Transport;
}

/** Connections of the comparison's own, beside those that are measured: they bring hosts to a state, and read counters. */
export interface HostControl {
  /** Runs a line in `sh` on every host, as the login user; gives what each wrote to stdout. Fails with `COMPARE_FAILED` when one fails. */
  run(line: string, signal: AbortSignal): Promise<ReadonlyMap<string, string>>;
  close(): void;
}

/** How many hosts are connected to, or run something, at a time. */
const AT_ONCE = 20;
const SHOWN_CHARACTERS = 200;

/** Makes a {@link HostControl}; hosts are connected when they are first needed, and again when a connection has gone. */
export function createHostControl(hosts: readonly ControlledHost[]): HostControl {
  const connections = new Map<string, Connection>();
  const connectionTo = async ({ name, endpoint, transport }: ControlledHost, signal: AbortSignal) => {
    const before = connections.get(name);
    if (before !== undefined) return before;
    const connection = await transport.connect(endpoint, signal);
    connections.set(name, connection);
    void connection.closed.then(() => connections.delete(name));
    return connection;
  };
  const runOn = async (host: ControlledHost, line: string, signal: AbortSignal): Promise<string> => {
    const connection = await connectionTo(host, signal);
    const process = await connection.exec(line, signal);
    process.stdin.on("error", () => {});
    process.stdin.end();
    let stdout = "";
    let stderr = "";
    process.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
    });
    process.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr = (stderr + text).slice(-SHOWN_CHARACTERS);
    });
    const exit = await process.exit;
    if (exit.kind === "exited" && exit.code === 0) return stdout;
    const how =
      exit.kind === "exited"
        ? `exit code ${exit.code}`
        : exit.kind === "signalled"
          ? `ended by ${exit.signal}`
          : exit.reason;
    throw new VolleyError("COMPARE_FAILED", `${host.name}: \`${line}\` failed: ${stderr.trim() || how}`);
  };
  return {
    run: async (line, signal) => {
      const told = new Map<string, string>();
      const waiting = [...hosts];
      const work = async (): Promise<void> => {
        for (let host = waiting.shift(); host !== undefined; host = waiting.shift())
          told.set(host.name, await runOn(host, line, signal));
      };
      await Promise.all(hosts.slice(0, AT_ONCE).map(work));
      return told;
    },
    close: () => {
      for (const connection of connections.values()) connection.close();
      connections.clear();
    },
  };
}
