import { connect as connectSocket, type Socket } from "node:net";
import ssh2, { type AuthenticationType, type Client, type ConnectConfig, type ParsedKey } from "ssh2";
import { VolleyError } from "../../core/errors.ts";
import type { Connection, Endpoint, Transport } from "../transport.ts";
import { createSshConnection } from "./connection.ts";
import { type HostKeyPolicy, verifyHostKey } from "./host-key.ts";
import type { KeyRing } from "./keys.ts";
import type { KnownHosts } from "./known-hosts.ts";

/** What an ssh transport is made with. */
export interface SshTransportOptions {
  readonly keys: KeyRing;
  readonly knownHosts: KnownHosts;
  readonly hostKeyPolicy: HostKeyPolicy;
  /** Path of the agent's socket; undefined: no agent. */
  readonly agent: string | undefined;
  /** For the connection and for authentication, each. */
  readonly connectTimeoutMs: number;
  /** Whether a person can be asked for passphrases. */
  readonly interactive: boolean;
}

/** AES-GCM first: it is what costs the least on processors of today. */
const CIPHERS = [
  "aes128-gcm@openssh.com",
  "aes256-gcm@openssh.com",
  "chacha20-poly1305@openssh.com",
  "aes128-ctr",
  "aes256-ctr",
] as const;
const KEEPALIVE_MS = 10_000;
const KEEPALIVES_MISSED = 3;

/** Reaches hosts with ssh2. */
export function createSshTransport(options: SshTransportOptions): Transport {
  return {
    connect: (endpoint, signal) => connect(endpoint, options, signal),
    close: () => {},
  };
}

async function connect(
  endpoint: Endpoint,
  options: SshTransportOptions,
  signal: AbortSignal,
): Promise<Connection> {
  const { host, address, port, user } = endpoint;
  const attempts = await authAttempts(endpoint, options);
  if (attempts.length === 0) {
    throw new VolleyError("AUTH_FAILED", `there is no key to log in to ${host} with`, {
      hint: "start ssh-agent and ssh-add a key, or name a file with --private-key or ansible_ssh_private_key_file",
    });
  }
  // Before there is a socket: reading the files can fail.
  const knownTypes = options.knownHosts.keyTypes(address, port);
  const { connectTimeoutMs } = options;
  const limit = AbortSignal.timeout(connectTimeoutMs);
  const startedAt = performance.now();
  let handshakeAt = startedAt;
  const socket = await openSocket(endpoint, connectTimeoutMs, signal);
  const client = new ssh2.Client();
  let refusal: VolleyError | undefined;
  const config: ConnectConfig = {
    sock: socket,
    username: user,
    readyTimeout: connectTimeoutMs,
    keepaliveInterval: KEEPALIVE_MS,
    keepaliveCountMax: KEEPALIVES_MISSED,
    algorithms: {
      cipher: [...CIPHERS],
      // Asking only for key types that are known: otherwise a host that has another as well looks changed.
      ...(knownTypes.length === 0 || options.hostKeyPolicy === "off"
        ? {}
        : { serverHostKey: hostKeyAlgorithms(knownTypes) as never }),
    },
    hostVerifier: (key: Buffer, accept: (valid: boolean) => void) => {
      refusal = verifyHostKey(endpoint, key, options);
      accept(refusal === undefined);
    },
    authHandler: attempts as never,
  };
  return new Promise<Connection>((resolve, reject) => {
    const stop = (): void => {
      client.destroy();
      reject(new VolleyError("CANCELLED", `connecting to ${host} was cancelled`));
    };
    signal.addEventListener("abort", stop, { once: true });
    const settle = (): void => signal.removeEventListener("abort", stop);
    client.once("handshake", () => {
      handshakeAt = performance.now();
    });
    client.once("ready", () => {
      settle();
      client.removeAllListeners("error");
      const timings = { connectMs: handshakeAt - startedAt, authenticateMs: performance.now() - handshakeAt };
      resolve(createSshConnection(client, host, timings));
    });
    client.once("error", (error: Error & { readonly level?: string }) => {
      settle();
      client.destroy();
      reject(refusal ?? explain(error, endpoint, connectTimeoutMs));
      // Errors that follow the first tell nothing more, and must not end the process.
      client.on("error", () => {});
    });
    client.once("close", () => {
      settle();
      reject(refusal ?? closedEarly(endpoint, limit.aborted, connectTimeoutMs));
    });
    client.connect(config);
  });
}

function hostKeyAlgorithms(types: readonly string[]): readonly string[] {
  return types.flatMap((type) => (type === "ssh-rsa" ? ["rsa-sha2-512", "rsa-sha2-256", "ssh-rsa"] : [type]));
}

interface KeyAttempt {
  readonly type: Extract<AuthenticationType, "publickey">;
  readonly username: string;
  readonly key: ParsedKey;
}

interface AgentAttempt {
  readonly type: "agent";
  readonly username: string;
  readonly agent: string;
}

/** The keys to try, in order. There is no `none` attempt: it costs a round trip and is never accepted. */
async function authAttempts(
  { user: username, privateKeyFile }: Endpoint,
  { keys, agent, interactive }: SshTransportOptions,
): Promise<readonly (KeyAttempt | AgentAttempt)[]> {
  const withKey = (key: ParsedKey): KeyAttempt => ({ type: "publickey", username, key });
  if (privateKeyFile !== undefined) return [withKey(await keys.load(privateKeyFile))];
  const fromAgent: readonly AgentAttempt[] = agent === undefined ? [] : [{ type: "agent", username, agent }];
  const defaults = await keys.defaults(agent === undefined && interactive);
  return [...fromAgent, ...defaults.map(withKey)];
}

function openSocket(
  { host, address, port }: Endpoint,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    // ssh2 leaves Nagle's algorithm on, which holds small packets back for the peer's acknowledgement.
    const socket = connectSocket({ host: address, port, noDelay: true, keepAlive: true });
    const fail = (error: VolleyError): void => {
      socket.destroy();
      done();
      reject(error);
    };
    const timer = setTimeout(() => fail(timedOut(host, address, port, timeoutMs)), timeoutMs);
    const onAbort = (): void => fail(new VolleyError("CANCELLED", `connecting to ${host} was cancelled`));
    const onError = (error: NodeJS.ErrnoException): void =>
      fail(new VolleyError("CONNECT_FAILED", explainSocket(error, host, address, port), { cause: error }));
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
      socket.removeListener("error", onError);
    };
    if (signal.aborted) return onAbort();
    signal.addEventListener("abort", onAbort, { once: true });
    socket.once("error", onError);
    socket.once("connect", () => {
      done();
      resolve(socket);
    });
  });
}

function timedOut(host: string, address: string, port: number, timeoutMs: number): VolleyError {
  return new VolleyError(
    "CONNECT_FAILED",
    `${host} (${address}:${port}) did not answer within ${timeoutMs / 1000} s`,
  );
}

function explainSocket(error: NodeJS.ErrnoException, host: string, address: string, port: number): string {
  const where = `${host} (${address}:${port})`;
  switch (error.code) {
    case "ECONNREFUSED":
      return `${where} refused the connection: no SSH server listens there`;
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return `${host}: the name ${address} cannot be resolved`;
    case "EHOSTUNREACH":
    case "ENETUNREACH":
      return `${where} cannot be reached: no route to it`;
    case "ETIMEDOUT":
      return `${where} did not answer`;
    default:
      return `${where}: ${error.message}`;
  }
}

function explain(
  error: Error & { readonly level?: string },
  endpoint: Endpoint,
  timeoutMs: number,
): VolleyError {
  const { host, address, port, user } = endpoint;
  switch (error.level) {
    case "client-authentication":
      return new VolleyError("AUTH_FAILED", `${host} accepted none of the keys for user ${user}`, {
        cause: error,
        hint: "check the user, and that the public key is in that user's authorized_keys",
      });
    case "client-timeout":
      return timedOut(host, address, port, timeoutMs);
    case "agent":
      return new VolleyError("AUTH_FAILED", `${host}: the SSH agent failed: ${error.message}`, {
        cause: error,
      });
    default:
      return new VolleyError("CONNECT_FAILED", `${host} (${address}:${port}): ${error.message}`, {
        cause: error,
      });
  }
}

function closedEarly({ host, address, port }: Endpoint, late: boolean, timeoutMs: number): VolleyError {
  if (late) return timedOut(host, address, port, timeoutMs);
  return new VolleyError(
    "CONNECT_FAILED",
    `${host} (${address}:${port}) closed the connection before login was complete`,
  );
}

/** The client and its type, for those who only hold it. */
export type SshClient = Client;
