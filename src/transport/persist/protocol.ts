import type { Socket } from "node:net";
import { type ErrorCode, VolleyError } from "../../core/errors.ts";
import type { Endpoint, PtyOptions, RemoteExit } from "../transport.ts";

/** Both ends must speak the same version. */
export const PERSIST_PROTOCOL = 1;

/** A request of a client, with its own proof. */
export type PersistRequest = (LoanRequest | { readonly type: "list" } | StopRequest) & {
  readonly proof: string;
};

/** Asks for a connection, which is this client's as long as the socket is open. */
export interface LoanRequest {
  readonly type: "loan";
  readonly endpoint: Endpoint;
  /** How long the connection is kept after its last use, in milliseconds. */
  readonly persistMs: number;
  /** Names the client's process: its connections share logins to jump hosts. */
  readonly client: string;
  readonly connectRetries?: number;
  readonly interactive: boolean;
  /** Passphrases of keys, by file. */
  readonly passphrases: Readonly<Record<string, string>>;
}

/** Closes connections: those of the named hosts, else all, and then ends the process. */
export interface StopRequest {
  readonly type: "stop";
  readonly hosts?: readonly string[];
}

/** Opens a channel on a socket of its own. */
export interface ChannelRequest {
  readonly type: "channel";
  /** The secret name of the loan. */
  readonly loan: string;
  readonly open:
    | {
        readonly is: "command";
        readonly command?: string;
        readonly env: Readonly<Record<string, string>>;
        readonly pty?: PtyOptions;
        /** See `ExecOptions.awaitsInput`. */
        readonly awaitsInput?: boolean;
      }
    | { readonly is: "sftp" }
    | { readonly is: "forward"; readonly address: string; readonly port: number };
}

/** An answer of the background process. */
export type PersistAnswer =
  | { readonly type: "working" }
  | {
      readonly type: "lent";
      readonly loan: string;
      readonly connectMs: number;
      readonly authenticateMs: number;
    }
  /** The loan's connection is gone. */
  | { readonly type: "lost"; readonly reason?: string }
  | { readonly type: "failed"; readonly error: PlainError }
  | { readonly type: "opened"; readonly isResizable: boolean }
  | { readonly type: "exit"; readonly exit: RemoteExit }
  | { readonly type: "listed"; readonly kept: readonly KeptConnection[] }
  | { readonly type: "stopped"; readonly hosts: readonly string[] };

/** A connection as `volley persist list` shows it. */
export interface KeptConnection {
  readonly host: string;
  readonly user: string;
  readonly address: string;
  readonly port: number;
  /** Milliseconds since the last use; undefined while a client uses the connection. */
  readonly idleMs?: number;
  /** Milliseconds until the connection is closed; undefined while a client uses it. */
  readonly leftMs?: number;
  readonly channels: number;
}

/** An error of a host as it goes over the socket. */
interface PlainError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint?: string;
}

/** The parts of an error that a client shows. */
export function plainError(thrown: unknown): PlainError {
  if (!(thrown instanceof VolleyError)) return { code: "CONNECT_FAILED", message: (thrown as Error).message };
  const { code, message, hint } = thrown;
  return { code, message, ...(hint === undefined ? {} : { hint }) };
}

/** Make the error of a {@link PlainError} again. */
export function asVolleyError({ code, message, hint }: PlainError): VolleyError {
  return new VolleyError(code, message, hint === undefined ? {} : { hint });
}

/** A socket whose errors end it, and are told by its end. */
export function tolerant(socket: Socket): Socket {
  socket.on("error", () => {});
  return socket;
}
