import type { Duplex, Readable, Writable } from "node:stream";
import type { ContainerSettings } from "../core/inventory.ts";
import type { FileAttributes } from "./sftp/codec.ts";

/** A process on a host. */
export interface RemoteProcess {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /**
   * Resolves when the process has ended and its output has been read to the end; never rejects. A child that it left
   * behind may hold the output open: after a second of silence the output is closed. (The `ssh` program waits.)
   */
  readonly exit: Promise<RemoteExit>;
  /** Set the size of the process's terminal, in cells; absent without a resizable terminal. */
  resize?(columns: number, rows: number): void;
}

/** The end of a remote process. */
export type RemoteExit =
  | { readonly kind: "exited"; readonly code: number }
  | { readonly kind: "signalled"; readonly signal: string }
  /** The connection was lost before the exit code arrived; or, `refused`, the server granted no session. */
  | { readonly kind: "lost"; readonly reason: string; readonly refused?: true };

/** Options for sending a file. */
export interface UploadOptions {
  readonly mode: number;
  /**
   * Go on behind the bytes that a file of this name has already; the caller verifies the whole. A transport that cannot
   * go on begins anew. Default: such a file is refused.
   */
  readonly resumes?: boolean;
  /** Called with the number of bytes that have arrived so far. */
  readonly onProgress?: (bytes: number) => void;
  readonly signal: AbortSignal;
}

/** The size of a terminal, in cells. */
export interface TerminalSize {
  readonly columns: number;
  readonly rows: number;
}

/** A terminal to start a command on. */
export interface PtyOptions extends TerminalSize {
  /** The command's `$TERM`. Default: that of this process, else xterm. */
  readonly term?: string;
  /** Allow `resize` to change the size later. Default: no. */
  readonly resizable?: boolean;
}

/**
 * The event that an opening waits for where the server grants no further session. `nothing`: it fails at once. `freed`: a session
 * that was closed a moment ago, or that is idle and is closed for it. `ended`: the end of any session.
 */
export type SessionWait = "nothing" | "freed" | "ended";

/** Options for opening a session. */
interface OpenOptions {
  /** Default: `ended`. */
  readonly wait?: SessionWait;
  /** True where the sessions that stay end only after this one has ended: no caller can wait for them. Default: false. */
  readonly outlived?: boolean;
  /** Ends the wait. */
  readonly signal?: AbortSignal;
}

/** The sessions of one connection, commands and SFTP alike, of which a server grants only so many at a time (RFC 4254, section 6.1). */
export interface Sessions {
  /**
   * Open a session once there is room, in the order of asking. Fails as `start` does, with `CANCELLED`, and with
   * `SESSION_REFUSED` where the wait is over, or could make no room.
   */
  open<T>(start: () => Promise<T>, ended: (opened: T) => Promise<unknown>, options?: OpenOptions): Promise<T>;
  /** Offer the place of an idle session, which `end` ends; returns the function that takes the offer back. */
  idle(end: () => void): () => void;
  /** Register a session that stays until the connection is closed, and takes text by `tell`; returns the function that unregisters it. */
  hold(tell: (text: string) => void): () => void;
  /** Send text to a session that stays, if any. */
  tellHolder(text: string): void;
  /** Return the number of sessions that are open. */
  count(): number;
  /** Resolves with the number of sessions that the server grants at a time, once it has refused one; never for ten or more. */
  readonly limited: Promise<number>;
}

/** The event to wait for where the host grants no further session; `taken`: the caller opens it by {@link Connection.sessions}. */
type Wait = SessionWait | "taken";

/** Options for starting a command. */
export interface ExecOptions {
  /** Start the command on a terminal; stdout and stderr are then one. Default: without a terminal. */
  readonly pty?: PtyOptions;
  /** Default: `freed`. */
  readonly wait?: Wait;
  /**
   * The command does nothing before its standard input speaks, and ends with it. The process may then have been started
   * before it was asked for. Default: no.
   */
  readonly awaitsInput?: boolean;
}

/** A connection to one host. */
export interface Connection {
  /**
   * Start a script for `/bin/sh`, whatever the user's login shell is. Undefined starts the login shell itself, which needs
   * a terminal.
   */
  exec(command: string | undefined, signal: AbortSignal, options?: ExecOptions): Promise<RemoteProcess>;
  /** Send a file to a path, which counts from the user's home unless it is absolute. Fails with `UPLOAD_FAILED`. */
  upload(bytes: Buffer, path: string, options: UploadOptions): Promise<void>;
  /**
   * Prepare for an upload, so that it starts without a wait. Resolves when all is prepared, or the upload will tell why
   * not; never rejects. Absent where an upload needs no preparation.
   */
  expectUpload?(): Promise<void>;
  /** Open a file session; `wait` is `freed` by default. Fails with `SFTP_UNAVAILABLE` where the host offers none. */
  files(signal: AbortSignal, wait?: Wait): Promise<FileSession>;
  /** The connection's sessions, where the transport can tell at once that the host grants no further one. */
  readonly sessions?: Sessions;
  /**
   * Open a connection from the host to a port that it can reach (RFC 4254, section 7.2). Rejects when nothing answers
   * there, or sshd forbids it. Absent where the transport cannot.
   */
  forward?(address: string, port: number): Promise<Duplex>;
  /**
   * Have the host listen on a port, and take the connections to it (RFC 4254, section 7.1). Port 0: the host chooses one.
   * Rejects where sshd forbids it, or the port is in use there. Absent where the transport cannot.
   */
  listen?(address: string, port: number, onConnection: (stream: Duplex) => void): Promise<Forwarded>;
  /** Durations of connecting and logging in, in milliseconds. */
  readonly timings: { readonly connectMs: number; readonly authenticateMs: number };
  /** Resolves when the connection is gone: with the reason, or with undefined after `close()`. */
  readonly closed: Promise<string | undefined>;
  close(): void;
}

/** A port that a host listens on. */
export interface Forwarded {
  readonly port: number;
  /** Have the host listen no longer; connections that were taken stay. */
  close(): Promise<void>;
}

/** A host as a transport sees it. */
export interface Endpoint {
  readonly host: string;
  readonly address: string;
  readonly port: number;
  readonly user: string;
  /** The only key to use. */
  readonly privateKeyFile: string | undefined;
  /** Absent for a local host, and for a container. */
  readonly ssh?: SshSettings;
  readonly container?: ContainerSettings;
}

/** A way of the controller to reach hosts. */
export interface Transport {
  /**
   * Connect and log in within the time limit. Fails with `CONNECT_FAILED`, `AUTH_FAILED`,
   * `HOST_KEY_UNKNOWN`, `HOST_KEY_CHANGED` or `CANCELLED`.
   */
  connect(endpoint: Endpoint, signal: AbortSignal): Promise<Connection>;
  close(): void;
}

/** An authentication method of SSH (RFC 4252). */
export type LoginMethod = "publickey" | "password" | "keyboard-interactive";

/** The treatment of a host with an unknown key: refuse it, ask a person, add the key, or check no key at all. */
export type HostKeyPolicy = (typeof HOST_KEY_POLICIES)[number];

/** The policies, the safest first. */
export const HOST_KEY_POLICIES = ["strict", "ask", "accept-new", "off"] as const;

/** Settings for reaching a host, beyond address and user. Sources in their order: command line, inventory, ssh_config. */
export interface SshSettings {
  /** Keys to try, of which at least the public half exists: the named ones, else those that ssh tries by default. */
  readonly identityFiles: readonly string[];
  /** True when `identityFiles` were named: a person is then asked for their passphrases. */
  readonly identitiesNamed: boolean;
  /** True when the agent may offer only `identityFiles`. */
  readonly identitiesOnly: boolean;
  /** Path of the agent's socket; undefined: no agent. */
  readonly agent: string | undefined;
  readonly forwardAgent: boolean;
  /** The socket of the agent to forward; undefined: `agent`. */
  readonly forwardedAgent: string | undefined;
  /** Authentication methods in the order to try them. */
  readonly loginMethods: readonly LoginMethod[];
  /** Signature algorithms allowed for login keys (ssh_config(5), PubkeyAcceptedAlgorithms); undefined: any. */
  readonly keyAlgorithms: readonly string[] | undefined;
  /** RSA keys with fewer bits are refused, those of hosts too (ssh_config(5), RequiredRSASize). */
  readonly requiredRsaBits: number;
  /** True when questions to a person are allowed (ssh_config(5), BatchMode). */
  readonly mayAsk: boolean;
  readonly password: string | undefined;
  /** The hosts to jump through, the nearest first. */
  readonly jumps: readonly Endpoint[];
  /** The name to look up in known_hosts in place of address and port. */
  readonly hostKeyAlias: string | undefined;
  readonly knownHostsFiles: readonly string[];
  /** The known_hosts file for new keys; undefined: no new host can be trusted. */
  readonly newKeysFile: string | undefined;
  /** Hash the names of new entries. */
  readonly hashKnownHosts: boolean;
  readonly hostKeyPolicy: HostKeyPolicy;
  /** With the policy `off`, true when a host with another key than the listed one gets no password. */
  readonly passwordsNeedKnownKeys: boolean;
  /** Algorithms of ssh2 to negotiate, the best first; undefined: ssh2's own choice. */
  readonly algorithms: Readonly<
    Record<"cipher" | "hmac" | "kex" | "serverHostKey", readonly string[] | undefined>
  >;
  /** The local address to connect from. */
  readonly bindAddress: string | undefined;
  /** The address family to connect by; undefined: any. */
  readonly addressFamily: 4 | 6 | undefined;
  /** Retries when a host refuses the connection; undefined: the default. */
  readonly connectRetries: number | undefined;
  /** Environment of commands on the host, as far as its sshd accepts it (sshd_config(5), AcceptEnv). */
  readonly environment: Readonly<Record<string, string>>;
  /** Time limit for connecting, and again for logging in. */
  readonly connectTimeoutMs: number;
  /** Interval of keepalive messages; 0: none. */
  readonly keepAliveMs: number;
  /** Number of keepalive messages that may stay unanswered. */
  readonly keepAliveCountMax: number;
  /** Have the user's background process keep the connection for so long after its last use; undefined: close it. */
  readonly persistMs: number | undefined;
  /** True when the host, or a jump host, is reached by a ProxyCommand, which ssh2 does not start. */
  readonly usesProxyCommand: boolean;
  /** The reason why only OpenSSH's `ssh` can reach the host; undefined: none. */
  readonly needsOpenSsh: string | undefined;
  /** A reason why ssh2 must not even try; undefined: none. */
  readonly refusedBySsh2: string | undefined;
  /** The call of OpenSSH's `ssh` for this host. */
  readonly openSsh: OpenSshCall;
}

/** A call of OpenSSH's `ssh`, which reads its configuration itself. */
interface OpenSshCall {
  /** The host's name in the configuration. */
  readonly destination: string;
  /** Options from the inventory and the command line. */
  readonly arguments: readonly string[];
}

/** A name in a directory on a host. */
export interface DirectoryEntry {
  readonly name: string;
  readonly attributes: FileAttributes;
}

/** Free room of a file system, from the extension `statvfs@openssh.com`. */
export interface FreeSpace {
  /** Bytes that the logged-in user may still write. */
  readonly freeBytes: number;
  /** Files that still fit; infinite where the file system has no such limit. */
  readonly freeFiles: number;
  /** True when the file system is mounted read-only. */
  readonly isReadOnly: boolean;
}

/** An open file on a host: an opaque handle of the server's. */
export type FileHandle = Buffer;

/**
 * Files on one host over SFTP version 3 (draft-ietf-secsh-filexfer-02) with OpenSSH's extensions. Callers need not await
 * one request before the next: requests are sent in order and are in flight together. Every method fails with
 * `SFTP_FAILED` (`sftpStatus` returns its status code) or with `CONNECTION_LOST`.
 */
export interface FileSession {
  /** Largest write and read that the server takes in one request, in bytes: its `limits@openssh.com`, else 32 KiB. */
  readonly maxWriteBytes: number;
  readonly maxReadBytes: number;
  /** Open a file; `flags` is a sum of `OPEN`. */
  open(path: string, flags: number, attributes?: FileAttributes): Promise<FileHandle>;
  closeHandle(handle: FileHandle): Promise<void>;
  /** Read at most `length` bytes from `position`; null at the end of the file. A server may send fewer. */
  read(handle: FileHandle, position: number, length: number): Promise<Buffer | null>;
  write(handle: FileHandle, position: number, bytes: Uint8Array): Promise<void>;
  /** Return null when nothing is at the path. */
  stat(path: string): Promise<FileAttributes | null>;
  lstat(path: string): Promise<FileAttributes | null>;
  fstat(handle: FileHandle): Promise<FileAttributes>;
  setstat(path: string, attributes: FileAttributes): Promise<void>;
  fsetstat(handle: FileHandle, attributes: FileAttributes): Promise<void>;
  /** Set attributes without following a link (`lsetstat@openssh.com`); fails with status 8 where the server cannot. */
  lsetstat(path: string, attributes: FileAttributes): Promise<void>;
  /** List a directory without `.` and `..`, in the server's order. */
  list(path: string): Promise<readonly DirectoryEntry[]>;
  makeDirectory(path: string, attributes?: FileAttributes): Promise<void>;
  removeDirectory(path: string): Promise<void>;
  remove(path: string): Promise<void>;
  /** Rename a file over an existing one (`posix-rename@openssh.com` where the server has it). */
  rename(from: string, to: string): Promise<void>;
  readLink(path: string): Promise<string>;
  /** Make a symbolic link at `path` that points to `target`. */
  symlink(target: string, path: string): Promise<void>;
  /** Make a hard link (`hardlink@openssh.com`); fails with status 8 where the server cannot. */
  link(existing: string, path: string): Promise<void>;
  realPath(path: string): Promise<string>;
  /** Return the full path, with `~user` as the host knows it (`expand-path@openssh.com`); fails with status 8 where the server cannot. */
  expandPath(path: string): Promise<string>;
  /** Return undefined where the server cannot tell. */
  freeSpace(path: string): Promise<FreeSpace | undefined>;
  /** Write a file's content to the disk (`fsync@openssh.com`); does nothing where the server cannot. */
  sync(handle: FileHandle): Promise<void>;
  /** Close the session; requests in flight fail with `CONNECTION_LOST`. */
  close(): void;
  /** Resolves when the server's process is gone, and sshd has freed the session's place; never rejects. */
  readonly closed: Promise<unknown>;
}
