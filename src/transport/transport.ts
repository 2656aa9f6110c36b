import type { Duplex, Readable, Writable } from "node:stream";
import type { FileSession } from "./file-session.ts";

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

/** A way to log in, as SSH calls it (RFC 4252). */
export type LoginMethod = "publickey" | "password" | "keyboard-interactive";

/** What to do with a host whose key is not known: refuse it, ask a person, add it, or check no key at all. */
export type HostKeyPolicy = "strict" | "ask" | "accept-new" | "off";

/** The policies, the safest first. */
export const HOST_KEY_POLICIES = [
  "strict",
  "ask",
  "accept-new",
  "off",
] as const satisfies readonly HostKeyPolicy[];

/** How one host is reached, beyond address and user: from the command line, the inventory and ssh_config, in this order. */
export interface SshSettings {
  /** Keys to try, those that are there or whose public half is: the ones that are named, else those ssh tries by itself. */
  readonly identityFiles: readonly string[];
  /** Whether they are named: then a person is asked for their passphrases. */
  readonly identitiesNamed: boolean;
  /** Whether the agent may offer only these keys. */
  readonly identitiesOnly: boolean;
  /** Path of the agent's socket; undefined: no agent. */
  readonly agent: string | undefined;
  readonly forwardAgent: boolean;
  /** The socket of the agent to forward, where it is another than the one logged in with. */
  readonly forwardedAgent: string | undefined;
  /** Ways to log in, the first to try first: `publickey`, `password`, `keyboard-interactive`. */
  readonly loginMethods: readonly LoginMethod[];
  /** Algorithms of signatures that keys may be used with (ssh_config(5), PubkeyAcceptedAlgorithms); undefined: any. */
  readonly keyAlgorithms: readonly string[] | undefined;
  /** RSA keys with fewer bits are taken from nobody (ssh_config(5), RequiredRSASize). */
  readonly requiredRsaBits: number;
  /** Whether a person may be asked (ssh_config(5), BatchMode). */
  readonly mayAsk: boolean;
  readonly password: string | undefined;
  /** The hosts to go through, the nearest first. */
  readonly jumps: readonly Endpoint[];
  /** The name to look up in known_hosts instead of the address, without a port. */
  readonly hostKeyAlias: string | undefined;
  readonly knownHostsFiles: readonly string[];
  /** The one of them that new keys are added to; undefined: none, so that no new host can be trusted. */
  readonly newKeysFile: string | undefined;
  /** Whether names are hashed in what is added. */
  readonly hashKnownHosts: boolean;
  readonly hostKeyPolicy: HostKeyPolicy;
  /** With the policy `off`: whether a host that presents another key than the listed one gets no password. */
  readonly passwordsNeedKnownKeys: boolean;
  /** Algorithms to negotiate, the best first, of those that ssh2 has; undefined: ssh2's own choice. */
  readonly algorithms: Readonly<
    Record<"cipher" | "hmac" | "kex" | "serverHostKey", readonly string[] | undefined>
  >;
  /** The address of this machine to connect from. */
  readonly bindAddress: string | undefined;
  /** The kind of address to connect to; undefined: any. */
  readonly addressFamily: 4 | 6 | undefined;
  /** How often to try again when a host refuses the connection; undefined: as often as is usual. */
  readonly connectRetries: number | undefined;
  /** Variables that commands on the host are given, as far as its sshd takes them (sshd_config(5), AcceptEnv). */
  readonly environment: Readonly<Record<string, string>>;
  /** For connecting, and again for logging in. */
  readonly connectTimeoutMs: number;
  /** 0: none. */
  readonly keepAliveMs: number;
  /** How many may stay unanswered. */
  readonly keepAliveCountMax: number;
  /** Whether the host, or one on the way, is reached through a command: ssh2 starts none. */
  readonly usesProxyCommand: boolean;
  /** What is asked for that only OpenSSH's own `ssh` can do; undefined: nothing. */
  readonly needsOpenSsh: string | undefined;
  /** Of that, what a host must not be reached without. */
  readonly refusedBySsh2: string | undefined;
  /** The host as OpenSSH's `ssh` is to be told of it. */
  readonly openSsh: OpenSshCall;
}

/** How OpenSSH's `ssh` is called: it reads its configuration by itself. */
interface OpenSshCall {
  /** The name its configuration knows the host by. */
  readonly destination: string;
  /** What the inventory and the command line say beside it. */
  readonly arguments: readonly string[];
}
