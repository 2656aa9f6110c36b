import type { Readable, Writable } from "node:stream";
import { VolleyError } from "../../core/errors.ts";
import { SHELL_FILES_SCRIPT } from "../shell-files/server.ts";
import { createShellFiles, readShellGreeting, type ShellFiles } from "../shell-files/session.ts";
import type { FileSession, RemoteExit } from "../transport.ts";
import { MAX_DATA_BYTES, MESSAGE, SFTP_VERSION, stringField } from "./codec.ts";
import { createFiles, type SftpServerTraits } from "./files.ts";
import { createRequests, notSftp, type SftpRequests } from "./requests.ts";

/** The streams of an SFTP server: of a process, or of a subsystem's channel. */
export interface SftpDuplex {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr?: Readable;
  readonly exit: Promise<RemoteExit>;
}

/** Options for opening a session. */
export interface OpenFileSessionOptions {
  /** For messages. */
  readonly host: string;
  readonly signal: AbortSignal;
  /** Longest wait for the server's greeting, in milliseconds. Default: 15 seconds. */
  readonly timeoutMs?: number;
  /**
   * Wait for the server's limits, too. Default: true. Without the wait the session opens a round trip sooner, with 32 KiB
   * a message until the limits arrive; OpenSSH sends them before it answers any later request.
   */
  readonly awaitsLimits?: boolean;
}

/** Paths of OpenSSH's sftp-server: Debian, Fedora, Arch, BSD and Alpine, others. */
export const SFTP_SERVER_PATHS: readonly string[] = [
  "/usr/lib/openssh/sftp-server",
  "/usr/libexec/openssh/sftp-server",
  "/usr/lib/ssh/sftp-server",
  "/usr/libexec/sftp-server",
  "/usr/lib/sftp-server",
];

/** Exit code of a host without an SFTP server: that of sh(1) for an unknown command. */
const NO_SFTP_SERVER_EXIT = 127;

/**
 * A shell script that becomes an sftp-server, for users that no subsystem serves; where there is none, the script serves
 * the files itself. Exits with 127 where it cannot.
 */
export const FILE_SERVER_SCRIPT = `for p in ${SFTP_SERVER_PATHS.join(" ")}; do [ -x "$p" ] && exec "$p"; done; command -v sftp-server >/dev/null 2>&1 && exec sftp-server
${SHELL_FILES_SCRIPT}`;

/** The hint for a host without an SFTP server. */
export const NO_SUBSYSTEM_HINT = "its sshd_config needs a Subsystem sftp line";

const GREETING_MS = 15_000;
const STDERR_KEPT = 2_000;
/** Limit of a server without `limits@openssh.com` (section 3 of the draft: at least 34000 bytes a message). */
const DEFAULT_DATA_BYTES = 32 << 10;

/**
 * Speak SFTP version 3 with a running server, or its own way with {@link FILE_SERVER_SCRIPT}. Fails with
 * `SFTP_UNAVAILABLE` when neither answers, and with `CANCELLED`. The signal counts until the session is open; after that,
 * `close()` does.
 */
export async function openFileSession(
  { stdin, stdout, stderr, exit }: SftpDuplex,
  { host, signal, timeoutMs = GREETING_MS, awaitsLimits = true }: OpenFileSessionOptions,
): Promise<FileSession> {
  let said = "";
  let isOpen = false;
  let shell: ShellFiles | undefined;
  const requests = createRequests(host, stdin, () => {
    shell?.fail(requests.failure!);
    stdin.end();
    // Discard what the server still sends.
    stdout.off("data", receive).resume();
    stdout.destroy();
  });
  let resolveShell!: (files: FileSession) => void;
  const shellOpened = new Promise<FileSession>((resolve) => {
    resolveShell = resolve;
  });
  let first: Buffer | undefined = Buffer.alloc(0);
  const receive = (chunk: Buffer): void => {
    if (shell !== undefined) return shell.receive(chunk);
    if (first === undefined) return requests.receive(chunk);
    first = Buffer.concat([first, chunk]);
    const greeting = readShellGreeting(first);
    if (greeting === "partial") return;
    const begun = first;
    first = undefined;
    if (greeting === undefined) return requests.receive(begun);
    shell = createShellFiles({ host, stdin, ...greeting, fail: requests.fail, closed: exit });
    resolveShell(shell.files);
  };
  const lost = (reason: string): void => {
    const last = said.trim().split("\n").at(-1)?.trim();
    const why = last === undefined || last === "" ? reason : last;
    requests.fail(
      isOpen
        ? new VolleyError("CONNECTION_LOST", `${host}: the SFTP session ended: ${why}`)
        : new VolleyError("SFTP_UNAVAILABLE", `${host} has no SFTP: ${why}`, {
            hint: NO_SUBSYSTEM_HINT,
          }),
    );
  };
  stdin.on("error", () => {});
  stdout.on("error", () => {});
  stdout.on("data", receive);
  stderr?.on("error", () => {});
  stderr?.on("data", (chunk: Buffer) => {
    said = (said + chunk.toString("utf8")).slice(-STDERR_KEPT);
  });
  void exit.then((how) => lost(describeExit(how)));
  const onAbort = (): void =>
    requests.fail(new VolleyError("CANCELLED", `${host}: cancelled before the SFTP session was open`));
  const timer = setTimeout(() => lost(`no answer within ${timeoutMs / 1_000} s`), timeoutMs);
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    const greeted = await Promise.race([requests.greeting, shellOpened]);
    if (!("version" in greeted)) {
      isOpen = true;
      return greeted;
    }
    const { version, extensions } = greeted;
    if (version !== SFTP_VERSION) {
      const error = notSftp(host, `version ${version}`, false);
      requests.fail(error);
      throw error;
    }
    const server = { host, extensions, maxReadBytes: DEFAULT_DATA_BYTES, maxWriteBytes: DEFAULT_DATA_BYTES };
    if (extensions.has("limits@openssh.com")) {
      const limited = askLimits(requests).then((limits) => Object.assign(server, limits));
      // The session's end, which each request reports.
      limited.catch(() => {});
      if (awaitsLimits) await limited;
    }
    if (requests.failure !== undefined) throw requests.failure;
    isOpen = true;
    return createFiles(requests, server, {
      close: () => requests.fail(new VolleyError("CONNECTION_LOST", `${host}: the SFTP session was closed`)),
      closed: exit,
    });
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  }
}

/** Ask for the server's limits (OpenSSH's PROTOCOL, section 4.8). */
async function askLimits(
  requests: SftpRequests,
): Promise<Partial<Pick<SftpServerTraits, "maxReadBytes" | "maxWriteBytes">>> {
  const reply = await requests.send(MESSAGE.extended, [stringField("limits@openssh.com")]);
  if (reply.type !== "extended" || reply.fields.left() < 24) return {};
  // The first limit is that of a whole message.
  reply.fields.uint64();
  return { maxReadBytes: bounded(reply.fields.uint64()), maxWriteBytes: bounded(reply.fields.uint64()) };
}

/** A limit of 0 means none. */
function bounded(limit: number): number {
  return Math.min(limit === 0 ? DEFAULT_DATA_BYTES : limit, MAX_DATA_BYTES);
}

function describeExit(exit: RemoteExit): string {
  switch (exit.kind) {
    case "exited":
      return exit.code === NO_SFTP_SERVER_EXIT
        ? "there is no sftp-server"
        : `it ended with exit code ${exit.code}`;
    case "signalled":
      return `it was ended by ${exit.signal}`;
    case "lost":
      return `the connection was lost (${exit.reason})`;
  }
}
