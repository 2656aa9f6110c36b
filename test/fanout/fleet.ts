import { afterEach } from "vitest";
import { openTransports } from "../../src/controller/prepare/transports.ts";
import { startEmbeddedFleet } from "../../src/embedded/fleet.ts";
import type { EmbeddedFleet, EmbeddedFleetOptions } from "../../src/embedded/options.ts";
import {
  type FanOutHost,
  type FanOutListener,
  type FanOutOptions,
  fanOut,
  type HostResult,
} from "../../src/fanout/exec/fan-out.ts";

/** A fleet and its hosts, as a fan-out takes them. */
export interface Fleet {
  readonly fleet: EmbeddedFleet;
  readonly hosts: readonly FanOutHost[];
}

/** Starts fleets that are stopped after the test. */
export function fleetStarter(): (options: EmbeddedFleetOptions) => Promise<Fleet> {
  const closers: (() => Promise<void>)[] = [];
  afterEach(async () => {
    await Promise.all(closers.splice(0).map((close) => close()));
  });
  return async (options) => {
    const fleet = await startEmbeddedFleet(options);
    const hosts = fleet.hosts.map(({ name, address, port }) => ({
      name,
      connection: {
        address,
        port,
        user: fleet.user,
        privateKeyFile: fleet.privateKeyPath,
        connection: "ssh" as const,
        become: undefined,
        becomeMethod: undefined,
      },
      vars: {},
      sources: {},
      groups: [],
    }));
    const transports = await openTransports(
      hosts,
      {
        sshConfig: "none",
        knownHostsFiles: [fleet.knownHostsPath],
        connectTimeoutMs: 30_000,
        connectRetries: 0,
      },
      new AbortController().signal,
    );
    closers.push(async () => {
      transports.close();
      await fleet.stop();
    });
    return {
      fleet,
      hosts: hosts.map((host) => ({ name: host.name, become: null, ...transports.of(host) })),
    };
  };
}

/** The outcome of a fan-out, and the output of each host. */
export interface FannedOut {
  readonly results: readonly HostResult[];
  readonly stdout: Readonly<Record<string, string>>;
  readonly stderr: Readonly<Record<string, string>>;
}

/** Runs a line, or whatever the options say, and keeps what is printed. */
export async function run(
  hosts: readonly FanOutHost[],
  line: string,
  options: Partial<FanOutOptions> = {},
): Promise<FannedOut> {
  const texts: Record<"stdout" | "stderr", Record<string, string>> = { stdout: {}, stderr: {} };
  const given: Partial<FanOutListener> = options.listener ?? {};
  const results = await fanOut(hosts, {
    command: { kind: "line", text: line },
    forks: 10,
    cancel: new AbortController().signal,
    kill: new AbortController().signal,
    ...options,
    listener: {
      start: (host) => given.start?.(host),
      output: (host, stream, chunk) => {
        texts[stream][host] = (texts[stream][host] ?? "") + chunk.toString("utf8");
        return given.output?.(host, stream, chunk);
      },
      end: (result) => given.end?.(result),
    },
  });
  return { results, ...texts };
}
