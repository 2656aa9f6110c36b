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
import type { ProcessResult, ReadSystem, System } from "../../core/system.ts";
import { defineAction } from "../define.ts";
import { describe, flag, optionalText, text } from "../shared/params.ts";
import { withFullPaths } from "../shared/paths.ts";
import { failureText } from "../shared/run-tool.ts";

const notAnOption = v.regex(/^[^-]/, "must not begin with a dash");

const params = v.pipe(
  v.strictObject({
    repo: v.pipe(text("URL of the repository, or of a part of it."), notAnOption),
    dest: optionalText("Path of the copy; required, unless `checkout`, `update` and `export` are off."),
    revision: v.optional(v.pipe(text("Revision to check out."), notAnOption), "HEAD"),
    force: flag(
      "Discard local modifications, which are an error otherwise; with `export`, write over what is there.",
    ),
    in_place: flag("Make a copy of an existing directory, and keep its files."),
    checkout: flag("Make a copy when there is none.", true),
    update: flag("Update an existing copy.", true),
    switch: flag("Switch an existing copy to `repo` when that is another part.", true),
    export: flag("Export the files without a copy's own directory."),
    username: optionalText("User name."),
    password: v.optional(describe(v.string(), "Password; subversion reads it on standard input.")),
    validate_certs: flag("Verify the server's certificate."),
    executable: optionalText("Path of svn."),
  }),
  v.check(
    (given) => given.dest !== undefined || (!given.checkout && !given.update && !given.export),
    "the destination directory must be specified unless checkout=no, update=no, and export=no",
  ),
);
type Params = v.InferOutput<typeof params>;

/** The data of a subversion task: revision and URL before and after. */
interface SubversionData {
  readonly before?: readonly string[] | null;
  readonly after?: readonly string[] | string;
}

interface SubversionChange extends Change {
  readonly deeds: readonly ("checkout" | "export" | "switch" | "revert" | "update")[];
  readonly before: readonly string[] | null;
}

/** Keep a copy of a subversion repository. */
export const subversion = defineAction<typeof params, SubversionChange, SubversionData>({
  name: "subversion",
  doc: `Keep a copy of a subversion repository at a revision, or export its files.

The remote repository resolves the revision; nothing happens when the copy is up to date. Local modifications are an
error unless \`force\`. An export counts as a change each time.`,
  params,
  aliases: { name: "repo", repository: "repo", rev: "revision", version: "revision" },
  examples: [{ repo: "svn+ssh://svn.example.org/site/trunk", dest: "/srv/site" }],
  title: ({ dest, repo }) => dest ?? repo,
  inspect: async (given, system, context) => inspect(await placed(given, system, context), system, context),
  apply: async (change, given, system, context) =>
    apply(change, await placed(given, system, context), system, context),
});

function placed(given: Params, system: ReadSystem, { facts }: ActionContext): Promise<Params> {
  return withFullPaths(given, ["dest"], system, facts.env);
}

type RunSvn = (
  argv: readonly string[],
  options: {
    readonly input?: string;
    readonly signal: AbortSignal;
    readonly env: Readonly<Record<string, string>>;
  },
) => Promise<ProcessResult>;

/** Run svn without questions; a failure is an {@link ActionFailure}. */
async function svn(
  run: RunSvn,
  given: Params,
  args: readonly string[],
  { signal }: ActionContext,
): Promise<string> {
  const { username, password, validate_certs, executable = "svn" } = given;
  const login = [
    "--non-interactive",
    "--no-auth-cache",
    ...(validate_certs
      ? []
      : ["--trust-server-cert-failures=unknown-ca,cn-mismatch,expired,not-yet-valid,other"]),
    ...(username === undefined ? [] : [`--username=${username}`]),
    ...(password === undefined ? [] : ["--password-from-stdin"]),
  ];
  const result = await run([executable, ...login, ...args], {
    ...(password === undefined ? {} : { input: password }),
    env: { LC_ALL: "C.UTF-8", LANGUAGE: "C" },
    signal,
  });
  if (result.code !== 0)
    throw new ActionFailure("ACTION_FAILED", `svn ${args[0]} failed: ${failureText(result)}`, {
      rc: result.code,
      stdout: result.stdout,
      stderr: result.stderr,
    });
  return result.stdout;
}

/** Revision and URL in the output of `svn info`, as Ansible returns them. */
function revisionLines(info: string): readonly string[] {
  const revision = /^Revision: .*$/m.exec(info)?.[0] ?? "Unable to get revision";
  return [revision, /^URL: .*$/m.exec(info)?.[0] ?? "Unable to get URL"];
}

function numberIn(info: string, name: string): number {
  return Number(new RegExp(`^${name}: (\\d+)$`, "m").exec(info)?.[1] ?? -1);
}

async function inspect(
  given: Params,
  system: ReadSystem,
  context: ActionContext,
): Promise<SubversionChange | Unchanged<SubversionData>> {
  const { dest, repo, revision, force, executable } = given;
  if (executable === undefined && (await system.which("svn")) === null) {
    const message = 'subversion is not installed; install it first with apt({ name: "subversion" })';
    if (context.check) return { deeds: [], before: null, unknown: message };
    throw new VolleyError("ACTION_FAILED", message);
  }
  const ask = (...args: readonly string[]): Promise<string> =>
    svn((argv, options) => system.query(argv, options), given, args, context);
  const peg = (url: string): string => (url.includes("@") ? `${url}@` : url);
  if (dest === undefined)
    return unchanged({ after: revisionLines(await ask("info", "-r", revision, peg(repo))).join("\n") });
  const stat = await system.stat(dest);
  const isCopy = stat !== null && (await system.stat(posix.join(dest, ".svn"))) !== null;
  const make = (...deeds: SubversionChange["deeds"]): SubversionChange => ({
    deeds,
    before: null,
    message: `${deeds.join(", ")} ${repo}`,
    diff: { path: dest, before: null, after: `${repo}@${revision}\n` },
  });
  if (given.export && !isCopy) {
    if (stat !== null && !force && stat.type === "directory" && (await system.list(dest)).length > 0)
      throw new VolleyError("ACTION_FAILED", `${dest} exists already; say force: true to export over it`);
    return make("export");
  }
  if (!isCopy) {
    if (!given.checkout) return unchanged({ before: null });
    if (
      stat !== null &&
      (stat.type !== "directory" || (await system.list(dest)).length > 0) &&
      !given.in_place &&
      !force
    )
      throw new VolleyError(
        "ACTION_FAILED",
        `ERROR: ${dest} folder already exists, but its not a subversion repository; say in_place: true to make it one`,
      );
    return make("checkout");
  }
  const local = await ask("info", peg(dest));
  const before = revisionLines(local);
  const status = await ask("status", "--quiet", "--ignore-externals", peg(dest));
  const modified = status.split("\n").some((line) => /^[^\s?X]/.test(line));
  if (modified && !force)
    throw new ActionFailure("ACTION_FAILED", "ERROR: modified files exist in the repository.", { before });
  if (!given.update) return unchanged({ before, after: before });
  let remote: string;
  try {
    remote = await ask("info", "-r", revision, peg(repo));
  } catch (thrown) {
    if (!context.check || !isVolleyError(thrown) || thrown.code !== "ACTION_FAILED") throw thrown;
    return { deeds: [], before, unknown: thrown.message };
  }
  const elsewhere = given.switch && /^URL: (.*)$/m.exec(local)?.[1] !== /^URL: (.*)$/m.exec(remote)?.[1];
  const isOther = numberIn(local, "Revision") !== numberIn(remote, "Revision");
  if (!elsewhere && !isOther && !modified) return unchanged({ before, after: before });
  const after = revisionLines(remote);
  return {
    deeds: [
      ...(elsewhere ? (["switch"] as const) : []),
      ...(modified ? (["revert"] as const) : []),
      "update",
    ],
    before,
    data: { before, after },
    diff: { path: dest, before: `${before.join("\n")}\n`, after: `${after.join("\n")}\n` },
    ...(modified ? { message: "throw away local modifications" } : {}),
  };
}

async function apply(
  { deeds, before }: SubversionChange,
  given: Params,
  system: System,
  context: ActionContext,
): Promise<Applied<SubversionData>> {
  const { dest = "", repo, revision, force, in_place } = given;
  const run = (...args: readonly string[]): Promise<string> =>
    svn((argv, options) => system.run(argv, options), given, args, context);
  for (const deed of deeds) {
    if (deed === "checkout")
      await run("checkout", ...(force || in_place ? ["--force"] : []), "-r", revision, repo, dest);
    else if (deed === "export")
      await run("export", ...(force ? ["--force"] : []), "-r", revision, repo, dest);
    else if (deed === "switch") await run("switch", "--ignore-ancestry", "-r", revision, repo, dest);
    else if (deed === "revert") await run("revert", "-R", dest);
    else await run("update", "-r", revision, dest);
  }
  if (deeds[0] === "export") return { data: {} };
  return { data: { before, after: revisionLines(await run("info", dest)) } };
}
