import { resolve as resolvePath } from "node:path";
import type { Channels } from "../channels.ts";
import { connectCancelled } from "../connect-errors.ts";
import { createSshConnection } from "../ssh/connection.ts";
import type { Connection, Endpoint, SshSettings, Transport } from "../transport.ts";
import { openChannel, streamOf } from "./channel-client.ts";
import type { BackgroundLink, Talk } from "./link.ts";
import { makePersistNonce } from "./place.ts";
import { asVolleyError, type LoanRequest } from "./protocol.ts";

/** The background process must say something as often. */
const ANSWER_MS = 4_000;

/** Options of a transport over the background process. */
export interface PersistOptions {
  readonly link: BackgroundLink;
  /** The transport to use where the background process cannot be used. */
  readonly direct: Transport;
  /** The passphrases that were asked for, by file. */
  readonly passphrases: ReadonlyMap<string, string>;
  readonly interactive: boolean;
  readonly connectRetries: number | undefined;
}

/**
 * Make a transport whose connections belong to the user's background process. Where that process fails, hosts are
 * connected to directly.
 */
export function createPersistTransport(options: PersistOptions): Transport {
  const { link, direct, passphrases, interactive, connectRetries } = options;
  const client = makePersistNonce();
  return {
    connect: async (endpoint, signal) => {
      const persistMs = endpoint.ssh?.persistMs;
      if (persistMs === undefined) return await direct.connect(endpoint, signal);
      const request: LoanRequest = {
        type: "loan",
        endpoint: absolute(endpoint),
        persistMs,
        client,
        interactive,
        passphrases: Object.fromEntries(passphrases),
        ...(connectRetries === undefined ? {} : { connectRetries }),
      };
      const talk = await link.open().catch(() => undefined);
      const lent =
        talk === undefined ? undefined : await loan(talk, request, signal, listenOver(direct, endpoint));
      if (lent !== undefined) return lent;
      const connection = await direct.connect(endpoint, signal);
      // Not before: a wrong password must not be tried twice. The login may have asked for a passphrase.
      link.keep({ ...request, passphrases: Object.fromEntries(passphrases) });
      return connection;
    },
    close: () => {
      link.close();
      direct.close();
    },
  };
}

/** Ask for a connection. Fails as connecting does; returns undefined where the fault is the background process's. */
function loan(
  talk: Talk,
  request: LoanRequest,
  signal: AbortSignal,
  listen: (closed: Promise<unknown>) => Channels["listen"],
): Promise<Connection | undefined> {
  const { socket, path } = talk;
  const { endpoint } = request;
  const { host } = endpoint;
  return new Promise((resolve, reject) => {
    let lostReason: string | undefined;
    let closedHere = false;
    let timer: NodeJS.Timeout;
    const passBy = (): void => {
      resolve(undefined);
      socket.destroy();
    };
    const expect = (): void => {
      clearTimeout(timer);
      timer = setTimeout(passBy, ANSWER_MS);
    };
    const onAbort = (): void => {
      reject(connectCancelled(endpoint));
      socket.destroy();
    };
    const settle = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
    };
    const closed = new Promise<string | undefined>((resolveClosed) => {
      socket.once("close", () => {
        settle();
        resolve(undefined);
        resolveClosed(closedHere ? undefined : (lostReason ?? "the background process has ended"));
      });
    });
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) return onAbort();
    expect();
    talk.onAnswer = (answer) => {
      switch (answer.type) {
        case "working":
          return expect();
        case "failed":
          settle();
          reject(asVolleyError(answer.error));
          return void socket.destroy();
        case "lost":
          lostReason = answer.reason ?? "the connection was closed: volley persist stop";
          return void socket.destroy();
        case "lent": {
          settle();
          const { loan, connectMs, authenticateMs } = answer;
          const close = (): void => {
            closedHere = true;
            socket.destroy();
          };
          const channels = { ...channelsOf(path, host, loan, closed, close), listen: listen(closed) };
          return resolve(createSshConnection(channels, endpoint, { connectMs, authenticateMs }));
        }
        default:
          return passBy();
      }
    };
    talk.ask(request);
  });
}

function channelsOf(
  path: string,
  host: string,
  loan: string,
  closed: Promise<string | undefined>,
  close: () => void,
): Channels {
  return {
    closed,
    command: (command, { env, pty, awaitsInput }) =>
      openChannel(
        path,
        host,
        {
          loan,
          open: {
            is: "command",
            env,
            ...(command === undefined ? {} : { command }),
            ...(awaitsInput === true ? { awaitsInput } : {}),
            // The background process has another terminal, or none.
            ...(pty === undefined ? {} : { pty: { ...pty, term: pty.term ?? process.env.TERM ?? "xterm" } }),
          },
        },
        closed,
      ),
    sftp: () => openChannel(path, host, { loan, open: { is: "sftp" } }, closed),
    forward: async (address, port) =>
      streamOf(await openChannel(path, host, { loan, open: { is: "forward", address, port } }, closed)),
    close,
  };
}

/**
 * Have the host listen over a connection of this process's own, until the kept one is given back: a port is the
 * connection's as long as that lasts, and must not outlive the client.
 */
function listenOver(
  direct: Transport,
  endpoint: Endpoint,
): (closed: Promise<unknown>) => NonNullable<Channels["listen"]> {
  return (closed) => async (address, port, onConnection) => {
    const given = new AbortController();
    void closed.then(() => given.abort());
    const own = await direct.connect(endpoint, given.signal);
    void closed.then(() => own.close());
    let streams = 0;
    let isOver = false;
    const closeUnused = (): void => {
      if (isOver && streams === 0) own.close();
    };
    try {
      const listening = await own.listen!(address, port, (stream) => {
        streams++;
        stream.once("close", () => {
          streams--;
          closeUnused();
        });
        onConnection(stream);
      });
      return {
        port: listening.port,
        close: async () => {
          await listening.close();
          isOver = true;
          closeUnused();
        },
      };
    } catch (thrown) {
      own.close();
      throw thrown;
    }
  };
}

/** Make the paths of an endpoint's files absolute: the background process has another working directory. */
function absolute(endpoint: Endpoint): Endpoint {
  const { privateKeyFile, ssh } = endpoint;
  return {
    ...endpoint,
    privateKeyFile: privateKeyFile === undefined ? undefined : absolutePath(privateKeyFile),
    ...(ssh === undefined ? {} : { ssh: absoluteSettings(ssh) }),
  };
}

function absoluteSettings({ persistMs: _persist, ...ssh }: SshSettings): SshSettings {
  const optional = (path: string | undefined): string | undefined =>
    path === undefined ? undefined : absolutePath(path);
  return {
    ...ssh,
    persistMs: undefined,
    identityFiles: ssh.identityFiles.map(absolutePath),
    agent: optional(ssh.agent),
    forwardedAgent: optional(ssh.forwardedAgent),
    knownHostsFiles: ssh.knownHostsFiles.map(absolutePath),
    newKeysFile: optional(ssh.newKeysFile),
    jumps: ssh.jumps.map(absolute),
  };
}

function absolutePath(path: string): string {
  return path.startsWith("~/") ? path : resolvePath(path);
}
