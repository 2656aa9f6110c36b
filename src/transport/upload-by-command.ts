import { VolleyError } from "../core/errors.ts";
import { quote } from "../core/unix/shell.ts";
import type { RemoteProcess, UploadOptions } from "./transport.ts";

const CHUNK_BYTES = 64 << 10;
const EXISTS = 73;

/**
 * Send a file on the input of a `cat`, and compare the number of bytes that arrived. `start` starts a script for `sh` in
 * the user's home. Fails with `UPLOAD_FAILED`, `CONNECTION_LOST` or `CANCELLED`.
 */
export async function uploadByCommand(
  start: (script: string) => RemoteProcess,
  host: string,
  bytes: Buffer,
  path: string,
  { mode, resumes = false, onProgress, signal }: UploadOptions,
): Promise<void> {
  // A file that others may be sending at the same time gets its name when it is whole.
  const file = resumes ? `${quote(path)}.$$` : quote(path);
  const name = resumes ? ` && mv -f ${file} ${quote(path)}` : "";
  const permissions = mode.toString(8);
  const umask = (0o777 & ~mode).toString(8);
  // noclobber: a file or link that another user planted under this name is refused, not followed.
  const script = `umask ${umask}; set -C; { [ ! -e ${file} ] || exit ${EXISTS}; }; cat > ${file} && chmod ${permissions} ${file} && wc -c < ${file}${name}`;
  const process = start(script);
  let stdout = "";
  let stderr = "";
  process.stdout.on("data", (chunk: Buffer) => {
    stdout += chunk.toString("utf8");
  });
  process.stderr.on("data", (chunk: Buffer) => {
    stderr = (stderr + chunk.toString("utf8")).slice(-4_000);
  });
  const onAbort = (): void => void process.stdin.destroy();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    await writeAll(process, bytes, onProgress, signal);
    const exit = await process.exit;
    if (signal.aborted) throw new VolleyError("CANCELLED", `${host}: sending was cancelled`);
    if (exit.kind === "lost")
      throw new VolleyError(
        "CONNECTION_LOST",
        `${host}: the connection went while sending a file: ${exit.reason}`,
      );
    const arrived = Number(/(\d+)\s*$/.exec(stdout.trim())?.[1]);
    if (exit.kind === "exited" && exit.code === 0 && arrived === bytes.length) return;
    const why =
      exit.kind === "exited" && exit.code === EXISTS
        ? "there is a file of this name already"
        : stderr.trim().split("\n").at(-1) || `${arrived} of ${bytes.length} bytes arrived`;
    const directory = path.split("/").slice(0, -1).join("/");
    const place = path.startsWith("/") ? directory : `~/${directory}`;
    throw new VolleyError("UPLOAD_FAILED", `${host}: cannot write in ${place}: ${why}`);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

async function writeAll(
  { stdin, exit }: RemoteProcess,
  bytes: Buffer,
  onProgress: UploadOptions["onProgress"],
  signal: AbortSignal,
): Promise<void> {
  const ended = exit.then(() => "ended" as const);
  for (let from = 0; from < bytes.length && !signal.aborted; from += CHUNK_BYTES) {
    const chunk = bytes.subarray(from, from + CHUNK_BYTES);
    const written = new Promise<"written" | "ended">((resolve) =>
      stdin.write(chunk, (error) => resolve(error === null || error === undefined ? "written" : "ended")),
    );
    if ((await Promise.race([written, ended])) === "ended") return;
    onProgress?.(from + chunk.length);
  }
  stdin.end();
}
