import { posix } from "node:path";
import { parentOf } from "../shared/paths.ts";
import type { RemoteVersion, RunGit } from "./git-tool.ts";

/** A working copy as it should be. */
export interface CheckoutRequest {
  readonly repo: string;
  readonly dest: string;
  /** What the remote calls `origin`. */
  readonly remote: string;
  /** What to check out; null: a commit that only a fetch can name. */
  readonly target: RemoteVersion | null;
  readonly version: string;
  readonly bare: boolean;
  readonly depth?: number | undefined;
  readonly refspec?: string | undefined;
  readonly single_branch: boolean;
  readonly recursive: boolean;
  readonly track_submodules: boolean;
  readonly force: boolean;
}

function depthOf({ depth }: CheckoutRequest): readonly string[] {
  return depth === undefined ? [] : ["--depth", String(depth)];
}

/** All tags would bring all of history with them. */
function tagsOf({ depth }: CheckoutRequest): readonly string[] {
  return depth === undefined ? ["--tags"] : [];
}

/** Makes a new copy. The parent directory of `dest` must exist. */
export async function cloneRepository(git: RunGit, request: CheckoutRequest): Promise<void> {
  const { repo, dest, remote, target, bare, refspec, single_branch, version } = request;
  // Of a branch and a tag of one name clone takes the branch: the tag is fetched afterwards.
  const shadowed = target?.shadowed === true;
  const named = target !== null && target.kind !== "commit" && !shadowed;
  const args = [
    "clone",
    ...(bare ? ["--bare"] : ["--origin", remote]),
    ...depthOf(request),
    ...(single_branch ? ["--single-branch"] : []),
    // HEAD needs no name, and an empty repository has none to give.
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

/** Brings a copy that is there to the version wanted. Local commits on the branch are left behind, as Ansible leaves them. */
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

/** A commit that is not here is fetched with all branches, else by its id: it may be on no branch, or cut off by the depth. */
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
