import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect } from "vitest";
import type { FanOutHost } from "../../../src/fanout/exec/fan-out.ts";
import { scanLocalTree } from "../../../src/fanout/transfer/local-tree.ts";
import type { FileEvent, TransferResult } from "../../../src/fanout/transfer/result.ts";
import { getFromHosts, putOnHosts, type TransferOptions } from "../../../src/fanout/transfer/transfer.ts";

/** Paths of the temporary files in a directory. */
export function partsIn(directory: string): readonly string[] {
  return readdirSync(directory)
    .filter((name) => /^\..*\.volley-[0-9a-f]{32}$/.test(name))
    .map((name) => join(directory, name));
}

/** The results of a transfer, and the events that its listener received. */
export interface Transferred {
  readonly results: readonly TransferResult[];
  readonly events: Readonly<Record<string, readonly FileEvent[]>>;
  /** Bytes reported as progress. */
  readonly progress: Readonly<Record<string, number>>;
}

/** The fleet's hosts, without become. */
export type Hosts = readonly Pick<FanOutHost, "name" | "endpoint" | "transport">[];

const asLogin = (hosts: Hosts) => hosts.map((host) => ({ ...host, become: null }));

/** The options that differ from a plain transfer. */
export type Given = Partial<TransferOptions> & {
  readonly follow?: boolean;
  readonly onProgress?: (host: string, bytes: number) => void;
};

function listen(given: Given) {
  const events: Record<string, FileEvent[]> = {};
  const progress: Record<string, number> = {};
  const options: TransferOptions = {
    forks: 10,
    preserve: false,
    checksum: false,
    check: false,
    signal: new AbortController().signal,
    ...given,
    listener: {
      file: (host, event) => {
        events[host] ??= [];
        events[host].push(event);
      },
      progress: (host, bytes) => {
        progress[host] = (progress[host] ?? 0) + bytes;
        given.onProgress?.(host, progress[host]);
      },
    },
  };
  return { events, progress, options };
}

/** Put sources on hosts. */
export async function put(
  hosts: Hosts,
  sources: readonly string[],
  destination: string,
  given: Given = {},
): Promise<Transferred> {
  const { events, progress, options } = listen(given);
  const tree = await scanLocalTree({ sources, destination, follow: given.follow ?? false });
  return { results: await putOnHosts(asLogin(hosts), tree, destination, options), events, progress };
}

/** Get sources from hosts. */
export async function get(
  hosts: Hosts,
  sources: readonly string[],
  destination: string,
  given: Given = {},
): Promise<Transferred> {
  const { events, progress, options } = listen(given);
  const walk = { sources, follow: given.follow ?? false };
  return { results: await getFromHosts(asLogin(hosts), walk, destination, options), events, progress };
}

/** Files by path; a text that begins with `->` makes a link. */
export function makeTree(root: string, files: Readonly<Record<string, string | Buffer>>): string {
  for (const [path, content] of Object.entries(files)) {
    const full = join(root, path);
    mkdirSync(dirname(full), { recursive: true });
    if (typeof content === "string" && content.startsWith("->")) symlinkSync(content.slice(2), full);
    else writeFileSync(full, content);
  }
  return root;
}

/** Return a maker of directories that are removed after the test; records of parts stay out of the user's own state directory. */
export function scratchDirectory(): () => string {
  const made: string[] = [];
  const make = (): string => {
    const path = mkdtempSync(join(tmpdir(), "volley-transfer-"));
    made.push(path);
    return path;
  };
  const before = process.env.XDG_STATE_HOME;
  beforeEach(() => {
    process.env.XDG_STATE_HOME = make();
  });
  afterEach(() => {
    if (before === undefined) delete process.env.XDG_STATE_HOME;
    else process.env.XDG_STATE_HOME = before;
    for (const path of made.splice(0)) rmSync(path, { recursive: true, force: true });
  });
  return make;
}

/** More bytes than connections buffer. */
export const BYTES = 6_000_000;

/** Put a file as `big`, and cut the connection in the middle; return the path of the part left over. */
export async function cutPut(
  hosts: Hosts,
  source: string,
  host: { readonly home: string; dropConnections(): void },
): Promise<string> {
  let isCut = false;
  const { results } = await put(hosts, [source], "big", {
    onProgress: (_host, bytes) => {
      if (bytes > BYTES / 2 && !isCut) host.dropConnections();
      isCut ||= bytes > BYTES / 2;
    },
  });
  expect(results[0]?.outcome).toBe("lost");
  const [part, ...others] = partsIn(host.home);
  expect([part === undefined, others]).toEqual([false, []]);
  return part!;
}
