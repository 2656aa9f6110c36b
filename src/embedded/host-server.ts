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
import type { ConnectionPassword, ConnectionPrompts } from "./types.ts";

/** The parts of a host's server. */
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
  /** Reset the open connections. */
  dropConnections(): void;
  /** Stop listening and close every connection. */
  close(): Promise<void>;
}

/** The traffic of a host's connections. */
interface Traffic {
  readonly connections: number;
  readonly openConnections: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

/** Names OpenSSH, so that clients treat the server like the sshd that it replaces. */
const IDENT = "OpenSSH_9.2 Volley-embedded";

/** sshd sends no keepalives by default. ssh2 takes no zero, so this is its longest time, 24 days. */
const NEVER_MS = 2 ** 31 - 1;

/** Time for clients to notice that the server closes. */
const FAREWELL_MS = 100;

const CIPHERS = ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes256-ctr"] as const;

/** Start the SSH server of one host on a free port of 127.0.0.1. */
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
      // Without a reader, the socket would never report that the client has closed it.
      socket.resume();
      return;
    }
    const drops = drop !== undefined && total.connections <= (drop.times ?? Number.POSITIVE_INFINITY);
    const shape: SocketShape = {
      delayMs: findFault(options.faults, "slow")?.delayMs ?? 0,
      dropAfter: drops ? { bytes: drop.bytes, direction: drop.direction ?? "in" } : undefined,
    };
    const plain = shape.delayMs === 0 && shape.dropAfter === undefined;
    // ssh2 uses only the methods of a duplex stream, and the address.
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
      // If destroyed at once, a client that still sends would see a reset and not the end.
      const timer = setTimeout(() => {
        for (const socket of sockets) socket.destroy();
      }, FAREWELL_MS);
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
      ident: IDENT,
      keepaliveInterval: NEVER_MS,
      algorithms: { cipher: [...CIPHERS] },
      ...(banner === undefined ? {} : { banner }),
    },
    (connection: Connection) => {
      const controller = new AbortController();
      // Every channel of the connection adds a listener.
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

/** The users who may log in to a host, and how. */
interface Credentials {
  readonly user: string;
  readonly keys: readonly ParsedKey[];
  readonly passwords: readonly ConnectionPassword[];
  readonly keyboardInteractive: readonly ConnectionPrompts[];
  readonly rejectAll: boolean;
}

/** sshd's default for MaxAuthTries. */
const MAX_ATTEMPTS = 6;

/** Answer a connection's authentication requests as sshd does (RFC 4252); close it after six failures. */
function authenticate(connection: Connection, credentials: Credentials): void {
  const methods = offeredMethods(credentials);
  let failures = 0;
  const reject = (context: AuthContext): void => {
    // A client asks for the list of methods by a "none" request, which sshd does not count.
    if (context.method !== "none") failures += 1;
    context.reject([...methods]);
    if (failures >= MAX_ATTEMPTS) connection.end();
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
  // Without a signature the client only asks whether the host accepts the key.
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
    // An aborted request calls back with an Error in place of answers.
    if (!Array.isArray(answers)) return;
    const right = entry.prompts.every(({ answer }, index) => answers[index] === answer);
    if (right && answers.length === entry.prompts.length) context.accept();
    else reject(context);
  });
}
