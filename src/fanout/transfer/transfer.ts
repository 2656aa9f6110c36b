import { setMaxListeners } from "node:events";
import { join } from "node:path";
import { isVolleyError, type SerializedError, serializeError, VolleyError } from "../../core/errors.ts";
import { FILE_SERVER_SCRIPT, openFileSession } from "../../transport/sftp/open-file-session.ts";
import type { Connection, FileSession } from "../../transport/transport.ts";
import { type FanOutHost, startAs } from "../exec/fan-out.ts";
import { fileNameOf } from "../exec/outputs.ts";
import { createWindow, type TransferContext, type TransferSettings, windowBytes } from "./context.ts";
import { getTree } from "./get-tree.ts";
import {
  createLocalHashes,
  createRemoteHasher,
  HASH_SCRIPT,
  type LocalHashes,
  type RemoteHasher,
} from "./hashes.ts";
import type { LocalTree } from "./local-tree.ts";
import { HERE, openParts, type Parts } from "./parts.ts";
import { putTree } from "./put-tree.ts";
import type { WalkOptions } from "./remote-tree.ts";
import { createTally, type TransferListener, type TransferOutcome, type TransferResult } from "./result.ts";

/** Put a tree on many hosts; see {@link scanLocalTree} for the places of its files. */
export function putOnHosts(
  hosts: readonly FanOutHost[],
  tree: LocalTree,
  destination: string,
  options: TransferOptions,
): Promise<readonly TransferResult[]> {
  return transfer(hosts, options, (context) => putTree(context, tree, destination));
}

/** Get trees from many hosts into `destination/HOST/`. Fails with `USAGE` when two hosts would share a directory. */
export async function getFromHosts(
  hosts: readonly FanOutHost[],
  walk: WalkOptions,
  destination: string,
  options: TransferOptions,
): Promise<readonly TransferResult[]> {
  const directories = directoriesOf(hosts);
  return transfer(hosts, options, (context, host) =>
    getTree(context, walk, join(destination, directories.get(host.name)!)),
  );
}

/** Return the name of each host's directory below the destination. Fails with `USAGE` when two hosts would share one. */
export function directoriesOf(hosts: readonly Pick<FanOutHost, "name">[]): ReadonlyMap<string, string> {
  const owners = new Map<string, string>();
  for (const { name } of hosts) {
    const directory = fileNameOf(name);
    const other = owners.get(directory);
    if (other !== undefined)
      throw new VolleyError("USAGE", `${other} and ${name} would both be got into ${directory}`);
    owners.set(directory, name);
  }
  return new Map([...owners].map(([directory, name]) => [name, directory]));
}

/** Options of a transfer. */
export interface TransferOptions extends TransferSettings {
  /** Most hosts at a time. */
  readonly forks: number;
  readonly listener: TransferListener;
  /** Closes all connections; a later transfer continues with the parts that were sent. */
  readonly signal: AbortSignal;
}

/**
 * Work on many hosts, some at a time, and return their results in the hosts' order. A failure of a host is in its result.
 */
async function transfer(
  hosts: readonly FanOutHost[],
  { forks, listener, signal, preserve, checksum, check }: TransferOptions,
  work: (context: TransferContext, host: FanOutHost) => Promise<void>,
): Promise<readonly TransferResult[]> {
  // Every host at work adds a listener; that is no leak.
  setMaxListeners(0, signal);
  const results: TransferResult[] = [];
  const atWork = Math.min(forks, hosts.length);
  const shared = shareTransfer({ preserve, checksum, check }, atWork);
  let next = 0;
  const takeHosts = async (): Promise<void> => {
    for (let index = next++; index < hosts.length; index = next++) {
      const host = hosts[index]!;
      if (!signal.aborted) listener.start?.(host.name);
      const result = await transferHost(host, {
        ...shared,
        listener,
        signal,
        work: (context) => work(context, host),
      });
      results[index] = result;
      listener.end?.(result);
    }
  };
  await Promise.all(Array.from({ length: atWork }, takeHosts));
  return results;
}

/** The settings and caches that the hosts of a transfer share. */
interface SharedTransfer {
  readonly settings: TransferSettings;
  readonly localHashes: LocalHashes;
  readonly localParts: Parts;
  /** Most bytes in flight of each host. */
  readonly windowBytes: number;
}

/** Make what the hosts of a transfer have in common; `atWork` of them are at work at a time. */
export function shareTransfer(settings: TransferSettings, atWork: number): SharedTransfer {
  return {
    settings,
    localHashes: createLocalHashes(),
    localParts: openParts(HERE),
    windowBytes: windowBytes(atWork),
  };
}

/** Options of one host's part. */
interface HostTransferOptions extends SharedTransfer {
  readonly listener: TransferListener;
  readonly signal: AbortSignal;
  /** Carry out the host's part. */
  readonly work: (context: TransferContext) => Promise<void>;
}

/** Connect, open a file session, carry out the host's part and return its result; never rejects. */
export async function transferHost(host: FanOutHost, options: HostTransferOptions): Promise<TransferResult> {
  const { settings, localHashes, localParts, windowBytes, listener, signal, work } = options;
  const startedAt = performance.now();
  const tally = createTally(host.name, listener);
  let remoteHashes: RemoteHasher | undefined;
  const resultOf = (outcome: TransferOutcome, error?: SerializedError): TransferResult => ({
    ...tally.counts(),
    host: host.name,
    outcome,
    error: error ?? tally.firstError,
    verifiedBy: tally.verifiedBy,
    noHashes: tally.verifiedBy === "size" ? remoteHashes?.cannot : undefined,
    elapsedMs: performance.now() - startedAt,
  });
  if (signal.aborted) return resultOf("cancelled");
  let connection: Connection;
  try {
    connection = await host.transport.connect(host.endpoint, signal);
  } catch (thrown) {
    return isCancelled(thrown) ? resultOf("cancelled") : resultOf("unreachable", serializeError(thrown));
  }
  const startsAs = { host: host.name, login: host.endpoint.user, become: host.become, signal };
  const reached = connection;
  // The file session stays meanwhile: where the host grants no other, the wait would have no end.
  remoteHashes = createRemoteHasher(() => startAs(reached, HASH_SCRIPT, { ...startsAs, wait: "freed" }));
  let files: FileSession | undefined;
  const onAbort = (): void => {
    files?.close();
    connection.close();
  };
  try {
    signal.addEventListener("abort", onAbort, { once: true });
    files = await openFiles(connection, startsAs);
    const window = createWindow(windowBytes);
    const remoteParts = openParts(placeOf(host));
    const parts = { localParts, remoteParts };
    const hashes = { localHashes, remoteHashes };
    await work({ ...settings, ...parts, ...hashes, host: host.name, files, window, tally, signal });
    return resultOf(tally.counts().files.failed > 0 ? "failed" : "ok");
  } catch (thrown) {
    if (signal.aborted || isCancelled(thrown)) return resultOf("cancelled");
    const isLost = isVolleyError(thrown) && thrown.code === "CONNECTION_LOST";
    return resultOf(isLost ? "lost" : "failed", serializeError(thrown));
  } finally {
    signal.removeEventListener("abort", onAbort);
    remoteHashes.close();
    files?.close();
    connection.close();
  }
}

/** Return a key for a user's files on a host, independent of the inventory's name for the host. */
function placeOf({ endpoint: { address, port, user }, become }: FanOutHost): string {
  return JSON.stringify([address, port, become?.user ?? user]);
}

/** Open the host's subsystem, or an sftp-server of the user to become. */
async function openFiles(
  connection: Connection,
  startsAs: Parameters<typeof startAs>[2],
): Promise<FileSession> {
  const { become, host, signal } = startsAs;
  if (become === null) return connection.files(signal);
  return openFileSession(await startAs(connection, FILE_SERVER_SCRIPT, startsAs), { host, signal });
}

function isCancelled(thrown: unknown): boolean {
  return isVolleyError(thrown) && thrown.code === "CANCELLED";
}
