import { randomBytes } from "node:crypto";
import { VolleyError } from "../../core/errors.ts";
import type { Connection, RemoteProcess } from "../../transport/transport.ts";
import { discardCommand, temporaryPath } from "./launch.ts";

const PROGRESS_MS = 100;
const DISCARD_MS = 5_000;
const CHUNK_BYTES = 64 << 10;

/** Options for sending a bundle. */
export interface SendOptions {
  readonly bytes: Buffer;
  readonly signal: AbortSignal;
  /** Called at the beginning, at the end, and every tenth of a second between. */
  readonly onProgress: (bytes: number, elapsedMs: number) => void;
}

/** Return the part of a temporary name that tells the uploads of one session from all others. */
export function makeNonce(): string {
  return randomBytes(6).toString("hex");
}

/** Send a bundle to a temporary name on a host. An upload that fails is removed, where the host can still be told. */
export async function sendBundle(
  connection: Connection,
  { id, nonce, bytes, signal, onProgress }: SendOptions & { readonly id: string; readonly nonce: string },
): Promise<void> {
  const tell = createProgress(bytes.length, onProgress);
  try {
    await connection.upload(bytes, temporaryPath(id, nonce), { mode: 0o600, signal, onProgress: tell });
  } catch (thrown) {
    await discard(connection, discardCommand(id, nonce));
    throw thrown;
  }
}

/**
 * Write a bundle to a process that waits for it on standard input. Fails with `CANCELLED`. Returns early when the
 * process ends, which its exit tells.
 */
export async function writeBundle(
  { stdin, exit }: RemoteProcess,
  { bytes, signal, onProgress }: SendOptions,
): Promise<void> {
  const tell = createProgress(bytes.length, onProgress);
  const ended = exit.then(() => "ended" as const);
  for (let from = 0; from < bytes.length; from += CHUNK_BYTES) {
    if (signal.aborted) throw new VolleyError("CANCELLED", "cancelled while the bundle was sent");
    const chunk = bytes.subarray(from, from + CHUNK_BYTES);
    const written = new Promise<"written">((resolve) => stdin.write(chunk, () => resolve("written")));
    if ((await Promise.race([written, ended])) === "ended") return;
    tell(from + chunk.length);
  }
}

function createProgress(total: number, onProgress: SendOptions["onProgress"]): (bytes: number) => void {
  const startedAt = performance.now();
  let toldAt = startedAt;
  onProgress(0, 0);
  return (bytes) => {
    const time = performance.now();
    if (bytes < total && time - toldAt < PROGRESS_MS) return;
    toldAt = time;
    onProgress(bytes, time - startedAt);
  };
}

/** Remove an upload that failed, unless the host no longer answers. */
async function discard(connection: Connection, command: string): Promise<void> {
  const limit = AbortSignal.timeout(DISCARD_MS);
  const late = new Promise<void>((resolve) =>
    limit.addEventListener("abort", () => resolve(), { once: true }),
  );
  const discarding = connection.exec(command, limit).then(
    async (process) => {
      process.stdout.resume();
      process.stderr.resume();
      await process.exit;
    },
    () => undefined,
  );
  await Promise.race([discarding, late]);
}
