import * as v from "valibot";
import { type ActionContext, type Applied, type Change, unchanged } from "../../core/action.ts";
import type { ProcessResult, ReadSystem } from "../../core/system.ts";
import { defineAction } from "../define.ts";
import {
  askOptions,
  changesDiff,
  names,
  type PackageChange,
  requireProgram,
  runFailure,
  runOptions,
} from "../packages/package-run.ts";
import { flag, oneOf } from "../shared/params.ts";
import { commandWords } from "../shared/run-tool.ts";

function words(description: string) {
  return v.optional(v.pipe(v.string(), v.description(description)), "");
}

const params = v.pipe(
  v.strictObject({
    name: names(
      'Packages: `"nginx"`, `"nginx>=1.22"`, a path or URL of an `.rpm`, or a list. `"*"` with `state: "latest"` upgrades all packages.',
    ),
    state: oneOf(
      ["present", "installed", "latest", "absent", "removed", "dist-upgrade"],
      "present",
      "`latest` upgrades too; `installed` is `present`, `removed` is `absent`; `dist-upgrade` with the name `*` changes to the repositories' distribution.",
    ),
    type: oneOf(
      ["package", "patch", "pattern", "product", "srcpackage", "application"],
      "package",
      "What the names stand for.",
    ),
    update_cache: flag("Fetch the repositories' metadata first."),
    disable_gpg_check: flag("Install packages without a valid signature."),
    disable_recommends: flag("Install no recommended packages.", true),
    force: flag("Install what is there again; go back, or change vendor or architecture, where needed."),
    force_resolution: flag("Let zypper solve conflicts by itself."),
    oldpackage: flag("Let an older version replace a newer one. A version in a name implies it."),
    replacefiles: flag("Let packages replace each other's files."),
    clean_deps: flag("Remove dependencies that are no longer needed."),
    allow_vendor_change: flag("With `dist-upgrade`, let the vendor change."),
    auto_import_keys: flag("Import new keys of repositories."),
    skip_post_errors: flag("Do not fail for packages whose scripts fail after installing."),
    simple_errors: flag("Accepted and ignored: errors are short."),
    quiet: flag("Accepted and ignored.", true),
    extra_args: words("More options for zypper's command."),
    extra_args_precommand: words("More options for zypper itself, before the command."),
  }),
  v.check(
    ({ name, state }) => name?.includes("*") !== true || state === "latest" || state === "dist-upgrade",
    '"*" goes with state "latest" or "dist-upgrade" only',
  ),
  v.check(({ name, update_cache }) => name !== undefined || update_cache, 'parameter "name" is required'),
);

type Params = v.InferOutput<typeof params>;

/** The data of a zypper task. */
interface ZypperData {
  readonly name: readonly string[];
  readonly state: string;
  readonly rc: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly cmd?: readonly string[];
}

interface ZypperChange extends Change {
  /** Null when the metadata alone is fetched. */
  readonly args: readonly string[] | null;
}

/** Install, upgrade and remove packages of SUSE and openSUSE. */
export const zypper = defineAction<typeof params, ZypperChange, ZypperData>({
  name: "zypper",
  doc: `Install, upgrade and remove packages of SUSE and openSUSE with zypper.

zypper itself is asked for its plan (\`--dry-run\`), so check mode and the diff show every package that comes and goes. The host needs no Python library.`,
  params,
  aliases: { pkg: "name", refresh: "update_cache" },
  examples: [{ name: "nmap" }, { name: "*", state: "latest", update_cache: true }],
  title: ({ name }) => name?.join(" ") ?? "",

  async inspect(params, system, context) {
    await requireProgram(system, "zypper");
    const args = await argumentsFor(params, system, context);
    const fetches = params.update_cache && !context.check;
    if (args === null && !fetches) return unchanged(dataOf(params));
    if (fetches) return { args };
    const asked = await system.query(dryRun(params, args!), askOptions(context));
    if (!isFine(params, asked)) throw zypperFailure(asked);
    const changes = parseSummary(asked.stdout);
    if (changes.length === 0) return unchanged(dataOf(params, asked));
    return { args, diff: changesDiff(changes), data: dataOf(params, asked) };
  },

  async apply({ args }, params, system, context) {
    if (params.update_cache) {
      const refreshed = await system.run([...command(params), "refresh"], runOptions(context));
      if (refreshed.code !== 0) throw zypperFailure(refreshed);
      if (args === null) return { changed: false, data: dataOf(params, refreshed) };
      const asked = await system.query(dryRun(params, args), askOptions(context));
      if (!isFine(params, asked)) throw zypperFailure(asked);
      if (parseSummary(asked.stdout).length === 0) return { changed: false, data: dataOf(params, asked) };
    }
    if (args === null) return { changed: false, data: dataOf(params) };
    const result = await system.run([...command(params), ...args], runOptions(context));
    if (!isFine(params, result)) throw zypperFailure(result);
    return { data: dataOf(params, result) } satisfies Applied<ZypperData>;
  },
});

function command(params: Params): readonly string[] {
  return [
    "zypper",
    "--non-interactive",
    "--xmlout",
    ...(params.disable_gpg_check ? ["--no-gpg-checks"] : []),
    ...(params.auto_import_keys ? ["--gpg-auto-import-keys"] : []),
    ...commandWords(params.extra_args_precommand),
  ];
}

function dryRun(params: Params, [verb = "", ...rest]: readonly string[]): readonly string[] {
  return [...command(params), verb, "--dry-run", ...rest];
}

/** Return the words of the command that may be needed; null for none. */
async function argumentsFor(
  params: Params,
  system: ReadSystem,
  context: ActionContext,
): Promise<readonly string[] | null> {
  const { name = [], state, type } = params;
  if (name.length === 0) return null;
  const extra = commandWords(params.extra_args);
  const licenses = type === "patch" || type === "package" ? ["--auto-agree-with-licenses"] : [];
  const recommends = [params.disable_recommends ? "--no-recommends" : "--recommends"];
  if (state === "dist-upgrade" || name.includes("*")) {
    const verb = state === "dist-upgrade" ? "dist-upgrade" : type === "patch" ? "patch" : "update";
    const vendor = params.allow_vendor_change ? ["--allow-vendor-change"] : [];
    return [verb, ...licenses, ...recommends, ...(verb === "dist-upgrade" ? vendor : []), ...extra];
  }
  if (state === "absent" || state === "removed") {
    const plain = type === "package" ? await installedOf(name, params, system, context) : name;
    if (plain.length === 0) return null;
    return ["remove", "--type", type, ...(params.clean_deps ? ["--clean-deps"] : []), ...extra, ...plain];
  }
  const isOld = params.oldpackage || name.some((each) => /[<>=]/.test(each));
  const there =
    state === "latest" || params.force || type !== "package"
      ? []
      : await installedOf(name, params, system, context);
  const wanted = name.filter((each) => !there.includes(each));
  if (wanted.length === 0) return null;
  return [
    "install",
    "--type",
    type,
    ...licenses,
    ...recommends,
    ...(params.force ? ["--force"] : []),
    ...(params.force_resolution ? ["--force-resolution"] : []),
    ...(params.replacefiles ? ["--replacefiles"] : []),
    ...(isOld ? ["--oldpackage"] : []),
    ...extra,
    "--",
    ...wanted,
  ];
}

/** Return those of the names that are installed packages; versions and files are for zypper to judge. */
async function installedOf(
  list: readonly string[],
  { extra_args_precommand }: Params,
  system: ReadSystem,
  context: ActionContext,
): Promise<readonly string[]> {
  const plain = list.filter((each) => /^[\w.+-]+$/.test(each));
  if (plain.length === 0) return [];
  const before = commandWords(extra_args_precommand);
  const at = before.findIndex((word) => word === "--root" || word === "-R");
  const root = at === -1 ? [] : ["--root", before[at + 1]!];
  const { stdout } = await system.query(
    ["rpm", ...root, "--query", "--all", "--queryformat", "%{NAME}\\n"],
    askOptions(context),
  );
  const installed = new Set(stdout.split("\n"));
  return plain.filter((each) => installed.has(each));
}

// 102: a restart is advised; 103: zypper itself was upgraded; 106: a repository was left out; 107: a script failed.
function isFine({ skip_post_errors }: Params, { code }: ProcessResult): boolean {
  return code === 0 || code === 102 || code === 103 || code === 106 || (code === 107 && skip_post_errors);
}

function zypperFailure(result: ProcessResult) {
  const messages = [...result.stdout.matchAll(/<message type="error">([^<]*)<\/message>/g)];
  const said = messages.map(([, text]) => plainText(text!)).join("; ");
  return runFailure(said === "" ? result : { ...result, stderr: said }, "zypper failed");
}

function plainText(text: string): string {
  const signs: Readonly<Record<string, string>> = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" };
  return text.replace(/&(lt|gt|quot|apos|amp);/g, (_whole, name: string) => signs[name]!);
}

/** Parse the plan in zypper's XML: what is installed, upgraded and removed. */
export function parseSummary(stdout: string): readonly PackageChange[] {
  const changes: PackageChange[] = [];
  for (const [, section = "", body = ""] of stdout.matchAll(/<(to-[a-z-]+)[^>]*>([\s\S]*?)<\/\1>/g)) {
    for (const [, attributes = ""] of body.matchAll(/<solvable ([^>]*)\/?>/g)) {
      const attribute = (name: string): string | null =>
        new RegExp(`(?:^| )${name}="([^"]*)"`).exec(attributes)?.[1] ?? null;
      const name = attribute("name");
      if (name === null) continue;
      const edition = attribute("edition") ?? "";
      if (section === "to-remove") changes.push({ name, before: edition, after: null });
      else changes.push({ name, before: attribute("edition-old"), after: edition });
    }
  }
  return changes;
}

function dataOf(params: Params, result?: ProcessResult): ZypperData {
  return {
    name: params.name ?? [],
    state: params.state,
    rc: result?.code ?? 0,
    stdout: result?.stdout ?? "",
    stderr: result?.stderr ?? "",
    ...(result === undefined ? {} : { cmd: result.argv }),
  };
}
