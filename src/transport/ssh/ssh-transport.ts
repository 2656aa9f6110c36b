import ssh2, { type Client, type ConnectConfig } from "ssh2";
import { VolleyError } from "../../core/errors.ts";
import type { Channels } from "../channels.ts";
import { connectCancelled, retryable, timedOut, whereOf, withRetries } from "../connect-errors.ts";
import type { Connection, Endpoint, SshSettings, Transport } from "../transport.ts";
import { type Credentials, type LoginPlan, lockedKeys, planLogin } from "./auth.ts";
import { createSshChannels } from "./channels.ts";
import { createSshConnection } from "./connection.ts";
import { createAgents, type KeyRing } from "./keys.ts";
import {
  hostKeyAlgorithms,
  type KnownHosts,
  knownAs,
  type ListedTypes,
  verifyHostKey,
} from "./known-hosts.ts";
import { createJumpPool, type JumpPool } from "./open-stream.ts";

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
  /** Connect and log in as `connect` does, and return the connection's channels. */
  open(endpoint: Endpoint, signal: AbortSignal): Promise<OpenChannels>;
  /** Return the encrypted keys that logging in to these hosts will need. */
  lockedKeys(endpoints: readonly Endpoint[]): Promise<readonly string[]>;
  /** Ask once for a key's passphrase. The logins that need the key report a wrong one. */
  unlock(file: string): Promise<void>;
  /** Return the host's key, unverified; undefined when the host cannot be reached. Logs in to its jump hosts. */
  scan(endpoint: Endpoint, signal: AbortSignal): Promise<OfferedKey | undefined>;
}

/** The channels of a connection that has logged in, and how long that took. */
export interface OpenChannels extends Pick<Connection, "timings"> {
  readonly channels: Channels;
}

/** Make an {@link SshTransport}. */
export function createSshTransport(options: SshTransportOptions): SshTransport {
  const context: LoginContext = { ...options, agents: createAgents() };
  const loginTo = async (endpoint: Endpoint, signal: AbortSignal): Promise<Login> => {
    const settings = settingsOf(endpoint);
    if (settings.refusedBySsh2 !== undefined) throw needsOpenSsh(endpoint, settings.refusedBySsh2);
    const retries = options.connectRetries ?? settings.connectRetries;
    return await withRetries(() => login(endpoint, pool, context, signal), { retries, signal });
  };
  const pool = createJumpPool(async (hop, signal) => {
    const { client } = await loginTo(hop, signal);
    // The connections through this client report its later errors.
    client.on("error", () => {});
    // Every host behind this one adds a listener.
    client.setMaxListeners(0);
    return client;
  });
  const open: SshTransport["open"] = async (endpoint, signal) => {
    const startedAt = performance.now();
    const { client, timings } = await loginTo(endpoint, signal);
    const { authenticateMs } = timings;
    const connectMs = performance.now() - startedAt - authenticateMs;
    return { channels: createSshChannels(client, endpoint.host), timings: { connectMs, authenticateMs } };
  };
  return {
    connect: async (endpoint, signal) => {
      const { channels, timings } = await open(endpoint, signal);
      return createSshConnection(channels, endpoint, timings);
    },
    open,
    lockedKeys: async (endpoints) => {
      const files = new Set<string>();
      for (const endpoint of endpoints)
        for (const file of await lockedKeys(endpoint, settingsOf(endpoint), context)) files.add(file);
      return [...files];
    },
    unlock: async (file) => {
      await options.keys.load(file).catch(() => undefined);
    },
    scan: (endpoint, signal) => scanHostKey(endpoint, context, pool, signal),
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
async function scanHostKey(
  endpoint: Endpoint,
  { knownHostsOf }: LoginContext,
  pool: JumpPool,
  signal: AbortSignal,
): Promise<OfferedKey | undefined> {
  const settings = settingsOf(endpoint);
  const listed = listedTypes(endpoint, knownHostsOf(settings));
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

/** All that logging in needs besides the host. */
type LoginContext = SshTransportOptions & Credentials;

/** A login to a host. */
interface Login {
  readonly client: Client;
  readonly timings: { readonly connectMs: number; readonly authenticateMs: number };
}

/** Open a stream to a host's sshd, check its key and log in, within the time limits. Fails as `Transport.connect` does. */
async function login(
  endpoint: Endpoint,
  pool: JumpPool,
  context: LoginContext,
  signal: AbortSignal,
): Promise<Login> {
  const settings = settingsOf(endpoint);
  const plan = await planLogin(endpoint, settings, context);
  const knownHosts = context.knownHostsOf(settings);
  // Read the files before the stream opens: reading can fail.
  const listed = listedTypes(endpoint, knownHosts);
  const startedAt = performance.now();
  const stream = await pool.open(endpoint, settings.connectTimeoutMs, signal);
  let handshakeAt: number | undefined;
  let refusal: VolleyError | undefined;
  let greeting = "";
  const client = new ssh2.Client();
  const config: ConnectConfig = {
    ...connectConfig(endpoint, settings, settings.hostKeyPolicy === "off" ? preferred(listed) : listed),
    sock: stream as NonNullable<ConnectConfig["sock"]>,
    hostVerifier: (key: Buffer, accept: (valid: boolean) => void) => {
      refusal = verifyHostKey(endpoint, key, { knownHosts, settings, unsafe: plan.withholdPasswords });
      accept(refusal === undefined);
    },
    authHandler: plan.handler,
  };
  return new Promise<Login>((resolve, reject) => {
    const settle = (): void => signal.removeEventListener("abort", onAbort);
    const fail = (error: VolleyError): void => {
      settle();
      client.destroy();
      stream.destroy();
      reject(error);
    };
    const onAbort = (): void => fail(connectCancelled(endpoint));
    if (signal.aborted) return onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    const failure = (error?: Error & { readonly level?: string }): VolleyError =>
      refusal ??
      explain(error, { endpoint, settings, plan, listed, greeting, isHandshaken: handshakeAt !== undefined });
    client.once("handshake", () => {
      handshakeAt = performance.now();
    });
    client.once("ready", () => {
      settle();
      client.removeAllListeners("error");
      client.removeListener("close", onClose);
      const ready = handshakeAt ?? startedAt;
      resolve({
        client,
        timings: { connectMs: ready - startedAt, authenticateMs: performance.now() - ready },
      });
    });
    client.on("error", (error: Error & { readonly level?: string }) => {
      // An agent that refuses to sign with one key may sign with another: ssh2 continues.
      if (error.level !== "agent") fail(failure(error));
    });
    const onClose = (): void => fail(failure());
    client.once("close", onClose);
    client.connect(config);
    stream.on("data", (chunk: Buffer) => {
      if (greeting.length < 100) greeting += chunk.toString("latin1").slice(0, 100);
    });
  });
}

/** Return the key types of an endpoint in known_hosts. */
function listedTypes(endpoint: Endpoint, knownHosts: KnownHosts): ListedTypes {
  const { address, port } = knownAs(endpoint);
  return {
    exact: knownHosts.keyTypes(address, port),
    withoutPort: knownHosts.keyTypesWithoutPort(address, port),
  };
}

/** Return listed types as mere preferences, for hosts that may present a key of any type. */
function preferred({ exact, withoutPort }: ListedTypes): ListedTypes {
  return { exact: [], withoutPort: [...exact, ...withoutPort] };
}

/** AES-GCM first: it costs the least on current processors. */
const CIPHERS = [
  "aes128-gcm@openssh.com",
  "aes256-gcm@openssh.com",
  "chacha20-poly1305@openssh.com",
  "aes128-ctr",
  "aes256-ctr",
] as const;

/** Return the options of ssh2 for a host, without those for authentication. */
function connectConfig({ user }: Endpoint, settings: SshSettings, listed: ListedTypes): ConnectConfig {
  const { agent, forwardAgent, forwardedAgent = agent, algorithms } = settings;
  const { connectTimeoutMs, keepAliveMs, keepAliveCountMax } = settings;
  return {
    username: user,
    readyTimeout: connectTimeoutMs,
    keepaliveInterval: keepAliveMs,
    keepaliveCountMax: keepAliveCountMax,
    algorithms: {
      cipher: [...(algorithms.cipher ?? CIPHERS)] as never[],
      serverHostKey: [...hostKeyAlgorithms(listed, algorithms.serverHostKey)] as never[],
      ...(algorithms.hmac === undefined ? {} : { hmac: [...algorithms.hmac] as never[] }),
      ...(algorithms.kex === undefined ? {} : { kex: [...algorithms.kex] as never[] }),
    },
    ...(forwardAgent && forwardedAgent !== undefined ? { agent: forwardedAgent, agentForward: true } : {}),
  };
}

/** sshd's text before it closes the connection because of too many logins (sshd_config(5), MaxStartups). */
const BUSY = /^(Exceeded MaxStartups|Not allowed at this time)/;
const MANY_REFUSALS = 3;

interface Situation {
  readonly endpoint: Endpoint;
  readonly settings: SshSettings;
  readonly plan: LoginPlan;
  readonly listed: ListedTypes;
  /** The first bytes from the host. */
  readonly greeting: string;
  readonly isHandshaken: boolean;
}

function explain(
  error: (Error & { readonly level?: string; readonly code?: unknown }) | undefined,
  { endpoint, settings, plan, listed, greeting, isHandshaken }: Situation,
): VolleyError {
  const where = whereOf(endpoint);
  const again = (failed: VolleyError): VolleyError => {
    // The password may have been wrong: a second try could lock the account.
    if (plan.passwordSent()) return failed;
    const busy = !isHandshaken && (greeting === "" || BUSY.test(greeting));
    return retryable(failed, busy ? "patient" : "quick");
  };
  const closed = new VolleyError(
    "CONNECT_FAILED",
    `${where} closed the connection before login was complete`,
    {
      ...(error === undefined ? {} : { cause: error }),
    },
  );
  if (error !== undefined && /too many authentication failures/i.test(error.message))
    return plan.tooMany(error);
  // Some servers close the connection without a message after too many wrong keys (sshd_config(5), MaxAuthTries).
  if (error === undefined && plan.refusals() >= MANY_REFUSALS) return plan.tooMany(undefined);
  if (error === undefined) return again(closed);
  if (error.level === "client-authentication") return plan.refused(error);
  if (error.level === "client-timeout") {
    const late = timedOut(endpoint, settings.connectTimeoutMs);
    return isHandshaken ? late : retryable(late, "once");
  }
  if (/no matching host key format/.test(error.message)) return noHostKey(endpoint, settings, listed, error);
  const code = (error as NodeJS.ErrnoException).code;
  if (code === "ECONNRESET" || code === "EPIPE" || /before handshake/.test(error.message))
    return again(closed);
  const failed = new VolleyError("CONNECT_FAILED", `${where}: ${error.message}`, { cause: error });
  return BUSY.test(greeting) ? again(failed) : failed;
}

/** Return the error of a host that has no key of the negotiated types. */
function noHostKey(
  { host }: Endpoint,
  { hostKeyPolicy }: SshSettings,
  { exact }: ListedTypes,
  cause: Error,
): VolleyError {
  const old = "an old host may need HostKeyAlgorithms +ssh-rsa in ssh_config";
  if (exact.length === 0 || hostKeyPolicy === "off") {
    const what = `${host}: the host has no key of a type that is asked for`;
    return new VolleyError("CONNECT_FAILED", what, { cause, hint: `look at HostKeyAlgorithms: ${old}` });
  }
  return new VolleyError(
    "HOST_KEY_CHANGED",
    `${host}: the host has no key of a type that is known of it, which may mean that it was reinstalled, or that someone is in between`,
    {
      cause,
      hint: `look at its keys with ssh-keyscan, and at what known_hosts says of it; ${old}`,
    },
  );
}
