import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { printable, VolleyError } from "../core/errors.ts";
import { hideSecretsOfUrls } from "../core/shown-url.ts";
import { DOWNLOAD_LIMITS, type DownloadLimits } from "./download.ts";
import type { GitSource } from "./source.ts";

// A file from a git repository, by the program git.

/** A bundle from a repository, and the commit that it is of. */
export interface GitFile {
  readonly bytes: Buffer;
  readonly commit: string;
}

const COMMIT = /^[0-9a-f]{40}(?:[0-9a-f]{24})?$/;

/**
 * Get a file of a repository, and no history. Undefined when the source still is at the commit `known`. git fetches into
 * a directory below `parent`, which is removed. Fails with `PULL_FAILED`.
 */
export async function gitFile(
  source: GitSource,
  {
    parent,
    known,
    limits = DOWNLOAD_LIMITS,
  }: {
    readonly parent: string;
    readonly known?: string | undefined;
    readonly limits?: DownloadLimits;
  },
): Promise<GitFile | undefined> {
  const { repository, ref, path, shown } = source;
  const fail = (problem: string, cause?: unknown): VolleyError =>
    new VolleyError("PULL_FAILED", `cannot pull ${shown}: ${problem}`, { cause });
  const git = (...args: readonly string[]): Promise<Buffer> => runGit(args, limits, fail);
  const commit =
    ref !== undefined && COMMIT.test(ref) ? ref : commitOf(await git("ls-remote", "--", repository), ref);
  if (commit === undefined) throw fail(ref === undefined ? "the repository is empty" : `it has no ${ref}`);
  if (commit === known) return undefined;
  const directory = mkdtempSync(join(parent, "git-"));
  try {
    await git("init", "-q", "--bare", directory);
    const inside = (...args: readonly string[]): Promise<Buffer> => git("-C", directory, ...args);
    // By name: servers give single commits only where they are told to.
    const wanted = ref ?? "HEAD";
    await inside("fetch", "-q", "--depth=1", "--no-tags", "--", repository, wanted);
    const fetched = (await inside("rev-parse", "FETCH_HEAD^{commit}")).toString().trim();
    const found = await findFile(inside, fetched, path);
    if (typeof found === "string")
      throw fail(`${ref ?? "the repository's branch"} has no file ${path}${found}`);
    if (found.bytes > limits.bytes) throw fail(`it has more than ${limits.bytes} bytes`);
    return { bytes: await inside("cat-file", "blob", found.object), commit: fetched };
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** The kinds of paths of a commit that are no files, by git's mode. */
const KINDS: Readonly<Record<string, string>> = {
  "120000": "a link, and links are not followed",
  "040000": "a directory",
  "160000": "a submodule",
};

/** Find the file at a path of a commit; else return the reason why there is none, for the end of a message. */
async function findFile(
  git: (...args: readonly string[]) => Promise<Buffer>,
  commit: string,
  path: string,
): Promise<string | { readonly object: string; readonly bytes: number }> {
  const parts = path.split("/");
  // The first that is no directory tells why.
  for (let length = 1; length <= parts.length; length++) {
    const part = parts.slice(0, length).join("/");
    const listed = await git("--literal-pathspecs", "ls-tree", "-lz", commit, "--", part);
    const [mode, _type, object, bytes] = listed.toString().split(/\s+/);
    const isLast = length === parts.length;
    if (mode === "" || object === undefined) return "";
    if (mode === "040000" && !isLast) continue;
    const kind = KINDS[mode!];
    if (kind !== undefined) return `: ${part} is ${kind}`;
    return isLast ? { object, bytes: Number(bytes) } : `: ${part} is a file`;
  }
  return "";
}

/** Find a ref's commit among the lines of ls-remote; of a tag with a message, the commit that it stands for. */
function commitOf(listed: Buffer, ref: string | undefined): string | undefined {
  const refs = new Map(
    listed
      .toString()
      .split("\n")
      .map((line) => line.split("\t").reverse() as [string, string]),
  );
  if (ref === undefined) return refs.get("HEAD");
  return (
    refs.get(`refs/tags/${ref}^{}`) ??
    refs.get(`refs/tags/${ref}`) ??
    refs.get(`refs/heads/${ref}`) ??
    refs.get(ref)
  );
}

/** Run git, which asks nobody anything, and writes no file larger than twice what is wanted of it. */
async function runGit(
  args: readonly string[],
  limits: DownloadLimits,
  fail: (problem: string, cause?: unknown) => VolleyError,
): Promise<Buffer> {
  const { env } = process;
  // ulimit counts in blocks of 512 bytes.
  const blocks = Math.ceil((2 * limits.bytes) / 512);
  const child = spawn("sh", ["-c", `ulimit -f ${blocks} 2>&-; exec git "$@"`, "git", ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    timeout: limits.totalMs,
    env: {
      ...env,
      LC_ALL: "C",
      GIT_TERMINAL_PROMPT: "0",
      GIT_SSH_COMMAND: env.GIT_SSH_COMMAND || "ssh -o BatchMode=yes",
      GIT_ALLOW_PROTOCOL: env.GIT_ALLOW_PROTOCOL || "file:git:http:https:ssh",
      // Slower than that for so long is no download.
      GIT_HTTP_LOW_SPEED_LIMIT: "1",
      GIT_HTTP_LOW_SPEED_TIME: String(Math.ceil(limits.silentMs / 1_000)),
    },
  });
  const out: Buffer[] = [];
  let said = "";
  child.stdout.on("data", (chunk: Buffer) => out.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-4_096);
  });
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (...end) => resolve(end));
  });
  if (code === 0) return Buffer.concat(out);
  if (code === 127 && /not found/.test(said))
    throw new VolleyError("PULL_FAILED", "git is missing here", { hint: "install git, or pull from a URL" });
  if (signal === "SIGTERM") throw fail(`git takes longer than ${limits.totalMs / 60_000} minutes`);
  // ssh says first why git cannot read.
  const lines = said.split("\n").map((each) => each.trim());
  const line = lines.find((each) => each !== "" && !/^(?:warning|hint): /i.test(each));
  const why = line?.replace(/^(?:fatal|error): /, "") ?? `git ended with ${code ?? signal}`;
  throw fail(printable(hideSecretsOfUrls(why), 300));
}
