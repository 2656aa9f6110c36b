import { randomBytes } from "node:crypto";
import type { Bundle } from "../bundle/build.ts";
import type { Connection } from "../transport/transport.ts";
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
