import * as v from "valibot";
import { type ActionContext, type Applied, type Change, unchanged } from "../../core/action.ts";
import type { ReadSystem } from "../../core/system.ts";
import { defineAction } from "../define.ts";
import { flag, oneOf } from "../shared/params.ts";
import { commandWords } from "../shared/run-tool.ts";
import {
  askOptions,
  changesDiff,
  names,
  type Output,
  type PackageChange,
  requireProgram,
  runFailure,
  runOptions,
} from "./package-run.ts";

function words(description: string) {
  return v.optional(v.pipe(v.string(), v.description(description)), "");
}

const params = v.pipe(
  v.strictObject({
    name: names("Packages, groups, or paths and URLs of package files."),
    state: oneOf(
      ["present", "installed", "latest", "absent", "removed"],
      "present",
      "`latest` upgrades too; `installed` is `present`, `removed` is `absent`.",
    ),
    update_cache: flag("Fetch the package databases first."),
    upgrade: flag("Upgrade all packages."),
    force: flag("Remove without a look at dependencies; fetch databases although they are new."),
    remove_nosave: flag("Remove configuration files as well."),
    executable: v.optional(
      v.pipe(v.string(), v.nonEmpty(), v.description("pacman, or a program that takes its options.")),
      "pacman",
    ),
    extra_args: words("More options for installing and removing."),
    update_cache_extra_args: words("More options for fetching the databases."),
    upgrade_extra_args: words("More options for upgrading."),
    reason: v.optional(
      v.pipe(
        v.picklist(["dependency", "explicit"]),
        v.description("Mark new packages as dependencies, or as asked for."),
      ),
    ),
    reason_for: oneOf(["all", "new"], "new", "Accepted: the reason is set for new packages."),
  }),
  v.check(
    ({ name, upgrade }) => name === undefined || !upgrade,
    "parameters are mutually exclusive: name|upgrade",
  ),
  v.check(
    ({ name, upgrade, update_cache }) => name !== undefined || upgrade || update_cache,
    "one of the following is required: name, update_cache, upgrade",
  ),
);

type Params = v.InferOutput<typeof params>;

/** The data of a pacman task. */
interface PacmanData extends Partial<Output> {
  /** Names of the packages that change. */
  readonly packages: readonly string[];
  /** Set with `update_cache`: true when a database was newer than the host's. */
  readonly cache_updated?: boolean;
}

interface PacmanChange extends Change {
  /** The words of the runs; null when the databases alone are fetched. */
  readonly runs: readonly (readonly string[])[] | null;
  readonly changes: readonly PackageChange[];
}

/** Install, upgrade and remove packages of Arch Linux. */
export const pacman = defineAction<typeof params, PacmanChange, PacmanData>({
  name: "pacman",
  doc: `Install, upgrade and remove packages of Arch Linux with pacman.

pacman itself is asked for the packages that would come and go (\`--print-format\`), which check mode and the diff show. Check mode goes by the databases that are there.`,
  params,
  aliases: { pkg: "name", package: "name", "update-cache": "update_cache" },
  examples: [
    { name: "htop" },
    { name: ["vim", "git"], state: "latest", update_cache: true },
    { upgrade: true },
  ],
  title: ({ name, upgrade }) => name?.join(" ") ?? (upgrade ? "upgrade" : ""),

  async inspect(params, system, context) {
    await requireProgram(system, params.executable);
    const plan = await planPacman(params, system, context);
    if (plan !== null && plan.changes.length > 0)
      return { ...plan, diff: changesDiff(plan.changes), data: dataOf(params, plan.changes) };
    if (!params.update_cache || context.check) return unchanged(dataOf(params, []));
    return { runs: null, changes: [] };
  },

  async apply(change, params, system, context) {
    const { executable } = params;
    let { runs, changes } = change;
    const outputs: Output[] = [];
    const run = async (given: readonly string[], attempted: string): Promise<void> => {
      const result = await system.run([executable, ...given], runOptions(context));
      if (result.code !== 0) throw runFailure(result, attempted);
      outputs.push(result);
    };
    if (params.update_cache) {
      const refresh = ["--sync", "--refresh", ...(params.force ? ["--refresh"] : [])];
      await run([...refresh, ...commandWords(params.update_cache_extra_args)], "could not update package db");
      const plan = await planPacman(params, system, context);
      runs = plan?.runs ?? null;
      changes = plan?.changes ?? [];
    }
    for (const args of changes.length > 0 ? (runs ?? []) : [])
      await run(
        ["--noconfirm", "--noprogressbar", ...args],
        `failed to ${params.upgrade ? "upgrade" : "change"} packages`,
      );
    const said = {
      stdout: outputs.map(({ stdout }) => stdout).join(""),
      stderr: outputs.map(({ stderr }) => stderr).join(""),
    };
    const data = dataOf(params, changes, said);
    const asksOnlyForDatabases = params.name === undefined && !params.upgrade;
    return {
      changed: changes.length > 0 || (asksOnlyForDatabases && data.cache_updated === true),
      data,
    } satisfies Applied<PacmanData>;
  },
});

function dataOf(params: Params, changes: readonly PackageChange[], output?: Output): PacmanData {
  return {
    packages: changes.map(({ name }) => name),
    ...(params.update_cache ? { cache_updated: / downloading\.\.\./.test(output?.stdout ?? "") } : {}),
    ...output,
  };
}

interface PacmanPlan {
  readonly runs: readonly (readonly string[])[];
  readonly changes: readonly PackageChange[];
}

async function planPacman(
  params: Params,
  system: ReadSystem,
  context: ActionContext,
): Promise<PacmanPlan | null> {
  const { name = [], state, upgrade, executable } = params;
  const ask = (args: readonly string[]) => system.query([executable, ...args], askOptions(context));
  const versions = new Map(
    [...(await ask(["--query"])).stdout.matchAll(/^(\S+) (\S+)$/gm)].map(([, each, version]) => [
      each!,
      version!,
    ]),
  );
  if (upgrade) {
    const { stdout } = await ask(["--query", "--upgrades"]);
    const changes = [...stdout.matchAll(/^(\S+) (\S+) -> (\S+)/gm)].map(([, each, before, after]) => ({
      name: each!,
      before: before!,
      after: after!,
    }));
    return { runs: [["--sync", "--sysupgrade", ...commandWords(params.upgrade_extra_args)]], changes };
  }
  if (name.length === 0) return null;
  const extra = commandWords(params.extra_args);
  const print = ["--print-format", PRINTED];
  if (state === "absent" || state === "removed") {
    const groups = await groupMembers(await ask(["--query", "--groups"]));
    const there = name.filter((each) => versions.has(each) || groups.has(each));
    if (there.length === 0) return null;
    const options = [
      ...(params.force ? ["--nodeps", "--nodeps"] : []),
      ...(params.remove_nosave ? ["--nosave"] : []),
    ];
    const args = ["--remove", ...extra, ...options, ...there];
    const asked = await ask([...args, ...print]);
    if (asked.code !== 0) throw runFailure(asked, "failed to list the packages to remove");
    const changes = parsePrinted(asked.stdout).map(([each, before]) => ({ name: each, before, after: null }));
    return { runs: [args], changes };
  }
  const isFile = (spec: string): boolean =>
    spec.includes("/") && (spec.includes("://") || spec.includes(".pkg."));
  const missing = name.filter((each) => isFile(each) || !versions.has(each.replace(/^[^/]*\//, "")));
  const wanted = state === "latest" ? name : missing;
  if (wanted.length === 0) return null;
  const changes: PackageChange[] = [];
  const runs: (readonly string[])[] = [];
  const files = wanted.filter(isFile);
  const others = wanted.filter((each) => !isFile(each));
  const reason =
    params.reason === undefined ? [] : [params.reason === "explicit" ? "--asexplicit" : "--asdeps"];
  for (const [verb, specs] of [
    ["--sync", others],
    ["--upgrade", files],
  ] as const) {
    if (specs.length === 0) continue;
    const asked = await ask([verb, "--needed", ...extra, ...specs, ...print]);
    if (asked.code !== 0) throw runFailure(asked, `failed to list the packages to install`);
    const found = parsePrinted(asked.stdout)
      .map(([each, after]) => ({ name: each, before: versions.get(each) ?? null, after }))
      .filter(({ before, after }) => before !== after);
    changes.push(...found);
    if (found.length > 0) runs.push([verb, "--needed", ...reason, ...extra, ...specs]);
  }
  return { runs, changes };
}

function groupMembers({ stdout }: Output): ReadonlySet<string> {
  return new Set([...stdout.matchAll(/^(\S+) \S+$/gm)].map(([, group]) => group!));
}

// pacman says more on the same stream, so that the lines asked for need a mark.
const PRINTED = "package %n %v";

/** Parse the lines of {@link PRINTED}. */
function parsePrinted(stdout: string): readonly (readonly [name: string, version: string])[] {
  return [...stdout.matchAll(/^package (\S+) (\S+)$/gm)].map(
    ([, name, version]) => [name!, version!] as const,
  );
}
