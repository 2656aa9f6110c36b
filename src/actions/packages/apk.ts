import * as v from "valibot";
import { type ActionContext, type Applied, type Change, unchanged } from "../../core/action.ts";
import type { ReadSystem } from "../../core/system.ts";
import { defineAction } from "../define.ts";
import { flag, oneOf } from "../shared/params.ts";
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

const params = v.pipe(
  v.strictObject({
    name: names("Packages: `bash`, `bash=5.2.26-r0`, `bash@edge`, or a list."),
    state: oneOf(
      ["present", "installed", "latest", "absent", "removed"],
      "present",
      "`latest` upgrades too; `installed` is `present`, `removed` is `absent`.",
    ),
    update_cache: flag("Fetch the repositories' indexes first."),
    upgrade: flag("Upgrade all packages."),
    available: flag("With `upgrade`, take only versions that a repository still has."),
    repository: names("Repositories to use instead of the system's."),
    no_cache: flag("Use no local cache."),
    world: v.optional(
      v.pipe(v.string(), v.description("The list of packages that were asked for.")),
      "/etc/apk/world",
    ),
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

/** The data of an apk task. */
interface ApkData extends Output {
  /** Names of the packages that change. */
  readonly packages: readonly string[];
}

interface ApkChange extends Change {
  /** Null when the indexes alone are fetched. */
  readonly args: readonly string[] | null;
  readonly changes: readonly PackageChange[];
}

/** Install, upgrade and remove Alpine packages. */
export const apk = defineAction<typeof params, ApkChange, ApkData>({
  name: "apk",
  doc: `Install, upgrade and remove packages of Alpine Linux.

A package counts as present when it is installed and stands in \`/etc/apk/world\`: one that came as a dependency alone is added there. Everything else is apk's own plan (\`--simulate\`), which check mode and the diff show.`,
  params,
  examples: [{ name: ["bash", "curl"] }, { upgrade: true, available: true, update_cache: true }],
  title: ({ name, upgrade }) => name?.join(" ") ?? (upgrade ? "upgrade" : ""),

  async inspect(params, system, context) {
    await requireProgram(system, "apk");
    const args = await argumentsFor(params, system, context);
    if (args === null) {
      if (!params.update_cache || context.check) return unchanged(dataOf([], { stdout: "", stderr: "" }));
      return { args, changes: [] };
    }
    const asked = await system.query(["apk", ...flagsOf(params), "--simulate", ...args], askOptions(context));
    if (asked.code !== 0) throw runFailure(asked, `failed to ${args[0]} package(s)`);
    const changes = parseApk(asked.stdout);
    if (changes.length === 0 && !(args[0] === "add" && params.state !== "latest"))
      return unchanged(dataOf([], asked));
    return {
      args,
      changes,
      data: dataOf(changes, asked),
      ...(changes.length > 0 ? { diff: changesDiff(changes) } : { message: "add to world" }),
    };
  },

  async apply({ args, changes }, params, system, context) {
    const run = async (words: readonly string[]) => {
      const result = await system.run(["apk", ...flagsOf(params), ...words], runOptions(context));
      if (result.code !== 0) throw runFailure(result, `failed to ${words[0]}`);
      return result;
    };
    if (args === null) {
      const result = await run(["update"]);
      return { changed: false, data: dataOf([], result) };
    }
    const result = await run(params.update_cache ? ["--update-cache", ...args] : args);
    return { data: dataOf(changes, result) } satisfies Applied<ApkData>;
  },
});

function flagsOf({ repository, no_cache }: Params): readonly string[] {
  return [
    ...(no_cache ? ["--no-cache"] : []),
    ...(repository === undefined ? [] : ["--repositories-file", "/dev/null"]),
    ...(repository ?? []).flatMap((url) => ["--repository", url]),
  ];
}

/** Return the words of the run that may be needed; null for none. */
async function argumentsFor(
  { name, state, upgrade, available, world }: Params,
  system: ReadSystem,
  context: ActionContext,
): Promise<readonly string[] | null> {
  if (upgrade) return ["upgrade", ...(available ? ["--available"] : [])];
  if (name === undefined || name.length === 0) return null;
  if (state === "latest") return ["add", "--upgrade", ...name];
  const asked = await system.query(["apk", "info"], askOptions(context));
  const installed = new Set(asked.stdout.split("\n").map((line) => line.trim()));
  if (state === "absent" || state === "removed") {
    const there = name.filter((each) => installed.has(bare(each)));
    return there.length === 0 ? null : ["del", ...there];
  }
  const wanted = ((await system.readIfExists(world))?.toString("utf8") ?? "").split(/\s+/);
  const missing = name.filter((each) => !installed.has(bare(each)) || !isWanted(each, wanted));
  return missing.length === 0 ? null : ["add", ...missing];
}

function bare(spec: string): string {
  return spec.replace(/[=<>~@].*$/s, "");
}

/** Tell whether world has a package: with the same version, where one is named. */
function isWanted(spec: string, world: readonly string[]): boolean {
  return bare(spec) === spec ? world.some((each) => bare(each) === spec) : world.includes(spec);
}

/** Parse what apk does: `(1/2) Installing musl (1.2.4-r2)`. */
export function parseApk(stdout: string): readonly PackageChange[] {
  const LINE =
    /^\(\d+\/\d+\) (Installing|Upgrading|Downgrading|Replacing|Purging|Reinstalling) (\S+) \((\S+)(?: -> (\S+))?\)/;
  return stdout.split("\n").flatMap((line) => {
    const [, verb, name = "", first = "", second] = LINE.exec(line) ?? [];
    switch (verb) {
      case undefined:
        return [];
      case "Installing":
        return { name, before: null, after: first };
      case "Purging":
        return { name, before: first, after: null };
      default:
        return { name, before: first, after: second ?? first };
    }
  });
}

function dataOf(changes: readonly PackageChange[], { stdout, stderr }: Output): ApkData {
  return { packages: changes.map(({ name }) => name), stdout, stderr };
}
