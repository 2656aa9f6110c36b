import {
  type ActionContext,
  ActionFailure,
  type Applied,
  type Change,
  type Unchanged,
  unchanged,
} from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ReadSystem, System } from "../../core/system.ts";
import { defineAction } from "../define.ts";
import { isWebUrl } from "../network/web-url.ts";
import { runTool } from "../shared/run-tool.ts";
import {
  APT_ENVIRONMENT,
  type AptOutput,
  type AptRunOptions,
  aptErrors,
  cleaningNeeded,
  fetchedTimeMs,
  fetchLists,
  listsAreEmpty,
  listsTimeMs,
  markedAutomatic,
  type PackageStep,
  packageDiff,
  runApt,
  withPolicy,
} from "./apt-get.ts";
import { type AptParams, aliases, namesOf, params, requestOf, runOptions } from "./apt-params.ts";
import { type AptOperation, type AptPlan, type AptRequest, planApt } from "./apt-plan.ts";
import { downloadDeb, readRemoteDeb } from "./deb-file.ts";
import { isInstalled, readDpkg } from "./dpkg.ts";

interface AptChange extends Change {
  readonly fetch: boolean;
  readonly operations: readonly AptOperation[];
  /** `clean` or `autoclean`, where they would remove something. */
  readonly cleaning: readonly string[];
  /** Installed packages that are marked as dependencies, and asked for by name. */
  readonly marks?: readonly string[];
}

/** The data of an apt task. */
interface AptData extends Partial<AptOutput> {
  /** Of upgrades: apt-get's output, as in Ansible. */
  readonly msg?: string;
  /** True when the package lists are newer than before. */
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
- A package that is installed as a dependency, and is named, counts as installed by hand from then on. That alone is no change.
- It waits up to \`lock_timeout\` seconds for another apt or dpkg to end.

Unlike Ansible's module, it always uses apt-get, never aptitude; and it needs no Python library on the host. Lists that cannot be fetched are an error, even where apt-get only warns.`,
  params,
  aliases,
  examples: [
    { name: "nginx" },
    { name: ["git", "unzip"], update_cache: true, cache_valid_time: 3600 },
    { name: "nginx=1.22*", install_recommends: false },
    { name: "exim4-base", state: "absent", purge: true, autoremove: true },
    { upgrade: "dist", update_cache: true },
  ],
  title: (params) =>
    namesOf(params)?.join(" ") ?? params.deb ?? (params.upgrade === "no" ? "" : `upgrade ${params.upgrade}`),

  async inspect(params, system, context) {
    const fetch = await areListsDue(params, system);
    const plan = await askForPlan(params, system, context).catch(asFailure);
    if (plan.failure !== undefined) return handleFailure(plan.failure, fetch, params, system, context);
    const { operations } = plan;
    const cleaning = await cleaningNeeded(params, system, context.signal);
    const marks = context.check ? [] : await marksNeeded(requestOf(params), system, context);
    const steps = operations.flatMap((operation) => operation.steps);
    if (operations.length === 0 && cleaning.length === 0 && marks.length === 0) {
      if (!fetch) return unchangedData(params, plan, system);
      if (context.check) return predictFetch(params, plan, system);
    }
    const diff = steps.length === 0 ? {} : { diff: packageDiff(steps) };
    const message = describeSteps(steps, fetch, cleaning, false);
    const output = plan.output ?? { stdout: "", stderr: "" };
    const data = await dataFor(params, output, fetch, system);
    return { fetch, operations, cleaning, marks, ...diff, message, data };
  },

  async apply(change, params, system, context) {
    const options = runOptions(params);
    const listsBefore = await listsTimeMs(system);
    let { operations, marks = [] } = change;
    let output: AptOutput | undefined;
    if (change.fetch) {
      const retries = {
        retries: params.update_cache_retries,
        maxDelaySeconds: params.update_cache_retry_max_delay,
      };
      await fetchLists(system, options, retries, context);
    }
    const url = urlOf(params);
    if (change.fetch || (url !== undefined && operations.length > 0)) {
      const deb = url === undefined ? {} : { deb: await downloadDeb(url, system, context) };
      const plan = await planApt({ ...requestOf(params), ...deb }, system, context);
      if (plan.failure !== undefined) throw plan.failure;
      operations = plan.operations;
      output = plan.output;
      marks = await marksNeeded(requestOf(params), system, context);
    }
    const cacheUpdated = (await listsTimeMs(system)) !== listsBefore;
    const runs = [...change.cleaning.map((verb) => [verb]), ...operations.map(({ args }) => args)];
    const outputs = await withPolicy(system, params.policy_rc_d, () =>
      runOperations(runs, system, options, context),
    );
    if (marks.length > 0)
      await runTool(
        system,
        ["apt-mark", "manual", ...marks],
        `mark ${marks.join(", ")} as installed by hand`,
        {
          env: APT_ENVIRONMENT,
          signal: context.signal,
        },
      );
    const steps = operations.flatMap((operation) => operation.steps);
    const said = outputs.length === 0 ? output : undefined;
    return {
      changed: runs.length > 0 || (asksOnlyForLists(params) && cacheUpdated),
      message: describeSteps(steps, change.fetch, change.cleaning, true),
      data: await dataFor(
        params,
        outputs.length > 0 || showsIdleRuns(params)
          ? {
              stdout: outputs.map(({ stdout }) => stdout).join("") || (said?.stdout ?? ""),
              stderr: outputs.map(({ stderr }) => stderr).join("") || (said?.stderr ?? ""),
            }
          : undefined,
        cacheUpdated,
        system,
      ),
    } satisfies Applied<AptData>;
  },
});

/** Return the URL of the package file to install. */
function urlOf({ deb }: AptParams): string | undefined {
  return deb !== undefined && isWebUrl(deb) ? deb : undefined;
}

async function askForPlan(params: AptParams, system: ReadSystem, context: ActionContext): Promise<AptPlan> {
  const url = urlOf(params);
  const remote = url === undefined ? {} : { deb: await readRemoteDeb(url, system, context) };
  return planApt({ ...requestOf(params), ...remote }, system, context);
}

/** Return the named packages that are installed, but as dependencies only: they would go once nothing needs them. */
async function marksNeeded(
  { specs, state }: AptRequest,
  system: ReadSystem,
  { memo }: ActionContext,
): Promise<readonly string[]> {
  if (specs.length === 0 || (state !== "present" && state !== "latest")) return [];
  const automatic = await markedAutomatic(system);
  const named = specs.filter((spec) => automatic.has(spec.name));
  if (named.length === 0) return [];
  const dpkg = await readDpkg(system, memo);
  return named.filter((spec) => isInstalled(dpkg, { name: spec.name })).map(({ name }) => name);
}

/** True where Ansible returns apt-get's output although nothing changed. */
function showsIdleRuns(params: AptParams): boolean {
  const { upgrade, autoremoveAlone } = requestOf(params);
  return upgrade !== null || autoremoveAlone || params.deb !== undefined;
}

async function dataFor(
  params: AptParams,
  output: AptOutput | undefined,
  cacheUpdated: boolean,
  system: ReadSystem,
): Promise<AptData> {
  return {
    ...(output === undefined ? {} : { stdout: output.stdout, stderr: output.stderr }),
    ...(output !== undefined && requestOf(params).upgrade !== null ? { msg: output.stdout } : {}),
    cache_updated: cacheUpdated,
    cache_update_time: Math.floor((await listsTimeMs(system)) / 1_000),
  };
}

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

async function predictFetch(
  params: AptParams,
  plan: AptPlan,
  system: ReadSystem,
): Promise<AptChange | Unchanged<AptData>> {
  const needed = { fetch: true, operations: [], cleaning: [] };
  // Ansible says changed here, too; only the fetch itself tells whether the lists are new.
  if (asksOnlyForLists(params))
    return {
      ...needed,
      message: describeSteps([], true, [], false),
      data: await dataFor(params, undefined, true, system),
    };
  if (params.state === "latest" || params.upgrade !== "no") {
    return {
      ...needed,
      unknown: "nothing to upgrade by the present package lists, but they would be fetched first",
    };
  }
  return unchangedData(params, plan, system);
}

async function unchangedData(
  params: AptParams,
  { output = { stdout: "", stderr: "" } }: AptPlan,
  system: ReadSystem,
): Promise<Unchanged<AptData>> {
  return unchanged(await dataFor(params, showsIdleRuns(params) ? output : undefined, false, system));
}

async function runOperations(
  runs: readonly (readonly string[])[],
  system: System,
  options: AptRunOptions,
  context: ActionContext,
): Promise<readonly AptOutput[]> {
  const outputs: AptOutput[] = [];
  for (const args of runs) {
    const result = await runApt(system, args, options, context);
    if (result.code !== 0) {
      const { code: rc, stdout, stderr } = result;
      throw new ActionFailure(
        "ACTION_FAILED",
        `apt-get ${args.filter((arg) => !arg.startsWith("-")).join(" ")} failed: ${aptErrors(result)}`,
        { rc, stdout, stderr },
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
