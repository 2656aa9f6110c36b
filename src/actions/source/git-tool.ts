import { VolleyError } from "../../core/errors.ts";
import type { ProcessOptions, ProcessResult, ReadSystem, System } from "../../core/system.ts";
import { failureText } from "../shared/run-tool.ts";

/** How a remote repository is reached. */
export interface GitAccess {
  readonly accept_hostkey: boolean;
  readonly key_file?: string | undefined;
  readonly ssh_opts?: string | undefined;
}

/** Git's environment: it must never ask anything, and its words must be those that are looked for. */
export function gitEnvironment({
  accept_hostkey,
  key_file,
  ssh_opts,
}: GitAccess): Readonly<Record<string, string>> {
  const ssh = [
    "ssh -o BatchMode=yes",
    accept_hostkey ? "-o StrictHostKeyChecking=accept-new" : "",
    key_file === undefined ? "" : `-i '${key_file.replaceAll("'", "'\\''")}' -o IdentitiesOnly=yes`,
    ssh_opts ?? "",
  ];
  return {
    LC_ALL: "C",
    GIT_TERMINAL_PROMPT: "0",
    GIT_ASKPASS: "true",
    // Asking must not refresh the index.
    GIT_OPTIONAL_LOCKS: "0",
    GIT_SSH_COMMAND: ssh.filter((part) => part !== "").join(" "),
  };
}

/** Runs git, asking only; a non-zero exit is a result. */
export type AskGit = (args: readonly string[], cwd?: string) => Promise<ProcessResult>;

/** Runs git to change something; a non-zero exit fails with `ACTION_FAILED`. */
export type RunGit = (args: readonly string[], cwd: string) => Promise<ProcessResult>;

/** Git on a system, for reading. */
export function askGit(system: ReadSystem, access: GitAccess, signal: AbortSignal): AskGit {
  const env = gitEnvironment(access);
  return (args, cwd) =>
    system.query(["git", ...args], { env, signal, ...(cwd === undefined ? {} : { cwd }) });
}

/** Git on a system, for changing. */
export function runGit(
  system: System,
  access: GitAccess,
  options: Pick<ProcessOptions, "signal" | "onOutput">,
): RunGit {
  const env = gitEnvironment(access);
  return async (args, cwd) => {
    const result = await system.run(["git", ...args], { env, cwd, ...options });
    if (result.code !== 0) throw gitFailure(`git ${args[0]} failed`, result, cwd);
    return result;
  };
}

/** The error of a git that failed in a directory, with what to do about it where that is known. */
export function gitFailure(what: string, result: ProcessResult, directory: string): VolleyError {
  return new VolleyError("ACTION_FAILED", `${what}: ${explainGit(result)}`, hintOwnership(result, directory));
}

/** Git works in nobody else's repository: safe.directory of git-config(1). */
function hintOwnership({ stderr }: ProcessResult, directory: string): { readonly hint?: string } {
  if (!stderr.includes("dubious ownership")) return {};
  const path = /repository at '(.+)'/.exec(stderr)?.[1] ?? directory;
  return {
    hint: `it belongs to another user: run the task as that user (become), change its owner, or allow it with "git config --global --add safe.directory ${path}"`,
  };
}

/** Why git failed, in the line of its output that says so. */
export function explainGit(result: ProcessResult): string {
  const line = result.stderr.split("\n").find((text) => /^(fatal|error): /.test(text));
  return line?.replace(/^(fatal|error): /, "") ?? failureText(result);
}

/** What a version names in a remote repository. */
export interface RemoteVersion {
  readonly commit: string;
  readonly kind: "branch" | "tag" | "commit";
  /** The branch or tag without `refs/…/`; for `HEAD` the default branch. */
  readonly name: string;
  /** Of a tag: there is a branch of that name, which git clone would take. */
  readonly shadowed?: boolean;
}

const COMMIT = /^([0-9a-f]{40}|[0-9a-f]{64})$/;

/** Whether a version is a whole commit id. */
export function isCommit(version: string): boolean {
  return COMMIT.test(version);
}

/** Asks a remote repository what a version names: `HEAD`, a branch, a tag, or a commit id; null when it names nothing there. Fails with `ACTION_FAILED` when it cannot be asked. */
export async function askRemote(git: AskGit, repo: string, version: string): Promise<RemoteVersion | null> {
  if (isCommit(version)) return { commit: version, kind: "commit", name: version };
  const branch = version.startsWith("refs/heads/") ? version.slice("refs/heads/".length) : version;
  const tag = version.startsWith("refs/tags/") ? version.slice("refs/tags/".length) : version;
  const head = version === "HEAD";
  const wanted = head
    ? ["HEAD"]
    : [`refs/heads/${branch}`, `refs/heads/${tag}`, `refs/tags/${tag}`, `refs/tags/${tag}^{}`];
  const result = await git(["ls-remote", ...(head ? ["--symref"] : []), "--", repo, ...wanted]);
  if (result.code !== 0)
    throw new VolleyError("ACTION_FAILED", `cannot read ${hidePassword(repo)}: ${explainGit(result)}`);
  const refs = new Map<string, string>();
  let defaultBranch: string | undefined;
  for (const line of result.stdout.split("\n")) {
    const [id = "", name = ""] = line.split("\t");
    if (id.startsWith("ref: refs/heads/") && name === "HEAD")
      defaultBranch = id.slice("ref: refs/heads/".length);
    else if (COMMIT.test(id)) refs.set(name, id);
  }
  const commitOf = (name: string): string | undefined => refs.get(name);
  if (head) {
    const commit = commitOf("HEAD");
    if (commit === undefined) return null;
    return defaultBranch === undefined
      ? { commit, kind: "commit", name: commit }
      : { commit, kind: "branch", name: defaultBranch };
  }
  const branchCommit = commitOf(`refs/heads/${branch}`);
  if (branchCommit !== undefined) return { commit: branchCommit, kind: "branch", name: branch };
  const tagCommit = commitOf(`refs/tags/${tag}^{}`) ?? commitOf(`refs/tags/${tag}`);
  if (tagCommit === undefined) return null;
  const shadowed = refs.has(`refs/heads/${tag}`);
  return { commit: tagCommit, kind: "tag", name: tag, ...(shadowed ? { shadowed } : {}) };
}

/** A repository's URL without the password it may carry. */
export function hidePassword(repo: string): string {
  return repo.replace(/^(\w+:\/\/[^/:@]*):[^@/]*@/, "$1:***@");
}
