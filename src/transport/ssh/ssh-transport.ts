import ssh2 from "ssh2";
import { VolleyError } from "../../core/errors.ts";
import { withRetries } from "../connect-errors.ts";
import type { Endpoint, SshSettings, Transport } from "../transport.ts";
import { lockedKeys } from "./auth.ts";
import { createSshConnection } from "./connection.ts";
import type { ListedTypes } from "./host-key.ts";
import { createJumpPool, type JumpPool } from "./jump-pool.ts";
import { createAgents, type KeyRing } from "./keys.ts";
import type { KnownHosts } from "./known-hosts.ts";
import { connectConfig, type Login, type LoginContext, listedTypes, login, preferred } from "./login.ts";

/** Options of an ssh transport. */
export interface SshTransportOptions {
  readonly keys: KeyRing;
  /** Open the known_hosts files of a host. */
  knownHostsOf(settings: SshSettings): KnownHosts;
  /** True when a person can answer questions for passphrases. */
  readonly interactive: boolean;
  /** Retries when a host refuses or resets the connection. Default: from ssh_config, else 2. */
  readonly connectRetries: number | undefined;
}

/** A transport by ssh2. */
export interface SshTransport extends Transport {
  /** Return the encrypted keys that logging in to these hosts will need. */
  lockedKeys(endpoints: readonly Endpoint[]): Promise<readonly string[]>;
  /** Ask once for a key's passphrase. The logins that need the key report a wrong one. */
  unlock(file: string): Promise<void>;
  /** Return the host's key, unverified; undefined when the host cannot be reached. Logs in to its jump hosts. */
  scan(endpoint: Endpoint, signal: AbortSignal): Promise<OfferedKey | undefined>;
}

/** Make an {@link SshTransport}. */
export function createSshTransport(options: SshTransportOptions): SshTransport {
  const context: LoginContext = { ...options, agents: createAgents() };
  const loginTo = async (endpoint: Endpoint, signal: AbortSignal): Promise<Login> => {
    const settings = settingsOf(endpoint);
    if (settings.refusedBySsh2 !== undefined) throw needsOpenSsh(endpoint, settings.refusedBySsh2);
    const open = () => pool.open(endpoint, settings.connectTimeoutMs, signal);
    const retries = options.connectRetries ?? settings.connectRetries;
    return await withRetries(() => login(endpoint, settings, open, context, signal), { retries, signal });
  };
  const pool = createJumpPool(async (hop, signal) => {
    const { client } = await loginTo(hop, signal);
    // The connections through this client report its later errors.
    client.on("error", () => {});
    // Every host behind this one adds a listener.
    client.setMaxListeners(0);
    return client;
  });
  return {
    connect: async (endpoint, signal) => {
      const startedAt = performance.now();
      const { client, timings } = await loginTo(endpoint, signal);
      const { authenticateMs } = timings;
      const connectMs = performance.now() - startedAt - authenticateMs;
      return createSshConnection(client, endpoint, { connectMs, authenticateMs });
    },
    lockedKeys: async (endpoints) => {
      const files = new Set<string>();
      for (const endpoint of endpoints)
        for (const file of await lockedKeys(endpoint, settingsOf(endpoint), context)) files.add(file);
      return [...files];
    },
    unlock: async (file) => {
      await options.keys.load(file).catch(() => undefined);
    },
    scan: (endpoint, signal) => {
      const settings = settingsOf(endpoint);
      const listed = listedTypes(endpoint, options.knownHostsOf(settings));
      return scanHostKey(endpoint, settings, listed, pool, signal);
    },
    close: () => pool.close(),
  };
}

function needsOpenSsh({ host }: Endpoint, what: string): VolleyError {
  return new VolleyError("CONNECT_FAILED", `${host}: ${what}, which ssh2 cannot do`, {
    hint: "use --transport auto or openssh",
  });
}

function settingsOf({ host, ssh }: Endpoint): SshSettings {
  if (ssh === undefined) throw new VolleyError("INTERNAL", `${host} has no settings for ssh`);
  return ssh;
}

/** An unverified key that a host presented. */
export interface OfferedKey {
  readonly endpoint: Endpoint;
  readonly key: Buffer;
}

/** Fetch a host's key, of a listed type if the host has one, without logging in; undefined when the host cannot be reached. */
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
    // Connecting later fails with the reason.
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
