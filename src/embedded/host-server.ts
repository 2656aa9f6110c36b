import { once, setMaxListeners } from "node:events";
import { type AddressInfo, createServer, type Server as NetServer, type Socket } from "node:net";
import ssh2, {
  type AuthContext,
  type AuthenticationType,
  type Connection,
  type ParsedKey,
  type Server as SshServer,
} from "ssh2";
import { findFault, type HostFault } from "./faults.ts";
import { forwardTcp, type SessionContext, serveSessions } from "./session.ts";

import { holdPort, ShapedSocket, type SocketShape } from "./sockets.ts";

/** What a host's server is made of. */
interface HostServerOptions {
  readonly hostKey: string;
  readonly credentials: Credentials;
  readonly sessions: SessionContext;
  readonly faults: readonly HostFault[];
}

/** A listening SSH server on a loopback port. */
export interface HostServer {
  readonly port: number;
  readonly traffic: () => Traffic;
  /** Resets the open connections. */
  dropConnections(): void;
  /** Stops listening and closes every connection. */
  close(): Promise<void>;
}

/** What went over a host's connections, in bytes where not said otherwise. */
interface Traffic {
  readonly connections: number;
  readonly openConnections: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

/** Introduced as OpenSSH, so that clients treat it as they treat the sshd it stands in for. */
const ident = "OpenSSH_9.2 Volley-embedded";

/** sshd sends no keepalives unless told to; ssh2 takes no zero, so: not within 24 days. */
const neverMs = 2 ** 31 - 1;

/** How long a closing server waits for its clients to notice. */
const farewellMs = 100;

const ciphers = ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes256-ctr"] as const;

/** Starts the SSH server of one host on a free port of 127.0.0.1. */
export async function startHostServer(options: HostServerOptions): Promise<HostServer> {
  const hangs = findFault(options.faults, "hang") !== undefined;
  const drop = findFault(options.faults, "dropAfterBytes");
  const ssh = createSshServer(options);
  const sockets = new Set<Socket>();
  const total = { connections: 0, bytesIn: 0, bytesOut: 0 };
  const listener = createServer({ noDelay: true }, (socket) => {
    total.connections += 1;
    sockets.add(socket);
    socket.on("error", () => {});
    socket.once("close", () => {
      sockets.delete(socket);
      total.bytesIn += socket.bytesRead;
      total.bytesOut += socket.bytesWritten;
    });
    if (hangs) {
      // Read and dropped, so that the client's leaving is noticed.
      socket.resume();
      return;
    }
    const drops = drop !== undefined && total.connections <= (drop.times ?? Number.POSITIVE_INFINITY);
    const shape: SocketShape = {
      delayMs: findFault(options.faults, "slow")?.delayMs ?? 0,
      dropAfter: drops ? { bytes: drop.bytes, direction: drop.direction ?? "in" } : undefined,
    };
    const plain = shape.delayMs === 0 && shape.dropAfter === undefined;
    // ssh2 uses what any duplex stream has, and the address.
    ssh.injectSocket(plain ? socket : (new ShapedSocket(socket, shape) as unknown as Socket));
  });
  const held = findFault(options.faults, "refuse") === undefined ? undefined : await holdPort();

  return {
    port: held?.port ?? (await listen(listener)),
    traffic: () => {
      let { bytesIn, bytesOut } = total;
      for (const socket of sockets) {
        bytesIn += socket.bytesRead;
        bytesOut += socket.bytesWritten;
      }
      return { connections: total.connections, openConnections: sockets.size, bytesIn, bytesOut };
    },
    dropConnections: () => {
      for (const socket of sockets) socket.resetAndDestroy();
    },
    close: async () => {
      held?.release();
      const closed = closeServer(listener);
      for (const socket of sockets) socket.end();
      // Destroyed at once, a client that is still sending would see a reset instead of the end.
      const timer = setTimeout(() => {
        for (const socket of sockets) socket.destroy();
      }, farewellMs);
      await closed;
      clearTimeout(timer);
    },
  };
}

function createSshServer({ hostKey, credentials, sessions, faults }: HostServerOptions): SshServer {
  const banner = findFault(faults, "noisyBanner")?.banner;
  return new ssh2.Server(
    {
      hostKeys: [hostKey],
      ident,
      keepaliveInterval: neverMs,
      algorithms: { cipher: [...ciphers] },
      ...(banner === undefined ? {} : { banner }),
    },
    (connection: Connection) => {
      const controller = new AbortController();
      // Every channel of the connection listens.
      setMaxListeners(0, controller.signal);
      // A client that vanishes is no error of the server.
      connection.on("error", () => {});
      connection.on("close", () => controller.abort());
      authenticate(connection, credentials);
      serveSessions(connection, sessions, controller.signal);
      forwardTcp(connection, controller.signal);
    },
  );
}

async function listen(listener: NetServer): Promise<number> {
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  return (listener.address() as AddressInfo).port;
}

async function closeServer(listener: NetServer): Promise<void> {
  if (!listener.listening) return;
  await new Promise<void>((resolve) => listener.close(() => resolve()));
}

/** A user who may log in with a password. */
export interface ConnectionPassword {
  readonly user: string;
  readonly password: string;
}

/** A user who may log in by answering prompts (RFC 4256). */
export interface ConnectionPrompts {
  readonly user: string;
  readonly prompts: readonly { readonly prompt: string; readonly answer: string; readonly echo?: boolean }[];
}

/** Who may log in to a host, and how. */
interface Credentials {
  readonly user: string;
  readonly keys: readonly ParsedKey[];
  readonly passwords: readonly ConnectionPassword[];
  readonly keyboardInteractive: readonly ConnectionPrompts[];
  readonly rejectAll: boolean;
}

/** sshd's default for MaxAuthTries. */
const maxAttempts = 6;

/** Answers a connection's authentication requests as sshd does (RFC 4252), closing it after six failures. */
function authenticate(connection: Connection, credentials: Credentials): void {
  const methods = offeredMethods(credentials);
  let failures = 0;
  const reject = (context: AuthContext): void => {
    // The "none" request is how a client asks for the list of methods: sshd does not count it.
    if (context.method !== "none") failures += 1;
    context.reject([...methods]);
    if (failures >= maxAttempts) connection.end();
  };
  connection.on("authentication", (context) => {
    if (credentials.rejectAll) reject(context);
    else if (context.method === "keyboard-interactive") askQuestions(context, credentials, reject);
    else if (isAccepted(context, credentials)) context.accept();
    else reject(context);
  });
}

function offeredMethods(credentials: Credentials): readonly AuthenticationType[] {
  return [
    "publickey",
    ...(credentials.passwords.length > 0 ? (["password"] as const) : []),
    ...(credentials.keyboardInteractive.length > 0 ? (["keyboard-interactive"] as const) : []),
  ];
}

function isAccepted(context: AuthContext, credentials: Credentials): boolean {
  if (context.method === "password") {
    const { username, password } = context;
    return credentials.passwords.some((entry) => entry.user === username && entry.password === password);
  }
  if (context.method !== "publickey" || context.username !== credentials.user) return false;
  const key = credentials.keys.find((candidate) => candidate.getPublicSSH().equals(context.key.data));
  if (key === undefined) return false;
  // Without a signature the client only asks whether the key would do.
  if (context.signature === undefined || context.blob === undefined) return true;
  return key.verify(context.blob, context.signature, context.hashAlgo) === true;
}

function askQuestions(
  context: Extract<AuthContext, { method: "keyboard-interactive" }>,
  credentials: Credentials,
  reject: (context: AuthContext) => void,
): void {
  const entry = credentials.keyboardInteractive.find(({ user }) => user === context.username);
  if (entry === undefined) {
    reject(context);
    return;
  }
  const prompts = entry.prompts.map(({ prompt, echo }) => ({ prompt, echo: echo ?? false }));
  context.prompt(prompts, (answers) => {
    // An aborted request calls back with an Error instead of answers.
    if (!Array.isArray(answers)) return;
    const right = entry.prompts.every(({ answer }, index) => answers[index] === answer);
    if (right && answers.length === entry.prompts.length) context.accept();
    else reject(context);
  });
}
