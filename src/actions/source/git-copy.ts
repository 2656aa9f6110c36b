import { posix } from "node:path";
import { VolleyError } from "../../core/errors.ts";
import type { ReadSystem } from "../../core/system.ts";
import { failureText } from "../shared/run-tool.ts";
import { type AskGit, gitFailure, type RemoteVersion } from "./git-repository.ts";

// A copy of a repository on the host: its state, as `git` finds it.

/** The parameters of `git` that a copy is looked at with. */
interface GitCopy {
  readonly dest: string;
  readonly bare: boolean;
  readonly version: string;
  readonly gpg_whitelist: readonly string[];
}

/** Tell whether a copy exists. Fails when `dest` is something else than a repository or an empty directory. */
export async function hasRepository(system: ReadSystem, { dest, bare }: GitCopy): Promise<boolean> {
  const stat = await system.stat(dest);
  if (stat === null) return false;
  if (stat.type !== "directory")
    throw new VolleyError("ACTION_FAILED", `${dest} is a ${stat.type}, not a directory`);
  if ((await system.stat(posix.join(dest, bare ? "HEAD" : ".git"))) !== null) return true;
  if ((await system.list(dest)).length > 0)
    throw new VolleyError(
      "ACTION_FAILED",
      `${dest} is neither empty nor a ${bare ? "bare " : ""}git repository; remove it first`,
    );
  return false;
}

/** Return the commit that is checked out, or of a bare copy that of the version; null where there is none yet. */
export async function currentCommit(ask: AskGit, { dest, bare, version }: GitCopy): Promise<string | null> {
  const parse = (name: string) => ask(["rev-parse", "--verify", "--quiet", `${name}^{commit}`], dest);
  // A bare name means a tag first for git, but a branch first here.
  const branch = bare && version !== "HEAD" ? await parse(`refs/heads/${version}`) : null;
  const result = branch?.code === 0 ? branch : await parse(bare ? version : "HEAD");
  // Exit code 1 without a message means no commit yet. Other failures are errors, such as a copy of another owner.
  if (result.code !== 0 && result.stderr.trim() !== "") throw gitFailure(`cannot read ${dest}`, result, dest);
  return result.code === 0 ? result.stdout.trim() : null;
}

/** Return the commit that a short or whole id names in the copy; null where the remote has to say. */
export async function commitHere(ask: AskGit, { dest, version }: GitCopy): Promise<RemoteVersion | null> {
  const { code, stdout } = await ask(["rev-parse", "--verify", "--quiet", `${version}^{commit}`], dest);
  const commit = stdout.trim();
  // A branch or tag may look like a commit id: then the remote decides.
  return code === 0 && commit.startsWith(version) ? { commit, kind: "commit", name: commit } : null;
}

/** Return the paths that differ from what is checked out. */
export async function localModifications(ask: AskGit, dest: string): Promise<readonly string[]> {
  // The update checks submodules out anew: their state is no modification to lose.
  const result = await ask(
    ["status", "--porcelain", "--untracked-files=no", "--ignore-submodules=all"],
    dest,
  );
  if (result.code !== 0) throw gitFailure(`cannot read ${dest}`, result, dest);
  const lines = result.stdout.split("\n").filter((line) => line !== "");
  return lines.map((line) => line.slice(3));
}

/** Say whether submodules are what the commit has; those that track branches only their remotes can tell. */
export async function submoduleState(
  ask: AskGit,
  system: ReadSystem,
  dest: string,
  track: boolean,
): Promise<"same" | "behind" | "unknown"> {
  if ((await system.stat(posix.join(dest, ".gitmodules"))) === null) return "same";
  if (track) return "unknown";
  const { stdout } = await ask(["submodule", "status", "--recursive"], dest);
  return stdout.split("\n").some((line) => /^[-+]/.test(line)) ? "behind" : "same";
}

/** Verify the signature of what is checked out: that of the tag, if `version` is a signed one. */
export async function verify(ask: AskGit, { dest, version, gpg_whitelist, bare }: GitCopy): Promise<void> {
  const tag = await ask(["cat-file", "-t", `refs/tags/${version}`], dest);
  const isTag = tag.stdout.trim() === "tag";
  const [command, object] = isTag ? ["verify-tag", version] : ["verify-commit", bare ? version : "HEAD"];
  const result = await ask([command, ...(gpg_whitelist.length > 0 ? ["--raw"] : []), object], dest);
  const what = `Failed to verify GPG signature of commit/tag "${version}"`;
  if (result.code !== 0) throw new VolleyError("ACTION_FAILED", `${what}: ${failureText(result)}`);
  if (gpg_whitelist.length === 0) return;
  const [, key = "", primary = key] = /VALIDSIG (\S+)(?:.* (\S+))?$/m.exec(result.stderr) ?? [];
  const trusted = gpg_whitelist.map((fingerprint) => fingerprint.replace(/\s/g, "").toUpperCase());
  if (!trusted.includes(key.toUpperCase()) && !trusted.includes(primary.toUpperCase()))
    throw new VolleyError("ACTION_FAILED", `${what}: the fingerprint ${primary} is not in gpg_whitelist`);
}
