import * as v from "valibot";
import {
  type ActionContext,
  type Applied,
  type Change,
  type Unchanged,
  unchanged,
} from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ReadSystem, System } from "../../core/system.ts";
import { defineAction } from "../define.ts";
import { flag, oneOf, optionalText } from "../shared/params.ts";
import {
  type AptRunOptions,
  aptErrors,
  cleaningNeeded,
  fetchedTimeMs,
  fetchLists,
  listsAreEmpty,
  listsTimeMs,
  type PackageStep,
  packageDiff,
  runApt,
  withPolicy,
} from "./apt-get.ts";
import { type AptOperation, type AptPlan, type AptRequest, AUTO_REMOVE, planApt } from "./apt-plan.ts";
import { type PackageSpec, parsePackageSpec } from "./dpkg.ts";

function packageNames(description: string) {
  return v.optional(
    v.pipe(
      v.union([v.string(), v.array(v.string())], "a package name or a list of them is expected"),
      v.transform((value): readonly string[] => listOf(value)),
      v.check(
        (names) => names.every(isSpec),
        ({ input }) =>
          `"${input.find((name) => !isSpec(name))}" is no package name; write "nginx", "nginx=1.22*" or "nginx>=1.22"`,
      ),
      v.description(description),
    ),
  );
}

function isSpec(text: string): boolean {
  return text === "*" || parsePackageSpec(text) !== null;
}

/** A whole number, as apt-get takes it; with a default. */
function wholeNumber(description: string, initial: number) {
  return v.optional(v.pipe(v.number(), v.integer(), v.minValue(0), v.description(description)), initial);
}

/** The parameters of the apt action, under Ansible's names. */
const params = v.pipe(
  v.strictObject({
    name: packageNames(
      'Packages: `"nginx"`, `"nginx=1.22*"`, `"nginx>=1.22"`, `"php8.2-*"`, or a list. `"*"` with `state: "latest"` upgrades all packages.',
    ),
    pkg: packageNames("The same as `name`."),
    package: packageNames("The same as `name`."),
    state: oneOf(
      ["present", "latest", "absent", "build-dep", "fixed"],
      "present",
      "`latest` upgrades too; `build-dep` installs build dependencies; `fixed` repairs broken dependencies.",
    ),
    update_cache: v.optional(v.pipe(v.boolean(), v.description("Fetch the package lists first."))),
    cache_valid_time: wholeNumber(
      "Seconds for which fetched package lists stay valid; implies `update_cache`.",
      0,
    ),
    update_cache_retries: wholeNumber("How often fetching the lists is retried.", 5),
    update_cache_retry_max_delay: wholeNumber("The longest wait before a retry, in seconds.", 12),
    upgrade: v.optional(
      v.pipe(
        v.union([v.picklist(["no", "yes", "safe", "full", "dist"]), v.boolean()]),
        v.transform((value) => (typeof value === "boolean" ? (value ? "yes" : "no") : value)),
        v.description("Upgrade all packages: `yes` and `safe` remove nothing, `full` and `dist` may."),
      ),
      "no",
    ),
    purge: flag("Remove configuration files as well."),
    autoremove: flag(
      "Remove packages that were installed as dependencies and are no longer needed; may be the only parameter.",
    ),
    autoclean: flag("Remove downloaded packages that can no longer be fetched."),
    clean: flag("Remove all downloaded packages."),
    install_recommends: v.optional(
      v.pipe(
        v.boolean(),
        v.description("Install recommended packages too. Default: the host's apt configuration."),
      ),
    ),
    default_release: optionalText("Release to prefer, such as `bookworm-backports`."),
    deb: optionalText(
      "Path of a package file on the host, installed with its dependencies. Refused if it would remove packages, unless `force` is set.",
    ),
    only_upgrade: flag("Upgrade installed packages; install no new ones."),
    allow_downgrade: flag("Let an older version replace a newer one."),
    allow_unauthenticated: flag("Install packages that cannot be authenticated."),
    allow_change_held_packages: flag("Change packages that are on hold."),
    force: flag(
      "Implies `allow_unauthenticated`, `allow_downgrade` and `allow_change_held_packages`. Avoid it.",
    ),
    fail_on_autoremove: flag("Fail rather than remove any package."),
    dpkg_options: v.optional(
      v.pipe(v.string(), v.description("Options for dpkg, separated by commas, without leading dashes.")),
      "force-confdef,force-confold",
    ),
    policy_rc_d: v.optional(
      v.pipe(
        v.number(),
        v.integer(),
        v.description(
          "Exit code of `/usr/sbin/policy-rc.d` during the task: 101 keeps new services from starting.",
        ),
      ),
    ),
    force_apt_get: flag("Accepted and ignored: apt-get is always used."),
    lock_timeout: wholeNumber("Seconds to wait for another apt or dpkg to end.", 60),
  }),
  v.check(
    ({ name, pkg, package: packageName }) =>
      [name, pkg, packageName].filter((given) => given !== undefined).length < 2,
    "name, pkg and package are the same; give one of them",
  ),
  v.check(
    ({ name, pkg, package: packageName, deb, upgrade }) =>
      [(name ?? pkg ?? packageName) !== undefined, deb !== undefined, upgrade !== "no"].filter(Boolean)
        .length < 2,
    'give only one of "name", "deb" and "upgrade"',
  ),
  v.check(
    ({ state, name, pkg, package: packageName }) =>
      state === "latest" || !(name ?? pkg ?? packageName)?.includes("*"),
    '"*" stands for every installed package and goes with state: "latest" only',
  ),
  v.check(
    (params) => params.deb === undefined || !params.deb.includes("://"),
    "deb is a path on the host; fetch the file with get_url first",
  ),
);

/** The validated parameters of the apt action. */
type AptParams = v.InferOutput<typeof params>;

interface AptChange extends Change {
  readonly fetch: boolean;
  readonly operations: readonly AptOperation[];
  /** `clean` or `autoclean`, where they would remove something. */
  readonly cleaning: readonly string[];
}

/** The data of an apt task. */
interface AptData {
  readonly stdout: string;
  readonly stderr: string;
  readonly cache_updated: boolean;
  /** Seconds since 1970. */
  readonly cache_update_time: number;
}

/** Install, upgrade and remove Debian packages. */
export const apt = defineAction<typeof params, AptChange, AptData>({
  name: "apt",
  doc: `Install, upgrade and remove Debian packages.

Installed packages are read from dpkg's own status file: a task that has nothing to do starts no process. For everything else apt itself is asked for its plan, so check mode and the diff show every package that is installed or removed along with the named ones. As with Ansible:

- \`cache_valid_time\` implies \`update_cache\`. Fetching the lists alone is a change only when they are newer afterwards; together with packages it never counts.
- \`pkg=1.2*\`, \`pkg>=1.2\` and globs such as \`php8.2-*\` are understood; an older version than the one installed needs \`allow_downgrade\`.
- A virtual package counts as installed when a package that provides it is.
- It waits up to \`lock_timeout\` seconds for another apt or dpkg to end.

Unlike Ansible's module, it always uses apt-get, never aptitude; it needs no Python library on the host; and \`deb\` is a path on the host, never a URL. Lists that cannot be fetched are an error, even where apt-get only warns.`,
  params,
  examples: [
    { name: "nginx" },
    { name: ["git", "unzip"], update_cache: true, cache_valid_time: 3600 },
    { name: "nginx=1.22*", install_recommends: false },
    { name: "exim4-base", state: "absent", purge: true, autoremove: true },
    { upgrade: "dist", update_cache: true },
  ],
  title: ({ name, pkg, package: packageName, deb, upgrade }) =>
    (name ?? pkg ?? packageName)?.join(" ") ?? deb ?? (upgrade === "no" ? "" : `upgrade ${upgrade}`),

  async inspect(params, system, context) {
    const fetch = await areListsDue(params, system);
    const plan = await planApt(requestOf(params), system, context).catch(asFailure);
    if (plan.failure !== undefined) return handleFailure(plan.failure, fetch, params, system, context);
    const { operations } = plan;
    const cleaning = await cleaningNeeded(params, system, context.signal);
    const steps = operations.flatMap((operation) => operation.steps);
    if (operations.length === 0 && cleaning.length === 0) {
      if (!fetch) return unchangedData(system);
      if (context.check) return predictFetch(params, system);
    }
    const diff = steps.length === 0 ? {} : { diff: packageDiff(steps) };
    return { fetch, operations, cleaning, ...diff, message: describeSteps(steps, fetch, cleaning, false) };
  },

  async apply(change, params, system, context) {
    const options = runOptions(params);
    const listsBefore = await listsTimeMs(system);
    let { operations } = change;
    if (change.fetch) {
      const retries = {
        retries: params.update_cache_retries,
        maxDelaySeconds: params.update_cache_retry_max_delay,
      };
      await fetchLists(system, options, retries, context);
      const plan = await planApt(requestOf(params), system, context);
      if (plan.failure !== undefined) throw plan.failure;
      operations = plan.operations;
    }
    const outputs = await withPolicy(system, params.policy_rc_d, () =>
      runOperations(
        [...change.cleaning.map((verb) => [verb]), ...operations.map(({ args }) => args)],
        system,
        options,
        context,
      ),
    );
    const listsAfter = await listsTimeMs(system);
    const steps = operations.flatMap((operation) => operation.steps);
    return {
      changed:
        operations.length > 0 ||
        change.cleaning.length > 0 ||
        (asksOnlyForLists(params) && listsAfter !== listsBefore),
      message: describeSteps(steps, change.fetch, change.cleaning, true),
      data: {
        stdout: outputs.map(({ stdout }) => stdout).join(""),
        stderr: outputs.map(({ stderr }) => stderr).join(""),
        cache_updated: change.fetch,
        cache_update_time: Math.floor(listsAfter / 1_000),
      },
    } satisfies Applied<AptData>;
  },
});

function asFailure(thrown: unknown): AptPlan {
  if (thrown instanceof VolleyError && thrown.code === "ACTION_FAILED")
    return { operations: [], failure: thrown };
  throw thrown;
}

/** Turn a failed plan into a Change where fetching the lists, or in check mode an earlier task, may mend it; else throw it. */
async function handleFailure(
  failure: VolleyError,
  fetch: boolean,
  params: AptParams,
  system: ReadSystem,
  context: ActionContext,
): Promise<AptChange> {
  const needed = { fetch, operations: [], cleaning: [] };
  if (context.check) {
    const hope = fetch ? "the package lists would be fetched first" : "an earlier task may change that";
    return { ...needed, unknown: `${failure.message}; ${hope}` };
  }
  if (fetch) return { ...needed, cleaning: await cleaningNeeded(params, system, context.signal) };
  if (failure.hint === undefined || !(await listsAreEmpty(system))) throw failure;
  throw new VolleyError("ACTION_FAILED", failure.message, {
    hint: "there are no package lists on this host yet: set update_cache: true",
  });
}

async function areListsDue(
  { update_cache, cache_valid_time }: AptParams,
  system: ReadSystem,
): Promise<boolean> {
  if (update_cache === false || (update_cache === undefined && cache_valid_time === 0)) return false;
  return cache_valid_time === 0 || Date.now() - (await fetchedTimeMs(system)) > cache_valid_time * 1_000;
}

function asksOnlyForLists(params: AptParams): boolean {
  const { specs, upgrade, deb, state, autoremoveAlone } = requestOf(params);
  return specs.length === 0 && upgrade === null && deb === null && state !== "fixed" && !autoremoveAlone;
}

async function predictFetch(params: AptParams, system: ReadSystem): Promise<AptChange | Unchanged<AptData>> {
  const needed = { fetch: true, operations: [], cleaning: [] };
  if (asksOnlyForLists(params))
    return { ...needed, unknown: "only fetching the package lists tells whether they are new" };
  if (params.state === "latest" || params.upgrade !== "no") {
    return {
      ...needed,
      unknown: "nothing to upgrade by the present package lists, but they would be fetched first",
    };
  }
  return unchangedData(system);
}

async function unchangedData(system: ReadSystem): Promise<Unchanged<AptData>> {
  const time = Math.floor((await listsTimeMs(system)) / 1_000);
  return unchanged({ stdout: "", stderr: "", cache_updated: false, cache_update_time: time });
}

function runOptions({ dpkg_options, lock_timeout }: AptParams): AptRunOptions {
  return { dpkgOptions: listOf(dpkg_options), lockTimeoutSeconds: lock_timeout };
}

async function runOperations(
  runs: readonly (readonly string[])[],
  system: System,
  options: AptRunOptions,
  context: ActionContext,
): Promise<readonly { readonly stdout: string; readonly stderr: string }[]> {
  const outputs: { readonly stdout: string; readonly stderr: string }[] = [];
  for (const args of runs) {
    const result = await runApt(system, args, options, context);
    if (result.code !== 0) {
      throw new VolleyError(
        "ACTION_FAILED",
        `apt-get ${args.filter((arg) => !arg.startsWith("-")).join(" ")} failed: ${aptErrors(result)}`,
      );
    }
    outputs.push(result);
  }
  return outputs;
}

function describeSteps(
  steps: readonly PackageStep[],
  fetch: boolean,
  cleaning: readonly string[],
  done: boolean,
): string {
  const count = (is: (step: PackageStep) => boolean): number => steps.filter(is).length;
  const parts = [
    [count(({ before, after }) => before === null && after !== null), "install", "installed"],
    [count(({ before, after }) => before !== null && after !== null), "upgrade", "upgraded"],
    [count(({ after }) => after === null), "remove", "removed"],
  ] as const;
  const counted = parts.filter(([number]) => number > 0);
  const described = [
    ...(fetch ? [done ? "package lists fetched" : "package lists to fetch"] : []),
    ...counted.map(([number, verb, past]) => (done ? `${number} ${past}` : `${number} to ${verb}`)),
    ...(cleaning.length > 0 ? [done ? "downloaded packages removed" : "downloaded packages to remove"] : []),
  ];
  return described.join(", ") || "nothing to do";
}

/** Translate the parameters into the request that {@link planApt} takes. */
function requestOf(params: AptParams): AptRequest {
  const names = params.name ?? params.pkg ?? params.package;
  const specs = (names ?? [])
    .map(parsePackageSpec)
    .filter((spec): spec is PackageSpec => spec !== null && spec.name !== "*");
  const upgradesAll = params.state === "latest" && names?.includes("*") === true;
  const upgrade = params.upgrade !== "no" ? params.upgrade : upgradesAll ? "yes" : "no";
  return {
    specs,
    state: params.state,
    purge: params.purge,
    upgrade: upgrade === "no" ? null : upgrade === "yes" || upgrade === "safe" ? "upgrade" : "dist-upgrade",
    deb: params.deb ?? null,
    mayRemove: params.force,
    allowDowngrade: params.allow_downgrade || params.force,
    autoremoveAlone:
      params.autoremove &&
      names === undefined &&
      params.deb === undefined &&
      upgrade === "no" &&
      params.state !== "fixed",
    flags: aptFlags(params),
  };
}

function aptFlags(params: AptParams): readonly string[] {
  const { force, install_recommends: recommends } = params;
  return [
    ...(params.default_release === undefined ? [] : ["--target-release", params.default_release]),
    ...(recommends === undefined ? [] : [recommends ? "--install-recommends" : "--no-install-recommends"]),
    ...(params.autoremove ? [AUTO_REMOVE] : []),
    ...(params.only_upgrade ? ["--only-upgrade"] : []),
    ...(params.fail_on_autoremove && params.state !== "absent" ? ["--no-remove"] : []),
    ...(params.allow_downgrade || force ? ["--allow-downgrades"] : []),
    ...(params.allow_unauthenticated || force ? ["--allow-unauthenticated"] : []),
    ...(params.allow_change_held_packages || force ? ["--allow-change-held-packages"] : []),
  ];
}

/** Return the items of a list, or of a text with commas. */
function listOf(value: string | readonly string[]): readonly string[] {
  const items = typeof value === "string" ? value.split(",") : value;
  return items.map((item) => item.trim()).filter((item) => item !== "");
}
