import type { Duplex } from "node:stream";
import ssh2, { type Client, type ConnectConfig } from "ssh2";
import { VolleyError } from "../../core/errors.ts";
import { retryable } from "../connect-errors.ts";
import type { Endpoint, SshSettings } from "../transport.ts";

import { type Credentials, type LoginPlan, planLogin } from "./auth.ts";
import { hostKeyAlgorithms, knownAs, type ListedTypes, verifyHostKey } from "./host-key.ts";

import type { KnownHosts } from "./known-hosts.ts";
import { timedOut, whereOf } from "./open-socket.ts";

/** AES-GCM first: it is what costs the least on processors of today. */
const CIPHERS = [
  "aes128-gcm@openssh.com",
  "aes256-gcm@openssh.com",
  "chacha20-poly1305@openssh.com",
  "aes128-ctr",
  "aes256-ctr",
] as const;

/** What a login needs beside the host. */
export interface LoginContext extends Credentials {
  /** The known_hosts files of an endpoint. */
  knownHostsOf(settings: SshSettings): KnownHosts;
}

/** Somebody logged in to a host. */
export interface Login {
  readonly client: Client;
  readonly timings: { readonly connectMs: number; readonly authenticateMs: number };
}

/** What sshd says before closing when it takes no more logins just now (sshd_config(5), MaxStartups). */
const BUSY = /^(Exceeded MaxStartups|Not allowed at this time)/;

/** Opens a stream to a host's sshd, checks its key and logs in, within the time limits. Fails as `Transport.connect` does. */
export async function login(
  endpoint: Endpoint,
  settings: SshSettings,
  open: () => Promise<Duplex>,
  context: LoginContext,
  signal: AbortSignal,
): Promise<Login> {
  const { host } = endpoint;
  const plan = await planLogin(endpoint, settings, context);
  const knownHosts = context.knownHostsOf(settings);
  // Before there is a stream: reading the files can fail.
  const listed = listedTypes(endpoint, knownHosts);
  const startedAt = performance.now();
  const stream = await open();
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
    const settle = (): void => signal.removeEventListener("abort", stop);
    const fail = (error: VolleyError): void => {
      settle();
      client.destroy();
      stream.destroy();
      reject(error);
    };
    const stop = (): void => fail(new VolleyError("CANCELLED", `connecting to ${host} was cancelled`));
    if (signal.aborted) return stop();
    signal.addEventListener("abort", stop, { once: true });
    const failure = (error?: Error & { readonly level?: string }): VolleyError =>
      refusal ??
      explain(error, { endpoint, settings, plan, listed, greeting, handshaken: handshakeAt !== undefined });
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
      // An agent that will not sign with one key may with another: ssh2 goes on by itself.
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

/** What known_hosts lists of an endpoint. */
export function listedTypes(endpoint: Endpoint, knownHosts: KnownHosts): ListedTypes {
  const { address, port } = knownAs(endpoint);
  return {
    exact: knownHosts.keyTypes(address, port),
    withoutPort: knownHosts.keyTypesWithoutPort(address, port),
  };
}

/** For hosts that may present a key of any type: what is listed is asked for first, so that it can be compared. */
export function preferred({ exact, withoutPort }: ListedTypes): ListedTypes {
  return { exact: [], withoutPort: [...exact, ...withoutPort] };
}

/** What ssh2 is told of a host, apart from how to log in. */
export function connectConfig({ user }: Endpoint, settings: SshSettings, listed: ListedTypes): ConnectConfig {
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

const MANY_REFUSALS = 3;

interface Situation {
  readonly endpoint: Endpoint;
  readonly settings: SshSettings;
  readonly plan: LoginPlan;
  readonly listed: ListedTypes;
  /** The first that the host said. */
  readonly greeting: string;
  readonly handshaken: boolean;
}

function explain(
  error: (Error & { readonly level?: string; readonly code?: unknown }) | undefined,
  { endpoint, settings, plan, listed, greeting, handshaken }: Situation,
): VolleyError {
  const where = whereOf(endpoint);
  const again = (failed: VolleyError): VolleyError => {
    // A password that was sent may have been wrong: sending it again could lock the account.
    if (plan.passwordSent()) return failed;
    const busy = !handshaken && (greeting === "" || BUSY.test(greeting));
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
  // Some servers end the connection without a word when they have seen enough wrong keys (sshd_config(5), MaxAuthTries).
  if (error === undefined && plan.refusals() >= MANY_REFUSALS) return plan.tooMany(undefined);
  if (error === undefined) return again(closed);
  if (error.level === "client-authentication") return plan.refused(error);
  if (error.level === "client-timeout") {
    const late = timedOut(endpoint, settings.connectTimeoutMs);
    return handshaken ? late : retryable(late, "once");
  }
  if (/no matching host key format/.test(error.message)) return noHostKey(endpoint, settings, listed, error);
  const code = (error as NodeJS.ErrnoException).code;
  if (code === "ECONNRESET" || code === "EPIPE" || /before handshake/.test(error.message))
    return again(closed);
  const failed = new VolleyError("CONNECT_FAILED", `${where}: ${error.message}`, { cause: error });
  return BUSY.test(greeting) ? again(failed) : failed;
}

/** A host that has no key of a type that it is asked for. */
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
