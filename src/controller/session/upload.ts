import { randomBytes } from "node:crypto";
import { temporaryPath } from "../../core/bundle.ts";
import { isVolleyError, VolleyError } from "../../core/errors.ts";
import { runtimePart } from "../../core/runtimes.ts";
import { quote } from "../../core/unix/shell.ts";
import type { Connection, RemoteProcess } from "../../transport/transport.ts";
import { discardCommand } from "./launch.ts";

// Sending what a launch script misses: bundles and runtimes, over SFTP or to a process that waits for them.

const PROGRESS_MS = 100;
const DISCARD_MS = 5_000;
const CHUNK_BYTES = 64 << 10;

/** Options for sending a bundle. */
interface SendOptions {
  readonly bytes: Buffer;
  readonly signal: AbortSignal;
  /** Called at the beginning, at the end, and every tenth of a second between. */
  readonly onProgress: (bytes: number) => void;
}

/** Return the part of a temporary name that tells the uploads of one session from all others. */
export function makeNonce(): string {
  return randomBytes(6).toString("hex");
}

/**
 * Send a runtime to the host, and go on with what an earlier connection has sent of it. A cut leaves the part there for
 * the next connection; another error removes it.
 */
export async function sendRuntime(
  connection: Connection,
  {
    id,
    directory,
    bytes,
    signal,
    onProgress,
  }: SendOptions & { readonly id: string; readonly directory: string },
): Promise<void> {
  const tell = createProgress(bytes.length, onProgress);
  const path = `${directory}/${runtimePart(id)}`;
  try {
    await connection.upload(bytes, path, { mode: 0o600, resumes: true, signal, onProgress: tell });
  } catch (thrown) {
    if (isVolleyError(thrown) && thrown.code === "UPLOAD_FAILED")
      await discard(connection, `rm -f ${atHome(path)}`);
    throw thrown;
  }
}

/** The line that a waiting script goes on after. */
const GO = "go\n";

/**
 * A script that is started while files are sent, and waits on the host until they have arrived: that saves two round
 * trips. There is none where the host has no session to spare, or has ended the script meanwhile: a shell may limit the
 * time of `read` (`TMOUT`), and sshd that of a silent session (`ChannelTimeout`).
 */
export class WaitingScript {
  readonly #process: Promise<RemoteProcess | undefined>;

  /** Start the script as soon as the connection has opened what an upload needs, which comes first where sessions are few. */
  constructor(connection: Connection, command: string, signal: AbortSignal) {
    // `read` takes no byte behind the line: those are for the command. Without the line, the files did not arrive.
    const waiting = `read -r w || exit 0\n${command}`;
    this.#process = Promise.resolve(connection.expectUpload?.())
      .then(() => connection.exec(waiting, signal, { wait: "nothing" }))
      .catch(() => undefined);
  }

  /** Have the script go on, and return its process. */
  async release(): Promise<RemoteProcess | undefined> {
    const process = await this.#process;
    if (process === undefined) return undefined;
    if (!process.stdin.writable) {
      void dismiss(process);
      return undefined;
    }
    process.stdin.write(GO);
    return process;
  }

  /** End the script. */
  async dismiss(): Promise<void> {
    const process = await this.#process;
    if (process !== undefined) await dismiss(process);
  }
}

/** Send a bundle to a temporary name on a host. An upload that fails is removed, where the host can still be told. */
export async function sendBundle(
  connection: Connection,
  { id, nonce, bytes, signal, onProgress }: SendOptions & { readonly id: string; readonly nonce: string },
): Promise<void> {
  const tell = createProgress(bytes.length, onProgress);
  try {
    await connection.upload(bytes, temporaryPath(id, nonce), { mode: 0o600, signal, onProgress: tell });
  } catch (thrown) {
    await discard(connection, discardCommand(id, nonce));
    throw thrown;
  }
}

/**
 * Write a bundle, or a runtime, to a process that waits for it on standard input. Fails with `CANCELLED`. Returns false when the
 * process ends before, which its exit tells.
 */
export async function writeFile(
  { stdin, exit }: RemoteProcess,
  { bytes, signal, onProgress }: SendOptions,
): Promise<boolean> {
  const tell = createProgress(bytes.length, onProgress);
  const ended = exit.then(() => "ended" as const);
  for (let from = 0; from < bytes.length; from += CHUNK_BYTES) {
    if (signal.aborted) throw new VolleyError("CANCELLED", "cancelled while a file was sent");
    const chunk = bytes.subarray(from, from + CHUNK_BYTES);
    const written = new Promise<"written" | "ended">((resolve) =>
      stdin.write(chunk, (error) => resolve(error ? "ended" : "written")),
    );
    if ((await Promise.race([written, ended])) === "ended") return false;
    tell(from + chunk.length);
  }
  return true;
}

/** Return a path as a word of a shell; a relative one counts from the home. */
function atHome(path: string): string {
  return path.startsWith("/") ? quote(path) : `"$HOME"/${quote(path)}`;
}

/** Tell the beginning, the end, and every tenth of a second between. */
function createProgress(total: number, onProgress: SendOptions["onProgress"]): (bytes: number) => void {
  let toldAt = performance.now();
  onProgress(0);
  return (bytes) => {
    const time = performance.now();
    if (bytes < total && time - toldAt < PROGRESS_MS) return;
    toldAt = time;
    onProgress(bytes);
  };
}

/** End a process that waits for its input, and drop what it said. */
async function dismiss({ stdin, stdout, stderr, exit }: RemoteProcess): Promise<void> {
  stdin.end();
  stdout.resume();
  stderr.resume();
  await exit;
}

/** Remove an upload that failed, unless the host no longer answers. */
async function discard(connection: Connection, command: string): Promise<void> {
  const limit = AbortSignal.timeout(DISCARD_MS);
  const late = new Promise<void>((resolve) =>
    limit.addEventListener("abort", () => resolve(), { once: true }),
  );
  const discarding = connection.exec(command, limit).then(dismiss, () => undefined);
  await Promise.race([discarding, late]);
}
