import { posix } from "node:path";
import * as v from "valibot";
import {
  type ActionContext,
  ActionFailure,
  type Applied,
  type Change,
  type Unchanged,
  unchanged,
} from "../../core/action.ts";
import { isVolleyError, VolleyError } from "../../core/errors.ts";
import type { Diff } from "../../core/result.ts";
import type { ReadSystem, System } from "../../core/system.ts";
import { defineAction } from "../define.ts";
import { requiredBy } from "../shared/combinations.ts";
import { describe, flag, optionalText, text, textList } from "../shared/params.ts";
import { missingDirectories, parentOf, withFullPaths } from "../shared/paths.ts";
import {
  commitHere,
  currentCommit,
  hasRepository,
  localModifications,
  submoduleState,
  verify,
} from "./git-copy.ts";
import {
  type AskGit,
  askGit,
  askRemote,
  type CheckoutRequest,
  cloneRepository,
  gitEnvironment,
  hidePassword,
  isCommit,
  type RemoteVersion,
  runGit,
  updateRepository,
} from "./git-repository.ts";

const notAnOption = v.regex(/^[^-]/, "must not begin with a dash");

const params = v.pipe(
  v.strictObject({
    repo: v.pipe(text("URL of the repository, or an absolute path."), notAnOption),
    dest: optionalText("Path of the copy; required, unless `clone` is off."),
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
        v.pipe(
          v.number(),
          v.integer(),
          v.transform((given) => (given < 1 ? undefined : given)),
        ),
        "Number of commits of history to fetch. Default, and for less than 1: all.",
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
    reference: optionalText("Path of a repository on the host to borrow objects from, when a copy is made."),
    separate_git_dir: optionalText(
      "Path for the repository, beside the working tree; an existing one is moved there.",
    ),
    archive: v.optional(
      v.pipe(
        text("Path of an archive to make of the files: `.zip`, `.tar`, `.tar.gz` or `.tgz`."),
        v.regex(/\.(zip|tar|tar\.gz|tgz)$/, "must end in .zip, .tar, .tar.gz or .tgz"),
      ),
    ),
    archive_prefix: optionalText("Text before each path in the archive."),
    verify_commit: flag("Verify the signature of the commit, or the tag, after checking it out."),
    gpg_whitelist: v.optional(textList("Fingerprints of the keys to trust, with `verify_commit`."), []),
    umask: v.optional(
      describe(
        v.union([v.string(), v.number()]),
        "Umask of the files that git makes: octal text, or a number.",
      ),
    ),
    executable: optionalText("Path of git."),
    accept_newhostkey: flag("The same as `accept_hostkey`."),
    accept_hostkey: flag("Accept the key of an unknown SSH server, but not a changed key."),
    key_file: optionalText("Path of the private key for SSH."),
    ssh_opts: optionalText("Additional options for ssh."),
  }),
  v.check(
    ({ dest, clone }) => dest !== undefined || !clone,
    "the destination directory must be specified unless clone=no",
  ),
  requiredBy("archive_prefix", "archive"),
  v.check(
    ({ bare, separate_git_dir }) => !bare || separate_git_dir === undefined,
    "parameters are mutually exclusive: separate_git_dir|bare",
  ),
);
type Given = v.InferOutput<typeof params>;
/** The parameters of a task that has a copy. */
type Params = Given & { readonly dest: string };

/** Commit ids before and after; null without a copy. */
interface GitData {
  readonly before: string | null;
  readonly after: string | null;
  readonly remote_url_changed?: boolean;
  /** Where the repository lies, and where it lay, when it was moved. */
  readonly git_dir_now?: string;
  readonly git_dir_before?: string;
  readonly msg?: string;
}

interface GitChange extends Change {
  readonly before: string | null;
  readonly target: RemoteVersion | null;
  readonly missing: readonly string[];
  readonly setRemote?: "add" | "set-url";
  /** The place that the repository is moved from. */
  readonly movesFrom?: string;
  /** True without a copy: only the remote repository was asked. */
  readonly isRemoteOnly?: boolean;
  /** False when there is nothing to do but the archive, or to move the repository. */
  readonly updates?: boolean;
  readonly diff: Diff;
}

/** Keep a copy of a git repository at a version. */
export const git = defineAction({
  name: "git",
  doc: `Keep a copy of a git repository at a branch, tag or commit.

The remote repository resolves the version; nothing else happens when the copy is up to date. A commit id that the copy
contains needs no connection. Local modifications are an error unless \`force\`; untracked files are left alone. Git
never asks for a password: give a key with \`key_file\`.

As with Ansible's module, updating a branch drops commits made in the copy, and a missing copy with \`clone: false\`
counts as a change, with the remote commit as \`after\`. Unlike Ansible, \`accept_hostkey\` accepts only the keys of
unknown servers.`,
  params,
  aliases: { name: "repo" },
  examples: [
    { repo: "https://git.example.org/site.git", dest: "/srv/site", version: "v1.2" },
    {
      repo: "git@git.example.org:site.git",
      dest: "/srv/site",
      key_file: "/root/.ssh/deploy",
      accept_hostkey: true,
    },
  ],
  title: ({ dest, repo }) => dest ?? hidePassword(repo),
  inspect: async (given, system, context) => inspect(await placed(given, system, context), system, context),
  apply: async (change, given, system, context) =>
    apply(change, await placed(given, system, context), system, context),
});

const PATHS = ["dest", "archive", "separate_git_dir", "key_file"] as const;

function placed(given: Given, system: ReadSystem, { facts }: ActionContext): Promise<Given> {
  return withFullPaths(given, PATHS, system, facts.env);
}

function hasDest(given: Given): given is Params {
  return given.dest !== undefined;
}

async function inspect(given: Given, system: ReadSystem, context: ActionContext) {
  if (given.executable === undefined && (await system.which("git")) === null) {
    if (context.check)
      return {
        before: null,
        target: null,
        missing: [],
        diff: { path: given.dest ?? given.repo },
        unknown: "git is not installed yet",
      };
    throw new VolleyError(
      "ACTION_FAILED",
      'git is not installed; install it first with apt({ name: "git" })',
    );
  }
  const known = hasDest(given) && (await hasRepository(system, given));
  if (!hasDest(given) || (!known && !given.clone)) return inspectRemote(given, system, context);
  const found = await inspectCopy(given, known, system, context);
  if (!("unchanged" in found)) {
    const after = found.unknown === undefined ? (found.target?.commit ?? found.before) : undefined;
    const told = known ? { remote_url_changed: found.setRemote !== undefined } : {};
    return after === undefined ? found : { ...found, data: { before: found.before, after, ...told } };
  }
  return withFurther(found, given, system, context);
}

/** Ask the remote repository alone. */
async function inspectRemote(given: Given, system: ReadSystem, context: ActionContext): Promise<GitChange> {
  const ask = askGit(system, given, context.signal);
  const target = await askRemote(ask, given.repo, given.version);
  if (target === null) throw unknownVersion(given);
  const data: GitData = { before: null, after: target.commit };
  return {
    before: null,
    target,
    missing: [],
    isRemoteOnly: true,
    data,
    diff: { path: hidePassword(given.repo) },
    message: "there is no copy, and clone is off",
  };
}

/** Of a copy that is up to date: see whether its repository lies elsewhere, and whether the archive is old. */
async function withFurther(
  found: Unchanged<GitData>,
  given: Params,
  system: ReadSystem,
  context: ActionContext,
): Promise<Unchanged<GitData> | GitChange> {
  const { dest, separate_git_dir, archive } = given;
  const before = found.data?.before ?? null;
  const ask = askGit(system, given, context.signal);
  const common = { before, target: null, missing: [], updates: false, data: found.data };
  const movesFrom = separate_git_dir === undefined ? undefined : await otherGitDir(ask, given, system);
  if (movesFrom !== undefined) {
    const data = { ...found.data, git_dir_before: movesFrom, git_dir_now: separate_git_dir };
    return {
      ...common,
      data,
      movesFrom,
      diff: { path: dest, attributes: { git_dir: [movesFrom, separate_git_dir!] } },
    };
  }
  if (archive === undefined || (await isArchived(given, system, context))) return found;
  return { ...common, message: `make ${archive}`, diff: { path: archive, binary: true } };
}

/** Where the repository lies, if that is another place than wanted. */
async function otherGitDir(
  ask: AskGit,
  { dest, separate_git_dir }: Params,
  system: ReadSystem,
): Promise<string | undefined> {
  const current = (await ask(["rev-parse", "--absolute-git-dir"], dest)).stdout.trim();
  const wanted =
    (await system.stat(separate_git_dir!)) === null
      ? separate_git_dir
      : await system.realPath(separate_git_dir!);
  return current === wanted || current === "" ? undefined : current;
}

function archiveArguments({ archive = "", archive_prefix, bare, version }: Params): readonly string[] {
  const format = archive.endsWith(".zip") ? "zip" : archive.endsWith(".tar") ? "tar" : "tar.gz";
  const prefix = archive_prefix === undefined ? [] : [`--prefix=${archive_prefix}`];
  return ["archive", `--format=${format}`, ...prefix, bare ? version : "HEAD"];
}

/** Tell whether the archive is the one that git makes of the copy now. */
async function isArchived(given: Params, system: ReadSystem, context: ActionContext): Promise<boolean> {
  const { archive = "", dest, executable = "git" } = given;
  if ((await system.stat(archive))?.type !== "file") return false;
  const made = await system.query(
    ["sh", "-c", '"$@" | sha256sum', "sh", executable, ...archiveArguments(given)],
    {
      cwd: dest,
      env: gitEnvironment(given),
      signal: context.signal,
    },
  );
  return made.stdout.slice(0, 64) === (await system.checksum(archive, "sha256"));
}

async function inspectCopy(
  given: Params,
  known: boolean,
  system: ReadSystem,
  context: ActionContext,
): Promise<GitChange | Unchanged<GitData>> {
  const { dest, version, bare, track_submodules, recursive } = given;
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
    throw new ActionFailure(
      "ACTION_FAILED",
      `Local modifications exist in the destination: ${dest} (force=no): ${modified.slice(0, 5).join(", ")}; commit them, or say force: true`,
      { before },
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
    return unchanged<GitData>({ before, after: before, remote_url_changed: false });
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

function unknownVersion({ repo, version }: Given): VolleyError {
  const missing = version === "HEAD" ? "is empty" : `has no branch or tag "${version}"`;
  return new VolleyError("ACTION_FAILED", `Failed to checkout ${version}: ${hidePassword(repo)} ${missing}`);
}

/** Tell whether a version may be an abbreviated commit id, which only a repository with the commit can resolve. */
function isShort(version: string): boolean {
  return /^[0-9a-f]{7,39}$/.test(version);
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

async function apply(
  change: GitChange,
  given: Given,
  system: System,
  context: ActionContext,
): Promise<Applied<GitData>> {
  if (!hasDest(given) || change.isRemoteOnly === true) return { data: change.data as GitData };
  const { dest, separate_git_dir } = given;
  const run = runGit(system, given, { signal: context.signal, onOutput: context.output });
  const ask = askGit(system, given, context.signal);
  const isNew = !(await hasRepository(system, given));
  let moved: Pick<GitData, "git_dir_now" | "git_dir_before"> = {};
  if (!isNew && separate_git_dir !== undefined) {
    const from = await otherGitDir(ask, given, system);
    if (from !== undefined) {
      if ((await system.stat(separate_git_dir)) !== null)
        throw new VolleyError("ACTION_FAILED", `Separate-git-dir path ${separate_git_dir} already exists.`);
      await run(["init", "--quiet", `--separate-git-dir=${separate_git_dir}`], dest);
      moved = { git_dir_before: from, git_dir_now: separate_git_dir };
    }
  }
  const updated =
    change.updates === false
      ? { after: change.before, changed: false }
      : await update(change, given, isNew, system, context);
  if (given.verify_commit && change.updates !== false) await verify(ask, given);
  const archived = given.archive !== undefined && (await makeArchive(given, system, context));
  return {
    changed: updated.changed || archived || moved.git_dir_now !== undefined,
    data: {
      before: change.before,
      after: updated.after,
      ...(isNew ? {} : { remote_url_changed: change.setRemote !== undefined }),
      ...moved,
    },
  };
}

async function update(
  change: GitChange,
  given: Params,
  isNew: boolean,
  system: System,
  context: ActionContext,
): Promise<{ readonly after: string | null; readonly changed: boolean }> {
  const { dest, repo, remote } = given;
  const run = runGit(system, given, { signal: context.signal, onOutput: context.output });
  const ask = askGit(system, given, context.signal);
  const request: CheckoutRequest = { ...given, target: change.target };
  const state = async (): Promise<string> =>
    given.track_submodules ? (await ask(["submodule", "status", "--recursive"], dest)).stdout : "";
  if (isNew) {
    for (const directory of change.missing) await system.makeDirectory(directory);
    await cloneRepository(run, request);
    return { after: await currentCommit(ask, given), changed: true };
  }
  if (change.setRemote !== undefined) await run(["remote", change.setRemote, remote, repo], dest);
  const submodules = await state();
  await updateRepository(run, request);
  const after = await currentCommit(ask, given);
  // With track_submodules only the fetch tells whether anything changed.
  const changed = change.unknown === undefined || after !== change.before || (await state()) !== submodules;
  return { after, changed };
}

/** Make the archive anew; false when the one there is the same. */
async function makeArchive(given: Params, system: System, context: ActionContext): Promise<boolean> {
  const { archive = "", dest } = given;
  if (await isArchived(given, system, context)) return false;
  const parent = parentOf(archive);
  if ((await system.stat(parent))?.type !== "directory")
    throw new VolleyError("ACTION_FAILED", `${parent} does not exist, and ${archive} belongs there`);
  const draft = posix.join(await system.temporaryDirectory(), posix.basename(archive));
  const run = runGit(system, given, { signal: context.signal, onOutput: context.output });
  const [command = "", ...rest] = archiveArguments(given);
  await run([command, `--output=${draft}`, ...rest], dest);
  await system.writeFile(archive, { copyOf: draft });
  await system.remove(draft);
  return true;
}
