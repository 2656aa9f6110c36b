import { type SpawnOptions, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { printable, VolleyError } from "../../core/errors.ts";

// OpenSSH's ssh-keygen, which signs and verifies.

/** The end of a call of ssh-keygen. */
export interface SshKeygenEnd {
  /** True when it ended by itself with code 0. */
  readonly ok: boolean;
  /** Name of the signal that ended it, null for none. */
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The surroundings of a call of ssh-keygen. */
interface SshKeygenOptions {
  /** Standard input; `inherit` for a call that may ask for a passphrase, which ssh-keygen does only with a terminal there. */
  readonly input?: Uint8Array | "inherit";
  /** True when ssh-keygen itself writes to standard error, as it does to ask for a touch of a security key. */
  readonly showsErrors?: boolean;
}

/** Run ssh-keygen. Fails with `SIGNING_FAILED` when there is none. */
export async function sshKeygen(
  args: readonly string[],
  { input = Buffer.alloc(0), showsErrors = false }: SshKeygenOptions = {},
): Promise<SshKeygenEnd> {
  const options: SpawnOptions = {
    stdio: [input === "inherit" ? "inherit" : "pipe", "pipe", showsErrors ? "inherit" : "pipe"],
    env: { ...process.env, LC_ALL: "C" },
  };
  const child = spawn("ssh-keygen", args, options);
  // A refusal may come before all input was read.
  child.stdin?.on("error", () => {});
  if (input !== "inherit") child.stdin?.end(input);
  const ended = new Promise<Pick<SshKeygenEnd, "ok" | "signal">>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => resolve({ ok: code === 0, signal }));
  });
  const [stdout, stderr, end] = await Promise.all([
    readText(child.stdout!),
    child.stderr === null ? "" : readText(child.stderr),
    ended.catch((thrown: NodeJS.ErrnoException) => {
      if (thrown.code !== "ENOENT") throw thrown;
      throw new VolleyError("SIGNING_FAILED", "ssh-keygen is missing here", {
        cause: thrown,
        hint: "install OpenSSH's client, 8.2 or newer",
      });
    }),
  ]);
  return { ...end, stdout, stderr };
}

/** Read a stream's text as it is: an identity may begin with a byte order mark, as its file does. */
async function readText(stream: NodeJS.ReadableStream): Promise<string> {
  return (await buffer(stream)).toString("utf8");
}

/** Return the first line of ssh-keygen's complaint, without its question and the names of files that only Volley knows. */
export function complaint({ stdout, stderr }: SshKeygenEnd, directory: string): string {
  const lines = `${stderr}\n${stdout}`
    .split(/\r?\n/)
    .map((each) => each.replace(/^Enter passphrase[^:]*: /, ""));
  // Lines of @ are the frame of a heading.
  const line = lines.find((one) => /^\s*[^\s@]/.test(one)) ?? "no reason given";
  return printable(line.trim().replaceAll(`${directory}/`, ""), 300);
}

/** Call a function with a directory of mode 0700 for files of the call, and remove it. */
export async function withPrivateDirectory<Value>(
  work: (directory: string) => Promise<Value>,
): Promise<Value> {
  const directory = mkdtempSync(join(tmpdir(), "volley-signing-"));
  try {
    return await work(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
