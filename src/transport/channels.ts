import type { Duplex } from "node:stream";
import type { Connection, ExecOptions, RemoteProcess } from "./transport.ts";

/** Options for starting a command on a channel of its own. */
export interface CommandOptions extends Pick<ExecOptions, "pty" | "awaitsInput"> {
  readonly env: Readonly<Record<string, string>>;
  /**
   * Return the process as soon as the host was asked for it, so that its input needs no round trip of its own; a refusal is
   * then the end of the process. Without effect on a terminal, and where the agent is forwarded. Default: no.
   */
  readonly isEager?: boolean;
  /** Called as soon as the host says that the process has ended: `exit` waits until its output is read. */
  onExit?(): void;
}

/** The channels of one connection to a host (RFC 4254, section 5), of which a `Connection` is made. */
export interface Channels {
  /** Resolves when the connection is gone: with the reason, or with undefined after `close()`. */
  readonly closed: Promise<string | undefined>;
  /** Start a script for `/bin/sh`; undefined starts the login shell. Fails with `SESSION_REFUSED` or `CONNECT_FAILED`. */
  command(command: string | undefined, options: CommandOptions): Promise<RemoteProcess>;
  /** Start the SFTP server (RFC 4254, section 6.5). Fails with `SESSION_REFUSED` or `SFTP_UNAVAILABLE`. */
  sftp(): Promise<RemoteProcess>;
  /** Open a stream from the host to a port (RFC 4254, section 7.2). */
  forward(address: string, port: number): Promise<Duplex>;
  /** See `Connection.listen`. Absent where the transport cannot. */
  readonly listen?: Connection["listen"];
  /**
   * Open a session for the next command or SFTP server, which then needs no round trip for it. The answer also shows that
   * the host is there. Fails with `SESSION_REFUSED`. Absent where the transport cannot.
   */
  openAhead?(): Promise<void>;
  close(): void;
}
