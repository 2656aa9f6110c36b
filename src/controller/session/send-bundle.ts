import { randomBytes } from "node:crypto";
import type { Bundle } from "../../bundle/build.ts";
import { VolleyError } from "../../core/errors.ts";
import type { Connection, RemoteProcess } from "../../transport/transport.ts";
import type { HostRunOptions } from "./host-run.ts";
import { discardCommand, temporaryPath } from "./launch.ts";

const PROGRESS_MS = 100;
const DISCARD_MS = 5_000;

/** How a bundle is sent. */
export interface SendOptions {
  /** The random part of the temporary name. */
  readonly nonce: string;
  readonly signal: AbortSignal;
  /** Called at the beginning, at the end, and every tenth of a second between. */
  readonly onProgress: (bytes: number, elapsedMs: number) => void;
}

/** Makes what tells the temporary names of two uploads apart. */
export function makeNonce(): string {
  return randomBytes(6).toString("hex");
}

/** Sends a bundle to a temporary name on a host; what was sent in part is removed, where the host can still be told. */
export async function sendBundle(
  connection: Connection,
  bundle: Pick<Bundle, "id" | "bytes">,
  { nonce, signal, onProgress }: SendOptions,
): Promise<void> {
  const startedAt = performance.now();
  let toldAt = startedAt;
  onProgress(0, 0);
  try {
    await connection.upload(bundle.bytes, temporaryPath(bundle.id, nonce), {
      mode: 0o600,
      signal,
      onProgress: (bytes) => {
        const time = performance.now();
        if (bytes < bundle.bytes.length && time - toldAt < PROGRESS_MS) return;
        toldAt = time;
        onProgress(bytes, time - startedAt);
      },
    });
  } catch (thrown) {
    await discard(connection, bundle.id, nonce);
    throw thrown;
  }
}

/** Removes what was sent in part, unless the host no longer answers. */
async function discard(connection: Connection, id: string, nonce: string): Promise<void> {
  const limit = AbortSignal.timeout(DISCARD_MS);
  const late = new Promise<void>((resolve) =>
    limit.addEventListener("abort", () => resolve(), { once: true }),
  );
  const discarding = connection.exec(discardCommand(id, nonce), limit).then(
    async (process) => {
      process.stdout.resume();
      process.stderr.resume();
      await process.exit;
    },
    () => undefined,
  );
  await Promise.race([discarding, late]);
}

const CHUNK_BYTES = 64 << 10;

/** Writes a bundle to a process that waits for it on its standard input. Fails with `CANCELLED`; a process that ends meanwhile is told of elsewhere. */
export async function writeBundle(
  { stdin, exit }: RemoteProcess,
  bytes: Buffer,
  { signal, onProgress }: Omit<SendOptions, "nonce">,
): Promise<void> {
  const startedAt = performance.now();
  let toldAt = startedAt;
  const ended = exit.then(() => "ended" as const);
  onProgress(0, 0);
  for (let from = 0; from < bytes.length; from += CHUNK_BYTES) {
    if (signal.aborted) throw new VolleyError("CANCELLED", "cancelled while the bundle was sent");
    const chunk = bytes.subarray(from, from + CHUNK_BYTES);
    const written = new Promise<"written">((resolve) => stdin.write(chunk, () => resolve("written")));
    if ((await Promise.race([written, ended])) === "ended") return;
    const time = performance.now();
    const sent = from + chunk.length;
    if (sent < bytes.length && time - toldAt < PROGRESS_MS) continue;
    toldAt = time;
    onProgress(sent, time - startedAt);
  }
}

/** Tells of what has been sent of a bundle to a host. */
export function tellUpload({
  endpoint: { host },
  bundle,
  emit,
}: Pick<HostRunOptions, "endpoint" | "bundle" | "emit">): (bytes: number, elapsedMs: number) => void {
  const totalBytes = bundle.bytes.length;
  return (bytes, elapsedMs) => emit({ type: "host:upload", host, bytes, totalBytes, elapsedMs });
}
