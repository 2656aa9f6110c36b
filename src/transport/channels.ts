import type { Duplex } from "node:stream";
import type { Connection, ExecOptions, RemoteProcess } from "./transport.ts";

/** Options for starting a command on a channel of its own. */
export interface CommandOptions extends Pick<ExecOptions, "pty"> {
  readonly env: Readonly<Record<string, string>>;
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
  /** See `Connection.listen`. Absent where the connection belongs to another process. */
  readonly listen?: Connection["listen"];
  close(): void;
}
