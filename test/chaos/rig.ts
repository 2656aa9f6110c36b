import { randomUUID } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { RunOptions } from "../../src/controller/prepare/options.ts";
import { startEmbeddedFleet } from "../../src/embedded/fleet.ts";
import type { EmbeddedFleet, EmbeddedFleetOptions, EmbeddedHost } from "../../src/embedded/options.ts";
import { lendHostCode } from "../e2e/lib/cli.ts";
import type { Project } from "../e2e/lib/project.ts";
import { type Fault, type LineProxy, startProxy } from "./proxy.ts";

/** An embedded fleet with a line to each host that can be disturbed. */
export interface Rig {
  readonly fleet: EmbeddedFleet;
  readonly proxies: readonly LineProxy[];
  /** How a run reaches the hosts through their proxies. */
  readonly reach: Pick<RunOptions, "inventory" | "knownHostsFiles">;
  /** Command lines of the processes that sessions have left. */
  processes(): readonly string[];
  stop(): Promise<void>;
}

/**
 * Starts a fleet behind proxies; `faultOf` says what happens to the n-th connection to a host, `isBehind` which hosts
 * have a proxy at all.
 */
export async function startRig(
  project: Project,
  options: EmbeddedFleetOptions,
  faultOf: (host: number, connection: number) => Fault | undefined = () => undefined,
  isBehind: (host: number) => boolean = () => true,
): Promise<Rig> {
  const token = randomUUID();
  const fleet = await startEmbeddedFleet({ ...options, env: { ...options.env, VOLLEY_CHAOS: token } });
  for (const { home } of fleet.hosts) lendHostCode(home);
  const proxies = await Promise.all(
    fleet.hosts.map(({ port }, host) => startProxy(port, (connection) => faultOf(host, connection))),
  );
  let inventory = fleet.inventoryYaml();
  let known = readFileSync(fleet.knownHostsPath, "utf8");
  for (const [index, { port }] of fleet.hosts.entries()) {
    const through = isBehind(index) ? proxies[index]!.port : port;
    inventory = inventory.replace(`ansible_port: ${port}\n`, `ansible_port: @${through}\n`);
    known = known.replace(`[127.0.0.1]:${port} `, `[127.0.0.1]:@${through} `);
  }
  const knownHostsFile = join(fleet.root, "known_hosts_proxies");
  writeFileSync(knownHostsFile, known.replaceAll("@", ""));
  return {
    fleet,
    proxies,
    reach: {
      inventory: project.write(`inventory-${token}.yaml`, inventory.replaceAll("@", "")),
      knownHostsFiles: [knownHostsFile],
    },
    processes: () => processesWith(`VOLLEY_CHAOS=${token}`),
    stop: async () => {
      await Promise.all(proxies.map((proxy) => proxy.close()));
      await fleet.stop();
    },
  };
}

/** Command lines of the processes that have this in their environment. */
export function processesWith(variable: string): readonly string[] {
  return readdirSync("/proc").flatMap((pid) => {
    if (!/^\d+$/.test(pid)) return [];
    try {
      if (!readFileSync(`/proc/${pid}/environ`, "latin1").split("\0").includes(variable)) return [];
      return [readFileSync(`/proc/${pid}/cmdline`, "latin1").replaceAll("\0", " ").slice(-200)];
    } catch {
      return [];
    }
  });
}

/** List the files that a host must not keep after a run: temporary files, locks, sockets. */
export function litter({ home }: Pick<EmbeddedHost, "home">): readonly string[] {
  return readdirSync(home, { recursive: true, encoding: "utf8" }).filter(
    (name) =>
      /(^|\/)\.?volley-|\.tmp$|\.volley-/.test(name) ||
      /(^|\/)lock[^/]*$/.test(name) ||
      /\/control$/.test(name) ||
      /\.run\.\d+$/.test(name),
  );
}

/** The lines of a file in a host's home. */
export function linesOf({ home }: Pick<EmbeddedHost, "home">, name: string): readonly string[] {
  const file = join(home, name);
  return existsSync(file) ? readFileSync(file, "utf8").split("\n").slice(0, -1) : [];
}
