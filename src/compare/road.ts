import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ReachedHost, toAnsibleInventory } from "./ansible-inventory.ts";
import type { PlannedHosts } from "./hosts.ts";
import { endpointKey, ProxySet } from "./proxy.ts";

/** The way from here to the hosts, on which everything that is compared goes. */
export interface Road {
  readonly proxies: ProxySet;
  /** Of this comparison alone, mode 0700; removed at its end. */
  readonly directory: string;
  /** Says where the proxy of an endpoint is. */
  readonly routesFile: string;
  /** Leads through the proxies. */
  readonly inventoryFile: string;
  /** Those with a proxy: hosts, or first hops to them. */
  readonly endpoints: number;
  close(): void;
}

/** Starts a proxy for every host, or for the first hop to it, and writes the files that lead there. */
export async function openRoad({ hosts, transports }: PlannedHosts): Promise<Road> {
  const directory = mkdtempSync(join(tmpdir(), "volley-compare-"));
  const proxies = new ProxySet();
  const close = (): void => {
    proxies.close();
    rmSync(directory, { recursive: true, force: true });
  };
  try {
    const routes: Record<string, number> = {};
    const reached: ReachedHost[] = [];
    for (const host of hosts) {
      if (host.connection.connection === "local") {
        reached.push({ host, endpoint: undefined, proxyPort: undefined });
        continue;
      }
      const { endpoint } = transports.of(host);
      const { jumps = [], usesProxyCommand = false } = endpoint.ssh ?? {};
      const firstHop = jumps[0] ?? endpoint;
      const port = usesProxyCommand ? undefined : await proxies.open(firstHop);
      if (port !== undefined) routes[endpointKey(firstHop)] = port;
      reached.push({ host, endpoint, proxyPort: jumps.length === 0 ? port : undefined });
    }
    const write = (name: string, text: string): string => {
      const path = join(directory, name);
      writeFileSync(path, text, { mode: 0o600 });
      return path;
    };
    return {
      proxies,
      directory,
      routesFile: write("routes.json", JSON.stringify(routes)),
      inventoryFile: write("inventory.yaml", toAnsibleInventory(reached)),
      endpoints: Object.keys(routes).length,
      close,
    };
  } catch (thrown) {
    close();
    throw thrown;
  }
}
