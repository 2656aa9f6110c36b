import { posix } from "node:path";
import { VolleyError } from "../../core/errors.ts";
import type { ProcessOptions, ProcessResult, ReadSystem, System } from "../../core/system.ts";
import { quote } from "../../core/unix/shell.ts";
import { parentOf } from "../shared/paths.ts";
import { failureText } from "../shared/run-tool.ts";

/** Options for reaching a remote repository. */
interface GitAccess {
  readonly accept_hostkey: boolean;
  readonly key_file?: string | undefined;
  readonly accept_newhostkey?: boolean | undefined;
  readonly ssh_opts?: string | undefined;
  /** Path of git. */
  readonly executable?: string | undefined;
  readonly umask?: string | number | undefined;
}

/** Return git's environment: no questions, and messages in English. */
export function gitEnvironment({
  accept_hostkey,
  accept_newhostkey,
  key_file,
  ssh_opts,
}: GitAccess): Readonly<Record<string, string>> {
  const ssh = [
    "ssh -o BatchMode=yes",
    accept_hostkey || accept_newhostkey ? "-o StrictHostKeyChecking=accept-new" : "",
    key_file === undefined ? "" : `-i ${quote(key_file)} -o IdentitiesOnly=yes`,
    ssh_opts ?? "",
  ];
  return {
    LC_ALL: "C",
    GIT_TERMINAL_PROMPT: "0",
    GIT_ASKPASS: "true",
    // Reading must not refresh the index.
    GIT_OPTIONAL_LOCKS: "0",
    GIT_SSH_COMMAND: ssh.filter((part) => part !== "").join(" "),
  };
}

/** Runs git for reading; a non-zero exit is a result. */
export type AskGit = (args: readonly string[], cwd?: string) => Promise<ProcessResult>;

/** Runs git for changing; a non-zero exit fails with `ACTION_FAILED`. */
type RunGit = (args: readonly string[], cwd: string) => Promise<ProcessResult>;

/** Make git for reading on a system. */
export function askGit(system: ReadSystem, access: GitAccess, signal: AbortSignal): AskGit {
  const env = gitEnvironment(access);
  return (args, cwd) =>
    system.query([access.executable ?? "git", ...args], {
      env,
      signal,
      ...(cwd === undefined ? {} : { cwd }),
    });
}

/** Git, with the umask that it is to have. */
function commandOf({ executable = "git", umask }: GitAccess): readonly string[] {
  if (umask === undefined) return [executable];
  const octal = typeof umask === "number" ? umask.toString(8) : umask.replace(/^0o/, "");
  return ["sh", "-c", 'umask "$1" && shift && exec "$@"', "sh", octal, executable];
}

/** Make git for changing on a system. */
export function runGit(
  system: System,
  access: GitAccess,
  options: Pick<ProcessOptions, "signal" | "onOutput">,
): RunGit {
  const env = gitEnvironment(access);
  return async (args, cwd) => {
    const result = await system.run([...commandOf(access), ...args], { env, cwd, ...options });
    if (result.code !== 0) throw gitFailure(`git ${args[0]} failed`, result, cwd);
    return result;
  };
}

/** Make the error of a failed git, with a hint where one is known. */
export function gitFailure(what: string, result: ProcessResult, directory: string): VolleyError {
  return new VolleyError("ACTION_FAILED", `${what}: ${explainGit(result)}`, hintOwnership(result, directory));
}

/** Make a hint for git's refusal to work in another user's repository (safe.directory, git-config(1)). */
function hintOwnership({ stderr }: ProcessResult, directory: string): { readonly hint?: string } {
  if (!stderr.includes("dubious ownership")) return {};
  const path = /repository at '(.+)'/.exec(stderr)?.[1] ?? directory;
  return {
    hint: `it belongs to another user: run the task as that user (become), change its owner, or allow it with "git config --global --add safe.directory ${path}"`,
  };
}

/** Return the line of git's output that says why it failed. */
function explainGit(result: ProcessResult): string {
  const line = result.stderr.split("\n").find((text) => /^(fatal|error): /.test(text));
  return line?.replace(/^(fatal|error): /, "") ?? failureText(result);
}

/** A version, resolved in a remote repository. */
export interface RemoteVersion {
  readonly commit: string;
  readonly kind: "branch" | "tag" | "commit";
  /** The branch or tag without `refs/…/`; for `HEAD` the default branch. */
  readonly name: string;
  /** True for a tag whose name is also a branch's, which git clone would take. */
  readonly shadowed?: boolean;
}

const COMMIT = /^([0-9a-f]{40}|[0-9a-f]{64})$/;

/** Tell whether a version is a whole commit id. */
export function isCommit(version: string): boolean {
  return COMMIT.test(version);
}

/** Resolve `HEAD`, a branch, a tag or a commit id in a remote repository; null when it has none of that name. Fails with `ACTION_FAILED`. */
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

/** Return a repository's URL with its password hidden. */
export function hidePassword(repo: string): string {
  return repo.replace(/^(\w+:\/\/[^/:@]*):[^@/]*@/, "$1:***@");
}

/** The wanted state of a copy. */
export interface CheckoutRequest {
  readonly repo: string;
  readonly dest: string;
  /** Name of the remote; git's default is `origin`. */
  readonly remote: string;
  /** The version to check out; null for a commit that only a fetch can resolve. */
  readonly target: RemoteVersion | null;
  readonly version: string;
  readonly bare: boolean;
  readonly depth?: number | undefined;
  readonly refspec?: string | undefined;
  readonly single_branch: boolean;
  readonly recursive: boolean;
  readonly track_submodules: boolean;
  readonly force: boolean;
  readonly reference?: string | undefined;
  readonly separate_git_dir?: string | undefined;
}

function depthOf({ depth }: CheckoutRequest): readonly string[] {
  return depth === undefined ? [] : ["--depth", String(depth)];
}

/** Fetch no tags with a depth: all tags would bring the whole history. */
function tagsOf({ depth }: CheckoutRequest): readonly string[] {
  return depth === undefined ? ["--tags"] : [];
}

/** Make a new copy. The parent directory of `dest` must exist. */
export async function cloneRepository(git: RunGit, request: CheckoutRequest): Promise<void> {
  const { repo, dest, remote, target, bare, refspec, single_branch, version } = request;
  // git clone prefers a branch to a tag of the same name: fetch the tag afterwards.
  const shadowed = target?.shadowed === true;
  const named = target !== null && target.kind !== "commit" && !shadowed;
  const args = [
    "clone",
    ...(bare ? ["--bare"] : ["--origin", remote]),
    ...depthOf(request),
    ...(single_branch ? ["--single-branch"] : []),
    ...(request.reference === undefined ? [] : ["--reference", request.reference]),
    ...(request.separate_git_dir === undefined ? [] : [`--separate-git-dir=${request.separate_git_dir}`]),
    // HEAD needs no name, and an empty repository has no branch.
    ...(named && version !== "HEAD" ? ["--branch", target.name] : []),
    ...(named || bare ? [] : ["--no-checkout"]),
  ];
  await git([...args, "--", repo, posix.basename(dest)], parentOf(dest));
  if (bare && remote !== "origin") await git(["config", `remote.${remote}.url`, repo], dest);
  if (refspec !== undefined) await git(["fetch", ...depthOf(request), remote, refspec], dest);
  if (shadowed && !bare) await checkOutTag(git, request, target.name);
  else if (!named && !bare && version !== "HEAD") await checkOutCommit(git, request);
  await updateSubmodules(git, request);
}

/** Update an existing copy to the wanted version. Local commits on the branch are dropped, as in Ansible. */
export async function updateRepository(git: RunGit, request: CheckoutRequest): Promise<void> {
  const { dest, remote, target, bare, refspec, force } = request;
  if (force && !bare) await git(["reset", "--hard", "HEAD", "--"], dest);
  const extra = refspec === undefined ? [] : [refspec];
  if (bare) {
    await git(
      [
        "fetch",
        "--force",
        ...depthOf(request),
        remote,
        "+refs/heads/*:refs/heads/*",
        "+refs/tags/*:refs/tags/*",
        ...extra,
      ],
      dest,
    );
    return;
  }
  if (target?.kind === "branch") {
    const ref = `refs/remotes/${remote}/${target.name}`;
    await git(
      [
        "fetch",
        "--force",
        ...tagsOf(request),
        ...depthOf(request),
        remote,
        `+refs/heads/${target.name}:${ref}`,
        ...extra,
      ],
      dest,
    );
    await git(["checkout", "--force", "-B", target.name, ref, "--"], dest);
  } else if (target?.kind === "tag") {
    await checkOutTag(git, request, target.name);
  } else {
    if (refspec !== undefined) await git(["fetch", "--force", ...depthOf(request), remote, refspec], dest);
    await checkOutCommit(git, request);
  }
  await updateSubmodules(git, request);
}

async function checkOutTag(git: RunGit, request: CheckoutRequest, name: string): Promise<void> {
  const { dest, remote, refspec } = request;
  const ref = `refs/tags/${name}`;
  const extra = refspec === undefined ? [] : [refspec];
  await git(["fetch", "--force", ...depthOf(request), remote, `+${ref}:${ref}`, ...extra], dest);
  await git(["checkout", "--force", "--detach", ref, "--"], dest);
}

/** Check out a commit; fetch all branches if it is missing, then its id, as it may be on no branch or beyond the depth. */
async function checkOutCommit(git: RunGit, request: CheckoutRequest): Promise<void> {
  const { dest, remote, target, version } = request;
  const commit = target?.commit ?? version;
  const fetches = [
    null,
    [...tagsOf(request), remote, `+refs/heads/*:refs/remotes/${remote}/*`],
    [remote, commit],
  ];
  let failure: unknown;
  for (const fetch of fetches) {
    try {
      if (fetch !== null) await git(["fetch", "--force", ...depthOf(request), ...fetch], dest);
      await git(["checkout", "--force", "--detach", commit, "--"], dest);
      return;
    } catch (thrown) {
      failure = thrown;
    }
  }
  throw failure;
}

async function updateSubmodules(
  git: RunGit,
  { dest, bare, recursive, track_submodules, force }: CheckoutRequest,
): Promise<void> {
  if (bare || !recursive) return;
  await git(["submodule", "sync", "--recursive"], dest);
  const options = [...(track_submodules ? ["--remote"] : []), ...(force ? ["--force"] : [])];
  await git(["submodule", "update", "--init", "--recursive", ...options], dest);
}
