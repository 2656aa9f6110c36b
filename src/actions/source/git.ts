import { posix } from "node:path";
import * as v from "valibot";
import { type ActionContext, type Applied, type Change, unchanged } from "../../core/action.ts";
import { isVolleyError, VolleyError } from "../../core/errors.ts";
import type { Diff } from "../../core/result.ts";
import type { ReadSystem, System } from "../../core/system.ts";
import { defineAction } from "../define.ts";
import { describe, flag, optionalText, text } from "../shared/params.ts";
import { missingDirectories, parentOf } from "../shared/paths.ts";
import {
  type AskGit,
  askGit,
  askRemote,
  type CheckoutRequest,
  cloneRepository,
  gitFailure,
  hidePassword,
  isCommit,
  type RemoteVersion,
  runGit,
  updateRepository,
} from "./git-repository.ts";

const notAnOption = v.regex(/^[^-]/, "must not begin with a dash");

const params = v.strictObject({
  repo: v.pipe(text("URL of the repository, or an absolute path."), notAnOption),
  dest: v.pipe(text("Absolute path of the copy."), v.regex(/^(\/|~\/)./, "must be an absolute path")),
  version: v.optional(
    v.pipe(text("Branch, tag or commit id; `HEAD` is the default branch."), notAnOption),
    "HEAD",
  ),
  remote: v.optional(v.pipe(text("Name of the remote in the copy."), notAnOption), "origin"),
  force: flag("Discard local modifications, which are an error otherwise."),
  update: flag("Update an existing copy.", true),
  clone: flag("Make a copy when none exists.", true),
  depth: v.optional(
    describe(
      v.pipe(v.number(), v.integer(), v.minValue(1)),
      "Number of commits of history to fetch. Default: all.",
    ),
  ),
  single_branch: flag("Clone the history of one branch only."),
  bare: flag("Make a repository without a working tree."),
  recursive: flag("Check out submodules, at any depth.", true),
  track_submodules: flag(
    "Check out submodules at the newest commit of their branch instead of the recorded one.",
  ),
  refspec: v.optional(
    v.pipe(text("An additional refspec to fetch, such as `+refs/pull/*:refs/heads/*`."), notAnOption),
  ),
  accept_hostkey: flag("Accept the key of an unknown SSH server, but not a changed key."),
  key_file: optionalText("Path of the private key for SSH."),
  ssh_opts: optionalText("Additional options for ssh."),
});
type Params = v.InferOutput<typeof params>;

/** Commit ids before and after; null without a copy. */
interface GitData {
  readonly before: string | null;
  readonly after: string | null;
  readonly remote_url_changed?: boolean;
}

interface GitChange extends Change {
  readonly before: string | null;
  readonly target: RemoteVersion | null;
  readonly missing: readonly string[];
  readonly setRemote?: "add" | "set-url";
  readonly diff: Diff;
}

/** Keep a copy of a git repository at a version. */
export const git = defineAction({
  name: "git",
  doc: `Keep a copy of a git repository at a branch, tag or commit.

The remote repository resolves the version; nothing else happens when the copy is up to date. A commit id that the copy
contains needs no connection. Local modifications are an error unless \`force\`; untracked files are left alone. Git
never asks for a password: give a key with \`key_file\`.

As with Ansible's module, updating a branch drops commits made in the copy. Unlike Ansible, \`accept_hostkey\` accepts
only the keys of unknown servers, and a missing copy with \`clone: false\` is not a change.`,
  params,
  examples: [
    { repo: "https://git.example.org/site.git", dest: "/srv/site", version: "v1.2" },
    {
      repo: "git@git.example.org:site.git",
      dest: "/srv/site",
      key_file: "/root/.ssh/deploy",
      accept_hostkey: true,
    },
  ],
  title: ({ dest }) => dest,
  inspect,
  apply,
});

async function inspect(given: Params, system: ReadSystem, context: ActionContext) {
  const { dest, version, bare, track_submodules, recursive } = given;
  const known = await hasRepository(system, given);
  if (!known && !given.clone)
    return unchanged<GitData>({ before: null, after: null }, "there is no copy, and clone is off");
  if ((await system.which("git")) === null) {
    if (context.check) return { ...plan(given, null, null), unknown: "git is not installed yet" };
    throw new VolleyError(
      "ACTION_FAILED",
      'git is not installed; install it first with apt({ name: "git" })',
    );
  }
  const ask = askGit(system, given, context.signal);
  if (!known) {
    const target = await askOrNull(ask, given, context);
    if ("unknown" in target) return { ...plan(given, null, null), unknown: target.unknown };
    if (target.version === null && !isShort(version)) throw unknownVersion(given);
    return {
      ...plan(given, null, target.version),
      missing: await missingDirectories(system, parentOf(dest)),
    };
  }
  const before = await currentCommit(ask, given);
  if (!given.update) return unchanged<GitData>({ before, after: before });
  const modified = bare ? [] : await localModifications(ask, dest);
  if (modified.length > 0 && !given.force)
    throw new VolleyError(
      "ACTION_FAILED",
      `${dest} has local modifications (${modified.slice(0, 5).join(", ")}); commit them, or say force: true`,
    );
  const url = (await ask(["config", "--get", `remote.${given.remote}.url`], dest)).stdout.trim();
  const setRemote = url === "" ? "add" : url === given.repo ? undefined : "set-url";
  // A commit that is checked out already needs no question to the remote.
  const here =
    setRemote === undefined && (isCommit(version) || isShort(version)) ? await commitHere(ask, given) : null;
  const asked = here === null ? await askOrNull(ask, given, context) : { version: here };
  if ("unknown" in asked) return { ...plan(given, before, null), unknown: asked.unknown };
  const target = asked.version;
  if (target === null && !isShort(version)) throw unknownVersion(given);
  const submodules = bare || !recursive ? "same" : await submoduleState(ask, system, dest, track_submodules);
  if (target?.commit === before && modified.length === 0 && setRemote === undefined && submodules === "same")
    return unchanged<GitData>({ before, after: before });
  const reasons = [
    ...(modified.length > 0 ? [`throw away changes to ${modified.slice(0, 5).join(", ")}`] : []),
    ...(setRemote === undefined ? [] : [`set the URL of ${given.remote}`]),
    ...(submodules === "same" ? [] : ["update submodules"]),
  ];
  return {
    ...plan(given, before, target),
    ...(setRemote === undefined ? {} : { setRemote }),
    ...(reasons.length > 0 ? { message: reasons.join("; ") } : {}),
    ...(submodules === "unknown" &&
    target?.commit === before &&
    modified.length === 0 &&
    setRemote === undefined
      ? { unknown: "only fetching tells whether submodules have something newer" }
      : {}),
  } satisfies GitChange;
}

function plan({ dest, version }: Params, before: string | null, target: RemoteVersion | null): GitChange {
  const after = target?.commit ?? version;
  return {
    before,
    target,
    missing: [],
    diff: {
      path: dest,
      ...(before === after ? {} : { before: before === null ? null : `${before}\n`, after: `${after}\n` }),
    },
  };
}

function unknownVersion({ repo, version }: Params): VolleyError {
  const missing = version === "HEAD" ? "is empty" : `has no branch or tag "${version}"`;
  return new VolleyError("ACTION_FAILED", `${hidePassword(repo)} ${missing}`);
}

/** Tell whether a version may be an abbreviated commit id, which only a repository with the commit can resolve. */
function isShort(version: string): boolean {
  return /^[0-9a-f]{7,39}$/.test(version);
}

/** Tell whether a copy exists. Fails when `dest` is something else than a repository or an empty directory. */
async function hasRepository(system: ReadSystem, { dest, bare }: Params): Promise<boolean> {
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

async function askOrNull(
  ask: AskGit,
  { repo, version }: Params,
  { check }: ActionContext,
): Promise<{ readonly version: RemoteVersion | null } | { readonly unknown: string }> {
  try {
    return { version: await askRemote(ask, repo, version) };
  } catch (thrown) {
    if (check && isVolleyError(thrown) && thrown.code === "ACTION_FAILED") return { unknown: thrown.message };
    throw thrown;
  }
}

async function currentCommit(ask: AskGit, { dest, bare, version }: Params): Promise<string | null> {
  const parse = (name: string) => ask(["rev-parse", "--verify", "--quiet", `${name}^{commit}`], dest);
  // A bare name means a tag first for git, but a branch first here.
  const branch = bare && version !== "HEAD" ? await parse(`refs/heads/${version}`) : null;
  const result = branch?.code === 0 ? branch : await parse(bare ? version : "HEAD");
  // Exit code 1 without a message means no commit yet. Other failures are errors, such as a copy of another owner.
  if (result.code !== 0 && result.stderr.trim() !== "") throw gitFailure(`cannot read ${dest}`, result, dest);
  return result.code === 0 ? result.stdout.trim() : null;
}

async function commitHere(ask: AskGit, { dest, version }: Params): Promise<RemoteVersion | null> {
  const { code, stdout } = await ask(["rev-parse", "--verify", "--quiet", `${version}^{commit}`], dest);
  const commit = stdout.trim();
  // A branch or tag may look like a commit id: then the remote decides.
  return code === 0 && commit.startsWith(version) ? { commit, kind: "commit", name: commit } : null;
}

async function localModifications(ask: AskGit, dest: string): Promise<readonly string[]> {
  // The update checks submodules out anew: their state is no modification to lose.
  const result = await ask(
    ["status", "--porcelain", "--untracked-files=no", "--ignore-submodules=all"],
    dest,
  );
  if (result.code !== 0) throw gitFailure(`cannot read ${dest}`, result, dest);
  const lines = result.stdout.split("\n").filter((line) => line !== "");
  return lines.map((line) => line.slice(3));
}

async function submoduleState(
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

async function apply(
  change: GitChange,
  given: Params,
  system: System,
  context: ActionContext,
): Promise<Applied<GitData>> {
  const { dest, repo, remote } = given;
  const run = runGit(system, given, { signal: context.signal, onOutput: context.output });
  const request: CheckoutRequest = { ...given, target: change.target };
  const ask = askGit(system, given, context.signal);
  const state = async (): Promise<string> =>
    given.track_submodules ? (await ask(["submodule", "status", "--recursive"], dest)).stdout : "";
  if (!(await hasRepository(system, given))) {
    for (const directory of change.missing) await system.makeDirectory(directory);
    await cloneRepository(run, request);
    return { data: { before: null, after: await currentCommit(ask, given) } };
  }
  if (change.setRemote !== undefined) await run(["remote", change.setRemote, remote, repo], dest);
  const submodules = await state();
  await updateRepository(run, request);
  const after = await currentCommit(ask, given);
  // With track_submodules only the fetch tells whether anything changed.
  const changed = change.unknown === undefined || after !== change.before || (await state()) !== submodules;
  return {
    changed,
    data: {
      before: change.before,
      after,
      ...(change.setRemote === undefined ? {} : { remote_url_changed: true }),
    },
  };
}
