import { once, setMaxListeners } from "node:events";
import { type AddressInfo, connect, createServer, type Server as NetServer, type Socket } from "node:net";
import { Duplex } from "node:stream";
import ssh2, {
  type AuthContext,
  type AuthenticationType,
  type Connection,
  type ParsedKey,
  type Server as SshServer,
} from "ssh2";
import { type ConnectionPassword, type ConnectionPrompts, findFault, type HostFault } from "./options.ts";
import { forwardTcp, type SessionContext, serveSessions } from "./session.ts";

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

/** Impairments of a connection. */
interface SocketShape {
  /** Delay of every byte, in each direction. */
  readonly delayMs: number;
  /** Bytes in one direction after which the connection is reset. */
  readonly dropAfter?: { readonly bytes: number; readonly direction: "in" | "out" } | undefined;
}

/** A socket on a bad line: with a delay each way, and a reset after so many bytes. */
class ShapedSocket extends Duplex {
  readonly #socket: Socket;
  readonly #shape: SocketShape;
  readonly #counts = { in: 0, out: 0 };
  readonly #timers = new Set<NodeJS.Timeout>();

  constructor(socket: Socket, shape: SocketShape) {
    super({ allowHalfOpen: false });
    this.#socket = socket;
    this.#shape = shape;
    socket.on("data", (chunk: Buffer) => {
      const allowed = this.#admit("in", chunk);
      if (allowed.length > 0) this.#later(() => this.push(allowed));
    });
    socket.on("end", () => this.#later(() => this.push(null)));
    socket.on("error", (error) => this.destroy(error));
    socket.on("close", () => this.#later(() => this.destroy()));
  }

  get remoteAddress(): string | undefined {
    return this.#socket.remoteAddress;
  }

  get remotePort(): number | undefined {
    return this.#socket.remotePort;
  }

  get remoteFamily(): string | undefined {
    return this.#socket.remoteFamily;
  }

  setNoDelay(on?: boolean): this {
    this.#socket.setNoDelay(on);
    return this;
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    const allowed = this.#admit("out", chunk);
    if (allowed.length > 0) this.#later(() => this.#socket.write(allowed));
    callback();
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.#later(() => this.#socket.end());
    callback();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#socket.destroy();
    callback(error);
  }

  #later(action: () => void): void {
    if (this.#shape.delayMs <= 0) {
      if (!this.destroyed) action();
      return;
    }
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      if (!this.destroyed) action();
    }, this.#shape.delayMs);
    this.#timers.add(timer);
  }

  /** Return the part of the chunk that still gets through; reset the connection when some of it does not. */
  #admit(direction: "in" | "out", chunk: Buffer): Buffer {
    const { dropAfter } = this.#shape;
    if (dropAfter?.direction !== direction) return chunk;
    const room = Math.max(0, dropAfter.bytes - this.#counts[direction]);
    this.#counts[direction] += chunk.length;
    if (chunk.length <= room) return chunk;
    setImmediate(() => this.#socket.resetAndDestroy());
    return chunk.subarray(0, room);
  }
}

/** A loopback port that the kernel gives to no other process. */
export interface HeldPort {
  readonly port: number;
  release(): void;
}

/**
 * Hold a free port of 127.0.0.1 without listening on it, so that connections to it are refused. The kernel would give a
 * port that was only closed to the next process that asks for a free one. A process may still listen on this port by its
 * number.
 */
export async function holdPort(): Promise<HeldPort> {
  const listener = createServer();
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  const { port } = listener.address() as AddressInfo;
  const client = connect(port, "127.0.0.1");
  const [held] = (await once(listener, "connection")) as [Socket];
  // The kernel hands out no port that a connection is bound to, even one without its listener.
  const both = [client, held];
  for (const socket of both) {
    socket.on("error", () => {});
    socket.unref();
  }
  listener.close();
  return {
    port,
    release: () => {
      for (const socket of both) socket.destroy();
    },
  };
}
