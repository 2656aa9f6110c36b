import type { Duplex } from "node:stream";
import type { Client, ClientChannel } from "ssh2";
import { VolleyError } from "../../core/errors.ts";
import { loginShellLine } from "../../core/unix/shell.ts";
import type { Channels, CommandOptions } from "../channels.ts";
import { sessionRefused } from "../connect-errors.ts";
import { closeWhenSilent } from "../left-open.ts";
import { NO_SUBSYSTEM_HINT } from "../sftp/open-file-session.ts";
import type { Forwarded, RemoteExit, RemoteProcess } from "../transport.ts";
import { onSession, openSpareSession } from "./spare-session.ts";

/** Make the channels of an ssh2 client that has logged in. */
export function createSshChannels(client: Client, host: string): Channels {
  let reason: string | undefined;
  let closedHere = false;
  client.on("error", (error: Error) => {
    reason ??= error.message;
  });
  const closed = new Promise<string | undefined>((resolve) => {
    client.once("close", () =>
      resolve(closedHere ? undefined : (reason ?? "the connection was closed by the host")),
    );
  });
  let spare: ClientChannel | undefined;
  /** Return the client to start something with, on the session that was opened ahead if there is one. */
  const takeClient = (): Opening => {
    const session = spare;
    spare = undefined;
    return session === undefined ? { client } : { client: onSession(client, session), session };
  };
  return {
    closed,
    command: (command, options) => startCommand(takeClient(), host, command, { ...options, closed }),
    sftp: () => startSftp(takeClient().client, host, closed),
    openAhead: async () => {
      let session: ClientChannel;
      try {
        session = await openSpareSession(client);
      } catch (thrown) {
        if (!isRefused(thrown as Error)) throw thrown;
        // A refusal is an answer, too.
        if (spare !== undefined) return;
        throw sessionRefused(host, thrown);
      }
      // A single session is enough; this answer is the newer one.
      spare?.close();
      spare = session;
      // A server may end a session on which nothing was started.
      session.once("close", () => {
        if (spare === session) spare = undefined;
      });
    },
    forward: (address, port) =>
      new Promise((resolve, reject) => {
        client.forwardOut("127.0.0.1", 0, address, port, (error, channel) => {
          if (error === undefined || error === null) resolve(channel);
          else reject(error);
        });
      }),
    listen: (address, port, onConnection) => listenOn(client, host, { address, port, onConnection }),
    close: () => {
      closedHere = true;
      client.end();
      // end() waits for the other side, which may not answer.
      setTimeout(() => client.destroy(), 1_000).unref();
    },
  };
}

/** Where a host listens, and who takes the connections. */
interface Listening {
  readonly address: string;
  readonly port: number;
  readonly onConnection: (stream: Duplex) => void;
}

/** Ask a host to listen on a port (RFC 4254, section 7.1). Fails with `CONNECT_FAILED`. */
function listenOn(
  client: Client,
  host: string,
  { address, port, onConnection }: Listening,
): Promise<Forwarded> {
  return new Promise((resolve, reject) => {
    client.forwardIn(address, port, (error, bound) => {
      if (error !== undefined && error !== null) {
        return reject(
          new VolleyError("CONNECT_FAILED", `${host} would not listen on ${address}:${port}`, {
            cause: error,
            hint: "the port may be in use there, or its sshd_config forbids it (AllowTcpForwarding, GatewayPorts)",
          }),
        );
      }
      const mine = port === 0 ? bound : port;
      const take = ({ destPort }: { readonly destPort: number }, accept: () => ClientChannel): void => {
        if (destPort !== mine) return;
        const stream = accept();
        stream.on("error", () => {});
        onConnection(stream);
      };
      client.on("tcp connection", take);
      resolve({
        port: mine,
        close: () =>
          new Promise((closed) => {
            client.removeListener("tcp connection", take);
            client.once("close", () => closed());
            try {
              client.unforwardIn(address, mine, () => closed());
            } catch {
              // The connection is gone, and the port with it.
              closed();
            }
          }),
      });
    });
  });
}

/** The client to start something with, and the session that it will be started on. */
interface Opening {
  readonly client: Client;
  readonly session?: ClientChannel;
}

function startCommand(
  { client, session }: Opening,
  host: string,
  command: string | undefined,
  {
    pty,
    env,
    isEager = false,
    onExit,
    closed,
  }: CommandOptions & { readonly closed: Promise<string | undefined> },
): Promise<RemoteProcess> {
  return new Promise((resolve, reject) => {
    const term = pty?.term ?? process.env.TERM ?? "xterm";
    const terminal = pty === undefined ? undefined : { cols: pty.columns, rows: pty.rows, term };
    const onChannel = (error: Error | undefined | null, channel: ClientChannel): void => {
      if (isRefused(error)) return reject(sessionRefused(host, error));
      if (error !== undefined && error !== null) {
        return reject(
          new VolleyError("CONNECT_FAILED", `${host} would not run a command: ${error.message}`, {
            cause: error,
          }),
        );
      }
      resolve({
        ...processOf(channel, closed, onExit),
        ...(pty?.resizable !== true
          ? {}
          : { resize: (columns: number, rows: number) => channel.setWindow(rows, columns, 0, 0) }),
      });
    };
    if (
      isEager &&
      session !== undefined &&
      command !== undefined &&
      pty === undefined &&
      !forwardsAgent(client)
    ) {
      // Data follow the request in the order in which they are sent.
      client.exec(loginShellLine(command), { env }, (error) => {
        if (error !== undefined && error !== null) session.close();
      });
      return resolve(processOf(session, closed, onExit));
    }
    if (command === undefined) client.shell(terminal ?? false, { env }, onChannel);
    else {
      const options = { env, ...(terminal === undefined ? {} : { pty: terminal }) };
      client.exec(loginShellLine(command), options, onChannel);
    }
  });
}

/** Return whether ssh2 asks the host for an agent's socket first, and waits for the answer. */
function forwardsAgent(client: Client): boolean {
  return (
    (client as unknown as { readonly config: { readonly allowAgentFwd?: boolean } }).config.allowAgentFwd ===
    true
  );
}

/** Open a channel for the subsystem (RFC 4254, section 6.5). */
function startSftp(
  client: Client,
  host: string,
  closed: Promise<string | undefined>,
): Promise<RemoteProcess> {
  return new Promise((resolve, reject) => {
    client.subsys("sftp", (error, channel) => {
      if (isRefused(error)) return reject(sessionRefused(host, error));
      if (error !== undefined && error !== null) {
        return reject(
          new VolleyError("SFTP_UNAVAILABLE", `${host} has no SFTP: ${error.message}`, {
            cause: error,
            hint: NO_SUBSYSTEM_HINT,
          }),
        );
      }
      resolve(processOf(channel, closed));
    });
  });
}

function processOf(
  channel: ClientChannel,
  closed: Promise<string | undefined>,
  onExit?: () => void,
): RemoteProcess {
  const { stdin, stderr } = channel;
  if (onExit !== undefined) channel.once("exit", onExit);
  return { stdin, stdout: channel, stderr, exit: exitOf(channel, closed) };
}

function exitOf(channel: ClientChannel, closed: Promise<string | undefined>): Promise<RemoteExit> {
  return new Promise((resolve) => {
    let told: RemoteExit | undefined;
    channel.once("exit", (code: number | null, signal?: string) => {
      told = code === null ? { kind: "signalled", signal: signal ?? "unknown" } : { kind: "exited", code };
      closeWhenSilent([channel, channel.stderr], () => channel.close());
    });
    // A failed write to an ended process is no error: `exit` reports the end.
    channel.stdin.on("error", () => {});
    channel.once("close", () =>
      resolve(told ?? { kind: "lost", reason: "the connection went before the process ended" }),
    );
    void closed.then((reason) =>
      resolve(told ?? { kind: "lost", reason: reason ?? "the connection was closed" }),
    );
  });
}

/** Return true when the server refused to open a channel (RFC 4254, section 5.1); a command that cannot run is another error. */
function isRefused(error: Error | null | undefined): boolean {
  return error instanceof Error && typeof (error as { readonly reason?: unknown }).reason === "number";
}
