import type { Readable, Writable } from "node:stream";
import { VolleyError } from "../../core/errors.ts";
import type { FileSession } from "../file-session.ts";
import type { RemoteExit } from "../transport.ts";
import { createFiles } from "./files.ts";
import { DEFAULT_DATA_BYTES, MAX_DATA_BYTES } from "./protocol.ts";
import { MalformedSftpError } from "./reader.ts";
import { encodeRequest, stringField } from "./request.ts";
import { createRequests, notSftp, type SftpRequests } from "./requests.ts";

/** Whatever an SFTP server is spoken with over: a process, or the channel of a subsystem. */
export interface SftpDuplex {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr?: Readable;
  readonly exit: Promise<RemoteExit>;
}

/** How a session is opened. */
export interface OpenFileSessionOptions {
  /** For messages. */
  readonly host: string;
  readonly signal: AbortSignal;
  /** For the server's greeting, in milliseconds. Default: 15 seconds. */
  readonly timeoutMs?: number;
  /** Called once when the session is over, however it ended. */
  readonly onEnd?: () => void;
}

/** What a server without SFTP exits with: sh(1) for what is not found, and sftp-server's own script. */
export const NO_SFTP_SERVER_EXIT = 127;

/** What to do where no server answers. */
export const NO_SUBSYSTEM_HINT = "its sshd_config needs a Subsystem sftp line";

const GREETING_MS = 15_000;
const STDERR_KEPT = 2_000;

/**
 * Speaks SFTP version 3 with a server that is there already. Fails with `SFTP_UNAVAILABLE` when nothing that speaks it
 * answers, and with `CANCELLED`. The signal counts until the session is open; after that, `end()` does.
 */
export async function openFileSession(
  duplex: SftpDuplex,
  { host, signal, timeoutMs = GREETING_MS, onEnd }: OpenFileSessionOptions,
): Promise<FileSession> {
  const { stdin, stdout, stderr, exit } = duplex;
  let said = "";
  let isOpen = false;
  const close = (): void => {
    stdin.end();
    // What a server goes on sending is not kept.
    stdout.off("data", receive).resume();
    stdout.destroy();
    onEnd?.();
  };
  const requests = createRequests(host, stdin, close);
  const receive = (chunk: Buffer): void => requests.receive(chunk);
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
    requests.fail(new VolleyError("CANCELLED", `${host}: cancelled before SFTP was there`));
  const timer = setTimeout(() => lost(`no answer within ${timeoutMs / 1_000} s`), timeoutMs);
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    const { version, extensions } = await requests.version;
    if (version !== 3) {
      const error = notSftp(host, new MalformedSftpError(`version ${version}`), false);
      requests.fail(error);
      throw error;
    }
    const limits = extensions.has("limits@openssh.com") ? await askLimits(requests) : undefined;
    if (requests.failure !== undefined) throw requests.failure;
    isOpen = true;
    const traits = {
      host,
      extensions,
      maxReadBytes: bounded(limits?.readBytes),
      maxWriteBytes: bounded(limits?.writeBytes),
    };
    return createFiles(requests, traits, {
      end: () => requests.fail(new VolleyError("CONNECTION_LOST", `${host}: the SFTP session was closed`)),
      ended: exit,
    });
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  }
}

/** Of OpenSSH's PROTOCOL, section 4.8; 0 stands for no limit of its own. */
async function askLimits(
  requests: SftpRequests,
): Promise<{ readonly readBytes: number; readonly writeBytes: number } | undefined> {
  const reply = await requests.send((id) => encodeRequest(200, id, [stringField("limits@openssh.com")]));
  if (reply.type !== "extended" || reply.fields.left() < 24) return undefined;
  reply.fields.uint64();
  return { readBytes: reply.fields.uint64(), writeBytes: reply.fields.uint64() };
}

function bounded(limit: number | undefined): number {
  return Math.min(limit === undefined || limit === 0 ? DEFAULT_DATA_BYTES : limit, MAX_DATA_BYTES);
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
