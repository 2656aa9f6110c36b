import * as v from "valibot";
import {
  type ActionContext,
  ActionFailure,
  type Applied,
  type Change,
  type Unchanged,
  unchanged,
} from "../../core/action.ts";
import type { ReadSystem, System } from "../../core/system.ts";
import { defineAction } from "../define.ts";
import { exclusive } from "../shared/combinations.ts";
import { flag, optionalText } from "../shared/params.ts";
import {
  DNF_ENVIRONMENT,
  type DnfData,
  type DnfOperation,
  type DnfRequest,
  dnfFailure,
  findDnf,
  planDnf,
  resultLines,
  transactionDiff,
} from "./dnf-plan.ts";
import { nevra, parseRpmLines, type RpmPackage, readRpms } from "./rpm-database.ts";

function list(description: string) {
  return v.optional(
    v.pipe(
      v.union([v.string(), v.array(v.string())]),
      v.transform((value): readonly string[] =>
        (typeof value === "string" ? value.split(",") : value)
          .map((item) => item.trim())
          .filter((item) => item !== ""),
      ),
      v.description(description),
    ),
  );
}

/** The parameters of dnf, which yum has too. */
export const dnfParams = v.pipe(
  v.strictObject({
    name: list(
      'Packages: `"nginx"`, `"nginx-1.22"`, `"nginx >= 1.22"`, `"@group"`, a path or URL of an `.rpm`, a file that a package has, or a list. `"*"` with `state: "latest"` upgrades all packages.',
    ),
    state: v.optional(
      v.pipe(
        v.picklist(["present", "installed", "latest", "absent", "removed"]),
        v.description("Default: `present`; `absent` with `autoremove`."),
      ),
    ),
    list: optionalText(
      "Return packages and change nothing: `installed`, `available`, `updates`, `repos`, or a package's name.",
    ),
    update_cache: flag("Fetch the repositories' metadata first."),
    enablerepo: list("Repositories to enable for this task."),
    disablerepo: list("Repositories to disable for this task."),
    exclude: list("Packages to leave alone."),
    autoremove: flag("Remove dependencies that are no longer needed; may be the only parameter."),
    update_only: flag("With `latest`, upgrade installed packages and install no new ones."),
    security: flag("With `latest`, only upgrades for security."),
    bugfix: flag("With `latest`, only upgrades that mend bugs."),
    allow_downgrade: flag("Accepted: a version that is named is installed, newer or older."),
    allowerasing: flag("Let installed packages be removed to solve conflicts."),
    nobest: flag("Take an older version where the best one cannot be had."),
    skip_broken: flag("Leave out packages that cannot be installed."),
    install_weak_deps: flag("Install recommended packages too.", true),
    disable_gpg_check: flag("Install packages without a valid signature."),
    sslverify: flag("Verify the certificates of repositories.", true),
    validate_certs: flag("Verify the certificates of servers named in a URL.", true),
    cacheonly: flag("Use the metadata that is there, and fetch none."),
    download_only: flag("Download the packages, and install none."),
    download_dir: optionalText("The directory for downloaded packages."),
    installroot: v.optional(
      v.pipe(
        v.string(),
        v.startsWith("/", "must be an absolute path"),
        v.description("The root of the system to change."),
      ),
      "/",
    ),
    releasever: optionalText("The release of the system to change."),
    conf_file: optionalText("dnf's configuration file."),
    disable_excludes: optionalText(
      "Excludes of the configuration to ignore: `all`, `main`, or a repository.",
    ),
    enable_plugin: list("Plugins to enable."),
    disable_plugin: list("Plugins to disable."),
    lock_timeout: v.optional(
      v.pipe(v.number(), v.integer(), v.description("Accepted: dnf itself waits for its lock.")),
      30,
    ),
    install_repoquery: flag("Accepted and ignored.", true),
    use_backend: v.optional(
      v.pipe(
        v.picklist(["auto", "dnf", "dnf4", "dnf5", "yum", "yum4"]),
        v.description("The program to use. Default: `dnf`, where it is not there `dnf5` or `yum`."),
      ),
      "auto",
    ),
  }),
  v.check(
    ({ autoremove, state }) =>
      !autoremove || state === undefined || state === "absent" || state === "removed" || state === "latest",
    'autoremove goes with state "absent" or "latest", or without a state',
  ),
  exclusive("list", "name"),
);

/** The validated parameters of dnf and yum. */
export type DnfParams = v.InferOutput<typeof dnfParams>;

/** A change of packages. */
export interface DnfChange extends Change {
  readonly operations: readonly DnfOperation[];
  /** True when the metadata alone is to be fetched. */
  readonly fetches: boolean;
}

/** Ansible's other names of the parameters. */
export const dnfAliases = { pkg: "name", "expire-cache": "update_cache", use: "use_backend" } as const;

const PROGRAMS: Readonly<Record<DnfParams["use_backend"], readonly string[]>> = {
  auto: ["dnf", "dnf5", "yum"],
  dnf: ["dnf", "dnf5"],
  dnf4: ["dnf-3", "dnf"],
  dnf5: ["dnf5"],
  yum: ["yum", "dnf"],
  yum4: ["dnf"],
};

/** Install, upgrade and remove packages with dnf. */
export const dnf = defineAction<typeof dnfParams, DnfChange, DnfData>({
  name: "dnf",
  doc: `Install, upgrade and remove packages with dnf, or with yum where that is all there is.

Installed packages are read from rpm's database: a task that has nothing to do asks no repository. For everything else dnf is asked for its plan, so check mode and the diff show every package that comes and goes. The host needs no Python library.

\`results\` names what was installed and removed. A repository named by \`enablerepo\` or \`disablerepo\` must exist.`,
  params: dnfParams,
  aliases: dnfAliases,
  examples: [
    { name: "nginx" },
    { name: ["git", "unzip"], state: "latest", enablerepo: "epel" },
    { name: "*", state: "latest", security: true },
    { name: "httpd", state: "absent", autoremove: true },
  ],
  title: ({ name, list }) => name?.join(" ") ?? list ?? "",
  inspect: inspectDnf,
  apply: applyDnf,
});

function requestOf(params: DnfParams): DnfRequest {
  const removes = params.state === "absent" || params.state === "removed";
  const alone = params.state === undefined && params.autoremove;
  return {
    names: params.name ?? [],
    state: removes || alone ? "absent" : params.state === "latest" ? "latest" : "present",
    autoremove: params.autoremove,
    updateOnly: params.update_only,
    root: params.installroot,
    flags: flagsOf(params),
  };
}

function flagsOf(params: DnfParams): readonly string[] {
  const each = (option: string, values: readonly string[] | undefined): readonly string[] =>
    (values ?? []).map((value) => `--${option}=${value}`);
  return [
    ...(params.conf_file === undefined ? [] : [`--config=${params.conf_file}`]),
    ...(params.installroot === "/" ? [] : [`--installroot=${params.installroot}`]),
    ...(params.releasever === undefined ? [] : [`--releasever=${params.releasever}`]),
    ...each("disablerepo", params.disablerepo),
    ...each("enablerepo", params.enablerepo),
    ...each("exclude", params.exclude),
    ...each("enableplugin", params.enable_plugin),
    ...each("disableplugin", params.disable_plugin),
    ...(params.disable_excludes === undefined ? [] : [`--disableexcludes=${params.disable_excludes}`]),
    ...(params.disable_gpg_check ? ["--nogpgcheck"] : []),
    ...(params.sslverify ? [] : ["--setopt=sslverify=0"]),
    ...(params.install_weak_deps ? [] : ["--setopt=install_weak_deps=False"]),
    ...(params.allowerasing ? ["--allowerasing"] : []),
    ...(params.nobest ? ["--nobest"] : []),
    ...(params.skip_broken ? ["--skip-broken"] : []),
    ...(params.cacheonly ? ["--cacheonly"] : []),
    ...(params.security ? ["--security"] : []),
    ...(params.bugfix ? ["--bugfix"] : []),
    ...(params.update_cache ? ["--refresh"] : []),
    ...(params.download_only ? ["--downloadonly"] : []),
    ...(params.download_dir === undefined ? [] : [`--downloaddir=${params.download_dir}`]),
  ];
}

/** Compare the packages with the parameters. */
export async function inspectDnf(
  params: DnfParams,
  system: ReadSystem,
  context: ActionContext,
): Promise<DnfChange | Unchanged<DnfData>> {
  const program = await findDnf(system, PROGRAMS[params.use_backend]);
  if (params.list !== undefined)
    return unchanged({ results: await listPackages(program, params.list, params, system, context) });
  const operations = await planDnf(program, requestOf(params), system, context);
  const data: DnfData = { rc: 0, results: resultLines(operations, params.download_only) };
  if (operations.length > 0)
    return {
      operations,
      fetches: false,
      data,
      diff: transactionDiff(operations),
      message: describe(operations, false),
    };
  const isIdle = (params.name ?? []).length === 0 && !params.autoremove;
  if (params.update_cache && isIdle && !context.check) return { operations, fetches: true, data };
  return unchanged(data, params.update_cache && isIdle ? "Cache updated" : "Nothing to do");
}

/** Carry the plan out. */
export async function applyDnf(
  { operations, fetches }: DnfChange,
  params: DnfParams,
  system: System,
  { signal, output }: ActionContext,
): Promise<Applied<DnfData>> {
  const program = await findDnf(system, PROGRAMS[params.use_backend]);
  const run = async (args: readonly string[]): Promise<void> => {
    const result = await system.run([program, "-y", ...args], {
      env: DNF_ENVIRONMENT,
      signal,
      onOutput: output,
    });
    if (result.code !== 0) throw dnfFailure(result);
  };
  if (fetches) {
    await run([...flagsOf(params), "makecache"]);
    return { changed: false, message: "Cache updated", data: { rc: 0, results: [] } };
  }
  for (const { args } of operations) await run(args);
  return {
    message: describe(operations, true),
    data: { rc: 0, results: resultLines(operations, params.download_only) },
  };
}

function describe(operations: readonly DnfOperation[], done: boolean): string {
  const installed = operations.reduce((sum, operation) => sum + operation.installed.length, 0);
  const removed = operations.reduce((sum, operation) => sum + operation.removed.length, 0);
  return [
    ...(installed > 0 ? [`${installed} ${done ? "installed" : "to install"}`] : []),
    ...(removed > 0 ? [`${removed} ${done ? "removed" : "to remove"}`] : []),
  ].join(", ");
}

interface Listed extends RpmPackage {
  readonly nevra: string;
  readonly envra: string;
  readonly repo: string;
  readonly yumstate: "installed" | "available";
}

const SYSTEM_REPO = "@System";
const QUERY = "%{name}\\t%{epoch}\\t%{version}\\t%{release}\\t%{arch}\\t%{reponame}\\n";

/** Return packages or repositories, as Ansible's parameter `list` does. */
async function listPackages(
  program: string,
  what: string,
  params: DnfParams,
  system: ReadSystem,
  context: ActionContext,
): Promise<readonly unknown[]> {
  const ask = async (args: readonly string[]): Promise<string> => {
    const asked = await system.query([program, "--quiet", ...flagsOf(params), ...args], {
      env: DNF_ENVIRONMENT,
      signal: context.signal,
      maxOutput: 64 << 20,
    });
    if (asked.code === 0) return asked.stdout;
    const failed = dnfFailure(asked);
    throw new ActionFailure("ACTION_FAILED", failed.message, failed.data);
  };
  if (what === "repos" || what === "repositories") {
    const lines = (await ask(["repolist", "--enabled"])).trim().split("\n").slice(1);
    return lines.map((line) => ({ repoid: line.split(/\s+/)[0], state: "enabled" }));
  }
  const repoquery = async (args: readonly string[]): Promise<readonly Listed[]> => {
    const lines = (await ask(["repoquery", ...args, `--queryformat=${QUERY}`])).split("\n");
    return lines.flatMap((line) =>
      parseRpmLines(line).map((entry) => listed(entry, line.split("\t")[5] ?? "", "available")),
    );
  };
  switch (what) {
    case "available":
      return repoquery(["--available"]);
    case "updates":
    case "upgrades":
      return repoquery(["--upgrades"]);
    default: {
      const installed = await readRpms(system, params.installroot, context);
      const wanted = what === "installed" ? installed : installed.filter(({ name }) => name === what);
      return [
        ...wanted.map((entry) => listed(entry, SYSTEM_REPO, "installed")),
        ...(what === "installed" ? [] : await repoquery(["--available", what])),
      ];
    }
  }
}

function listed(entry: RpmPackage, repo: string, yumstate: Listed["yumstate"]): Listed {
  const full = `${entry.epoch}:${nevra({ ...entry, epoch: "0" })}`;
  return { ...entry, nevra: full, envra: full, repo, yumstate };
}
