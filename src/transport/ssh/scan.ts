import ssh2 from "ssh2";
import type { SshSettings } from "../ssh-settings.ts";
import type { Endpoint } from "../transport.ts";
import type { ListedTypes } from "./host-key-algorithms.ts";
import type { JumpPool } from "./jump-pool.ts";
import { connectConfig, preferred } from "./login.ts";

/** A key that a host presented, which nobody has vouched for. */
export interface OfferedKey {
  readonly endpoint: Endpoint;
  readonly key: Buffer;
}

/** Fetches the key a host presents, if it can one of a type that is listed, and leaves without logging in; undefined when it cannot be reached. */
export async function scanHostKey(
  endpoint: Endpoint,
  settings: SshSettings,
  listed: ListedTypes,
  pool: JumpPool,
  signal: AbortSignal,
): Promise<OfferedKey | undefined> {
  let stream: Awaited<ReturnType<JumpPool["open"]>>;
  try {
    stream = await pool.open(endpoint, settings.connectTimeoutMs, signal);
  } catch {
    // Whether it can be reached is found out by connecting, which says why not.
    return undefined;
  }
  const client = new ssh2.Client();
  return await new Promise<OfferedKey | undefined>((resolve) => {
    let key: Buffer | undefined;
    const end = (): void => {
      signal.removeEventListener("abort", end);
      client.destroy();
      stream.destroy();
      resolve(key === undefined ? undefined : { endpoint, key });
    };
    client.on("error", end).once("close", end);
    signal.addEventListener("abort", end, { once: true });
    if (signal.aborted) return end();
    client.connect({
      ...connectConfig(endpoint, settings, preferred(listed)),
      sock: stream,
      hostVerifier: (offered: Buffer, accept: (valid: boolean) => void) => {
        key = offered;
        accept(false);
      },
      authHandler: [],
    });
  });
}
