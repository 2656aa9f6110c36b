import type { Duplex, Readable, Writable } from "node:stream";
import type { FileSession } from "./file-session.ts";
import type { SshSettings } from "./ssh-settings.ts";

/** A process on a host. */
export interface RemoteProcess {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /**
   * Resolves once the process has ended and its output has been read to the end; never rejects. A child that it left
   * behind may hold the output open: it is left alone after a second of silence. (Not by the `ssh` program, which waits.)
   */
  readonly exit: Promise<RemoteExit>;
  /** Tells the process's terminal its new size, in cells; absent without one that is resizable. */
  resize?(columns: number, rows: number): void;
}

/** How a remote process ended. */
export type RemoteExit =
  | { readonly kind: "exited"; readonly code: number }
  | { readonly kind: "signalled"; readonly signal: string }
  /** The connection went before the process told how it ended; or, `refused`, the server granted it no session. */
  | { readonly kind: "lost"; readonly reason: string; readonly refused?: true };

/** How a file is sent. */
export interface UploadOptions {
  readonly mode: number;
  /** Called with the bytes that have arrived so far. */
  readonly onProgress?: (bytes: number) => void;
  readonly signal: AbortSignal;
}

/** How a command is started. */
export interface ExecOptions {
  /** Starts it on a terminal of this size; its stdout and stderr are then one. Default: without a terminal. */
  readonly pty?: {
    readonly columns: number;
    readonly rows: number;
    /** What kind of terminal it is told to be on. Default: this one's `$TERM`, else xterm. */
    readonly term?: string;
    /** Whether its size may change later, which `resize` then tells. Default: no. */
    readonly resizable?: boolean;
  };
}

/** A connection to one host. */
export interface Connection {
  /**
   * Starts a script for `/bin/sh`, whatever the user's login shell is; undefined: the login shell itself, which wants a
   * terminal.
   */
  exec(command: string | undefined, signal: AbortSignal, options?: ExecOptions): Promise<RemoteProcess>;
  /** Sends a file to a path relative to the user's home. Fails with `UPLOAD_FAILED`. */
  upload(bytes: Buffer, path: string, options: UploadOptions): Promise<void>;
  /** Begins what an upload is going to need, so that it has not to wait for that. Absent: there is nothing. */
  expectUpload?(): void;
  /** Opens a session for files. Fails with `SFTP_UNAVAILABLE` where the host offers none. */
  files(signal: AbortSignal): Promise<FileSession>;
  /**
   * Opens a connection from the host to a port it can reach (RFC 4254, section 7.2). Rejects when nothing answers there,
   * or sshd allows none. Absent where the transport cannot.
   */
  forward?(address: string, port: number): Promise<Duplex>;
  /** How long it took to get here, in milliseconds. */
  readonly timings: { readonly connectMs: number; readonly authenticateMs: number };
  /** Resolves when the connection is gone, with the reason unless it was closed from here. */
  readonly closed: Promise<string | undefined>;
  close(): void;
}

/** A host as a transport sees it. */
export interface Endpoint {
  readonly host: string;
  readonly address: string;
  readonly port: number;
  readonly user: string;
  /** The key to use, instead of any other. */
  readonly privateKeyFile: string | undefined;
  /** Default: keys and agent as ssh finds them by itself, no jumps. */
  readonly ssh?: SshSettings;
}

/** How the controller reaches hosts. */
export interface Transport {
  /**
   * Connects and authenticates within the time limit. Fails with `CONNECT_FAILED`, `AUTH_FAILED`,
   * `HOST_KEY_UNKNOWN`, `HOST_KEY_CHANGED` or `CANCELLED`.
   */
  connect(endpoint: Endpoint, signal: AbortSignal): Promise<Connection>;
  close(): void;
}
