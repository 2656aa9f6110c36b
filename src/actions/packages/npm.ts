import * as v from "valibot";
import { type ActionContext, type Applied, type Change, unchanged } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ProcessOptions, ReadSystem } from "../../core/system.ts";
import { isRecord } from "../../core/values/value.ts";
import { defineAction } from "../define.ts";
import { flag, nameText, oneOf, optionalText } from "../shared/params.ts";
import { expandPath } from "../shared/paths.ts";
import { askOptions, changesDiff, type Output, runFailure, runOptions } from "./package-run.ts";

const params = v.pipe(
  v.strictObject({
    name: v.optional(nameText("The package. Default: those that `package.json` names.")),
    path: optionalText("The directory of the project. Needed unless `global` is set."),
    version: v.optional(v.pipe(v.string(), v.description("The version to install."))),
    global: flag("Install for the whole system."),
    state: oneOf(["present", "latest", "absent"], "present", "`latest` upgrades too."),
    ci: flag("Install exactly what the lock file says: `npm ci`. Always a change."),
    production: flag("Leave out what only development needs."),
    registry: optionalText("URL of the registry."),
    executable: optionalText("Path of npm."),
    ignore_scripts: flag("Run no scripts of packages."),
    unsafe_perm: flag("Run scripts as root too."),
    no_optional: flag("Leave out optional dependencies."),
    no_bin_links: flag("Make no links to programs."),
    force: flag("Fetch and install although conflicts speak against it."),
  }),
  v.check(({ path, global }) => path !== undefined || global, "path must be specified when not using global"),
  v.check(
    ({ state, name, version }) => state !== "absent" || (name !== undefined && version === undefined),
    'state "absent" needs a name, and takes no version',
  ),
  v.check(({ ci, name }) => !ci || name === undefined, "ci takes no name"),
);

type Params = v.InferOutput<typeof params>;

interface NpmChange extends Change {
  readonly args: readonly string[];
}

/** Install, upgrade and remove packages with npm. */
export const npm = defineAction<typeof params, NpmChange, Output>({
  name: "npm",
  doc: `Install, upgrade and remove packages of Node.js with npm, in a project or for the whole system.

A package that is there, in the version named, is left alone without asking the registry. Without a name, the dependencies of \`package.json\` are installed where one is missing or does not satisfy.`,
  params,
  examples: [
    { name: "coffee-script", version: "1.6.1", path: "/app" },
    { name: "pm2", global: true },
    { path: "/app", ci: true },
  ],
  title: ({ name, path }) => name ?? path ?? "",

  async inspect(given, system, context) {
    const params = await withPath(given, system);
    const { name, version, state, ci } = params;
    if (ci) return { args: ["ci"] };
    const tree = await listTree(params, system, context);
    const found = name === undefined ? undefined : tree.versions.get(name);
    if (state === "absent") {
      if (found === undefined) return unchanged();
      return { args: ["uninstall", name!], diff: changesDiff([{ name: name!, before: found, after: null }]) };
    }
    const latest = state === "latest" ? await outdated(params, system, context) : new Map<string, string>();
    if (name === undefined) {
      if (tree.broken.length === 0 && latest.size === 0) return unchanged();
      const changes = [
        ...tree.broken.map((each) => ({ name: each, before: null, after: "" })),
        ...[...latest].map(([each, after]) => ({
          name: each,
          before: tree.versions.get(each) ?? null,
          after,
        })),
      ];
      return { args: [latest.size > 0 ? "update" : "install"], diff: changesDiff(changes) };
    }
    const wanted = version || (state === "latest" ? "latest" : undefined);
    const isThere =
      found !== undefined &&
      !tree.broken.includes(name) &&
      (!version || found === version) &&
      !latest.has(name);
    if (isThere) return unchanged();
    return {
      args: ["install", wanted === undefined ? name : `${name}@${wanted}`],
      diff: changesDiff([{ name, before: found ?? null, after: latest.get(name) ?? version ?? "" }]),
    };
  },

  async apply({ args }, given, system, context) {
    const params = await withPath(given, system);
    const result = await system.run([...command(params), ...args, ...flagsOf(params)], {
      ...runOptions(context),
      ...directoryOf(params),
    });
    if (result.code !== 0) throw runFailure(result, `npm ${args[0]} failed`);
    return { data: { stdout: result.stdout, stderr: result.stderr } } satisfies Applied<Output>;
  },
});

async function withPath(params: Params, system: ReadSystem): Promise<Params> {
  const program = params.executable ?? "npm";
  if (!program.includes("/") && (await system.which(program)) === null)
    throw new VolleyError("ACTION_FAILED", `Failed to find required executable "${program}"`, {
      hint: "install npm, or name it with executable",
    });
  return params.path === undefined ? params : { ...params, path: await expandPath(system, params.path) };
}

function command({ executable, global }: Params): readonly string[] {
  return [executable ?? "npm", ...(global ? ["--global"] : [])];
}

function directoryOf({ path, global }: Params): Pick<ProcessOptions, "cwd"> {
  return path === undefined || global ? {} : { cwd: path };
}

function flagsOf(params: Params): readonly string[] {
  return [
    ...(params.production ? ["--omit=dev"] : []),
    ...(params.ignore_scripts ? ["--ignore-scripts"] : []),
    ...(params.unsafe_perm ? ["--unsafe-perm"] : []),
    ...(params.no_optional ? ["--no-optional"] : []),
    ...(params.no_bin_links ? ["--no-bin-links"] : []),
    ...(params.force ? ["--force"] : []),
    ...(params.registry === undefined ? [] : ["--registry", params.registry]),
  ];
}

interface Tree {
  readonly versions: ReadonlyMap<string, string>;
  /** Packages that are missing, or do not satisfy. */
  readonly broken: readonly string[];
}

async function listTree(params: Params, system: ReadSystem, context: ActionContext): Promise<Tree> {
  if (params.path !== undefined && !params.global && (await system.stat(params.path)) === null) {
    if (context.check) return { versions: new Map(), broken: [] };
    throw new VolleyError("ACTION_FAILED", `path ${params.path} is not a directory`, {
      hint: 'make it first with file({ path, state: "directory" })',
    });
  }
  const flags = [
    ...(params.production ? ["--omit=dev"] : []),
    ...(params.registry === undefined ? [] : ["--registry", params.registry]),
  ];
  const asked = await system.query([...command(params), "list", "--json", "--depth=0", ...flags], {
    ...askOptions(context),
    ...directoryOf(params),
  });
  const parsed = parseJson(asked.stdout);
  // npm exits with an error where packages are missing, and lists them all the same.
  if (parsed === null) throw runFailure(asked, "npm list failed");
  return readTree(parsed);
}

/** Read the answer of `npm list --json`. */
export function readTree(parsed: Readonly<Record<string, unknown>>): Tree {
  const versions = new Map<string, string>();
  const broken: string[] = [];
  for (const [name, entry] of Object.entries(isRecord(parsed.dependencies) ? parsed.dependencies : {})) {
    if (!isRecord(entry)) continue;
    const isOptional = entry.optional === true || !("required" in entry || "version" in entry);
    if (typeof entry.version === "string") versions.set(name, entry.version);
    if ((entry.missing === true && !isOptional) || entry.invalid !== undefined) broken.push(name);
  }
  return { versions, broken };
}

async function outdated(
  params: Params,
  system: ReadSystem,
  context: ActionContext,
): Promise<Map<string, string>> {
  const registry = params.registry === undefined ? [] : ["--registry", params.registry];
  const asked = await system.query([...command(params), "outdated", "--json", ...registry], {
    ...askOptions(context),
    ...directoryOf(params),
  });
  const parsed = parseJson(asked.stdout);
  if (parsed === null || isRecord(parsed.error)) throw runFailure(asked, "npm outdated failed");
  const found = Object.entries(parsed).flatMap(([name, entry]): readonly (readonly [string, string])[] => {
    if (!isRecord(entry) || typeof entry.latest !== "string" || entry.current === entry.latest) return [];
    return params.name === undefined || params.name === name ? [[name, entry.latest]] : [];
  });
  return new Map(found);
}

function parseJson(text: string): Record<string, unknown> | null {
  try {
    const parsed: unknown = text.trim() === "" ? {} : JSON.parse(text);
    return isRecord(parsed) ? parsed : null;
  } catch {
    return null;
  }
}
