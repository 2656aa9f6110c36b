import { spawn } from "node:child_process";
import { join } from "node:path";
import { printable, VolleyError } from "../../core/errors.ts";
import { isRecord } from "../../core/values/value.ts";
import { type NodeBuild, packageFile, packageName } from "./builds.ts";

// Downloading by the user's own npm, which knows registry, proxy, certificates and credentials.

/** More than npm prints when it fails; a success lists thousands of files, which nobody reads. */
const MAX_OUTPUT = 256 * 1024;

/** Hints by npm's error codes. */
const HINTS: readonly (readonly [codes: string, hint: (name: string) => string])[] = [
  [
    "E404 ETARGET ENOVERSIONS",
    () =>
      "the registry that npm uses lacks it: npm config get registry names that registry, --from takes a folder",
  ],
  ["E401 E403 ENEEDAUTH", () => "the registry that npm uses asks for a login: npm login"],
  [
    "EAI_AGAIN ENOTFOUND ECONNREFUSED ECONNRESET ETIMEDOUT ENETUNREACH EHOSTUNREACH ERR_SOCKET_TIMEOUT ENOTCACHED",
    (name) => `without a network: npm pack ${name} elsewhere, and --from with the folder of its file`,
  ],
  [
    "ENOSPC",
    () => "XDG_CACHE_HOME names another place for Volley's caches, npm config set cache one for npm's",
  ],
];

/**
 * Download a package into a directory by `npm pack`, and return the path of the file. Fails with `RUNTIME_FAILED`, and
 * with `CANCELLED` when the signal fires.
 */
export async function downloadPackage(
  build: NodeBuild,
  directory: string,
  signal?: AbortSignal,
): Promise<string> {
  const name = packageName(build);
  const args = ["pack", name, "--json", "--ignore-scripts", "--pack-destination", directory];
  const child = spawn("npm", args, {
    stdio: ["ignore", "pipe", "pipe"],
    ...(signal === undefined ? {} : { signal }),
  });
  const [out, errors] = [gather(child.stdout), gather(child.stderr)];
  const status = await new Promise<number | string | NodeJS.ErrnoException>((resolve) => {
    // A process that was aborted still has to end: its files are removed next.
    child.once("error", (thrown) => void (thrown.name !== "AbortError" && resolve(thrown)));
    child.once("close", (code, killed) => resolve(code ?? killed ?? "an unknown signal"));
  });
  if (signal?.aborted === true) throw new VolleyError("CANCELLED", "the download was cancelled");
  if (status === 0) return join(directory, packageFile(build));
  if (status instanceof Error)
    throw new VolleyError(
      "RUNTIME_FAILED",
      status.code === "ENOENT"
        ? "there is no npm in PATH, and Volley downloads Node by it"
        : `cannot start npm: ${status.message}`,
      { cause: status, hint: `npm pack ${name} elsewhere, and --from with the folder of its file` },
    );
  const { code, summary } = failureOf(out(), errors());
  const [, hint] = HINTS.find(([codes]) => codes.split(" ").includes(code)) ?? [];
  const why = summary === "" ? `npm ended with ${status}` : printable(summary);
  throw new VolleyError("RUNTIME_FAILED", `npm cannot download ${name}: ${why}`, {
    hint: hint === undefined ? `npm pack ${name} shows all that npm says` : hint(name),
  });
}

/** Gather the beginning of a stream's text. */
function gather(stream: NodeJS.ReadableStream): () => string {
  let text = "";
  stream.on("data", (chunk: Buffer) => {
    if (text.length < MAX_OUTPUT) text += chunk.toString("utf8");
  });
  return () => text;
}

/** Find npm's error code and summary: in the JSON that `--json` asks for, else in what it prints for people. */
function failureOf(out: string, errors: string): { readonly code: string; readonly summary: string } {
  const lines = errors.split("\n").map((line) => line.replace(/^npm (?:error|ERR!) ?/, ""));
  const code = lines.flatMap((line) => /^code (\w+)$/.exec(line)?.[1] ?? [])[0] ?? "";
  const text = lines.find((line) => !/^(?:code|syscall|errno|path) /.test(line)) ?? "";
  try {
    const { error } = JSON.parse(out) as { readonly error?: unknown };
    if (!isRecord(error)) return { code, summary: text };
    return { code: String(error.code ?? code), summary: String(error.summary || text).split("\n")[0]! };
  } catch {
    return { code, summary: text };
  }
}
