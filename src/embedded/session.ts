import { connect, isIPv4 } from "node:net";
import type { Connection, PseudoTtyInfo, ServerChannel, Session } from "ssh2";
import {
  type ExecContext,
  type RunningCommand,
  type RunningOnTerminal,
  runCommand,
  runOnTerminal,
} from "./commands.ts";
import { serveSftp } from "./sftp-server.ts";
import type { SftpContext } from "./sftp-session.ts";

/** The context of a host's sessions. */
export interface SessionContext {
  readonly exec: Omit<ExecContext, "closed">;
  /** Undefined when the host has no SFTP subsystem. */
  readonly sftp: SftpContext | undefined;
  readonly onExec: (command: string) => void;
  /** Most sessions that a connection may have at a time. */
  readonly maxSessions: number;
}

/** Serve a connection's session channels (RFC 4254, section 6): commands, with or without a terminal, and SFTP. */
export function serveSessions(connection: Connection, context: SessionContext, closed: AbortSignal): void {
  let open = 0;
  connection.on("session", (accept, reject) => {
    if (open >= context.maxSessions) return reject();
    const session = accept();
    if (session === undefined) return;
    open++;
    const controller = new AbortController();
    const abort = (): void => controller.abort();
    closed.addEventListener("abort", abort, { once: true });
    session.on("close", () => {
      open--;
      closed.removeEventListener("abort", abort);
      abort();
    });
    serveSession(session, context, controller.signal);
  });
}

function serveSession(session: Session, context: SessionContext, closed: AbortSignal): void {
  const env: Record<string, string> = { ...context.exec.env };
  let running: RunningCommand | undefined;
  let terminal: (PseudoTtyInfo & { readonly term: string }) | undefined;
  let resize: RunningOnTerminal["resize"] | undefined;
  const run = (channel: ServerChannel, command: string | undefined): void => {
    context.onExec(command ?? "");
    const options = { ...context.exec, env, closed };
    if (terminal === undefined) {
      running = runCommand(channel, command, options);
      return;
    }
    const started = runOnTerminal(channel, command, terminal, options);
    running = started;
    resize = started.resize;
  };

  session.on("pty", (accept, _reject, info) => {
    // ssh2's types leave out the kind of terminal.
    terminal = { ...info, term: (info as { readonly term?: string }).term ?? "xterm" };
    accept?.();
  });
  session.on("window-change", (accept, _reject, { cols, rows }) => {
    resize?.(cols, rows);
    accept?.();
  });

  session.on("env", (accept, reject, info: { key: string; val: string }) => {
    // Debian's sshd_config accepts these (AcceptEnv).
    if (!/^(LANG|LC_\w+)$/.test(info.key)) return reject?.();
    env[info.key] = info.val;
    accept?.();
  });
  session.on("exec", (accept, _reject, { command }) => run(accept(), command));
  session.on("shell", (accept) => run(accept(), undefined));
  session.on("signal", (accept, _reject, { name }) => {
    running?.signal(name);
    accept?.();
  });
  session.on("subsystem", (accept, reject, { name }) => {
    if (name !== "sftp" || context.sftp === undefined) return reject();
    const channel = accept();
    if (context.sftp.profileOutput !== "") channel.write(context.sftp.profileOutput);
    void serveSftp(channel, context.sftp, closed);
  });
  session.on("eof", () => {
    // ssh2 1.17 refuses signals after the client has ended its input; sshd accepts them.
    (session as unknown as { _ending: boolean })._ending = false;
  });
}

/** Serve direct-tcpip channels (RFC 4254, section 7.2), to loopback addresses only. */
export function forwardTcp(connection: Connection, closed: AbortSignal): void {
  connection.on("tcpip", (accept, reject, { destIP, destPort }) => {
    if (!isLoopback(destIP)) return reject();
    const socket = connect({ host: destIP, port: destPort, noDelay: true });
    const onClosed = (): void => void socket.destroy();
    closed.addEventListener("abort", onClosed, { once: true });
    socket.once("close", () => closed.removeEventListener("abort", onClosed));
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.off("error", reject);
      const channel = accept();
      if (closed.aborted || channel === undefined) return onClosed();
      // Deliver the bytes that the client sent before it closed the channel.
      channel.on("error", onClosed).on("close", () => socket.destroySoon());
      socket.on("error", () => channel.close());
      socket.pipe(channel).pipe(socket);
    });
  });
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || (isIPv4(host) && host.startsWith("127."));
}
