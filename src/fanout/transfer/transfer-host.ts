import type { Become } from "../../core/become.ts";
import { isVolleyError, type SerializedError, serializeError } from "../../core/errors.ts";
import type { FileSession } from "../../transport/file-session.ts";
import { openFileSession } from "../../transport/sftp/open-file-session.ts";
import { SFTP_SERVER_SCRIPT } from "../../transport/sftp/server-program.ts";
import type { Connection, Endpoint, Transport } from "../../transport/transport.ts";
import { startAs } from "../exec/exec-host.ts";
import type { TransferContext, TransferSettings } from "./context.ts";
import type { LocalHashes } from "./local-hash.ts";
import { openParts, type Parts } from "./parts.ts";
import { createRemoteHasher, HASH_SCRIPT, type RemoteHasher } from "./remote-hash.ts";
import type { TransferListener, TransferOutcome, TransferResult } from "./result.ts";
import { createTally } from "./tally.ts";
import { createWindow } from "./window.ts";

/** A host that files are put on or got from. */
export interface TransferHost {
  readonly name: string;
  readonly endpoint: Endpoint;
  readonly transport: Transport;
  /** The user to become; null: none. */
  readonly become: Become | null;
}

/** What one host's part takes. */
export interface HostTransferOptions {
  readonly settings: TransferSettings;
  readonly localHashes: LocalHashes;
  readonly localParts: Parts;
  /** Bytes under way at a time. */
  readonly windowBytes: number;
  readonly listener: TransferListener;
  readonly signal: AbortSignal;
  /** Does the host's part. */
  readonly work: (context: TransferContext) => Promise<void>;
}

/** Connects, opens a session for files, does the host's part and gives how it went; never rejects. */
export async function transferHost(
  host: TransferHost,
  options: HostTransferOptions,
): Promise<TransferResult> {
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
  remoteHashes = createRemoteHasher(() => startAs(reached, HASH_SCRIPT, startsAs));
  let files: FileSession | undefined;
  const onAbort = (): void => {
    files?.end();
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
    remoteHashes.end();
    files?.end();
    connection.close();
  }
}

/** A user's files on a host, whatever the inventory calls it. */
function placeOf({ endpoint: { address, port, user }, become }: TransferHost): string {
  return JSON.stringify([address, port, become?.user ?? user]);
}

/** The host's own subsystem, or an sftp-server of the user that is to be become. */
async function openFiles(
  connection: Connection,
  startsAs: Parameters<typeof startAs>[2],
): Promise<FileSession> {
  const { become, host, signal } = startsAs;
  if (become === null) return connection.files(signal);
  return openFileSession(await startAs(connection, SFTP_SERVER_SCRIPT, startsAs), { host, signal });
}

function isCancelled(thrown: unknown): boolean {
  return isVolleyError(thrown) && thrown.code === "CANCELLED";
}
