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
import {
  type AptRunOptions,
  aptErrors,
  fetchedTimeMs,
  fetchLists,
  listsAreEmpty,
  listsTimeMs,
  type PackageStep,
  packageDiff,
  runApt,
  withPolicy,
} from "./apt-get.ts";
import { type AptParams, aptParams, requestOf } from "./apt-params.ts";
import { type AptOperation, type AptPlan, planApt } from "./apt-plan.ts";

const ARCHIVES = "/var/cache/apt/archives";

interface AptChange extends Change {
  readonly fetch: boolean;
  readonly operations: readonly AptOperation[];
  /** `clean` or `autoclean`, where they would remove something. */
  readonly cleaning: readonly string[];
}

/** The data of an apt task. */
export interface AptData {
  readonly stdout: string;
  readonly stderr: string;
  readonly cache_updated: boolean;
  /** Seconds since 1970. */
  readonly cache_update_time: number;
}

/** Install, upgrade and remove Debian packages. */
export const apt = defineAction<typeof aptParams, AptChange, AptData>({
  name: "apt",
  doc: `Install, upgrade and remove Debian packages.

Installed packages are read from dpkg's own status file: a task that has nothing to do starts no process. For everything else apt itself is asked for its plan, so check mode and the diff show every package that is installed or removed along with the named ones. As with Ansible:

- \`cache_valid_time\` implies \`update_cache\`. Fetching the lists alone is a change only when they are newer afterwards; together with packages it never counts.
- \`pkg=1.2*\`, \`pkg>=1.2\` and globs such as \`php8.2-*\` are understood; an older version than the one installed needs \`allow_downgrade\`.
- A virtual package counts as installed when a package that provides it is.
- It waits up to \`lock_timeout\` seconds for another apt or dpkg to end.

Unlike Ansible's module, it always uses apt-get, never aptitude; it needs no Python library on the host; and \`deb\` is a path on the host, never a URL. Lists that cannot be fetched are an error, even where apt-get only warns.`,
  params: aptParams,
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
    const cleaning = await cleaningNeeded(params, system, context);
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
  if (fetch) return { ...needed, cleaning: await cleaningNeeded(params, system, context) };
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

async function cleaningNeeded(
  params: AptParams,
  system: ReadSystem,
  { signal }: ActionContext,
): Promise<readonly string[]> {
  const needed: string[] = [];
  if (params.clean && (await holdsArchives(system))) needed.push("clean");
  if (params.autoclean && !params.clean && (await holdsArchives(system))) {
    const { stdout } = await system.query(
      ["apt-get", "--simulate", "-o", "Debug::NoLocking=true", "autoclean"],
      { signal },
    );
    if (/^Del /m.test(stdout)) needed.push("autoclean");
  }
  return needed;
}

async function holdsArchives(system: ReadSystem): Promise<boolean> {
  for (const directory of [ARCHIVES, `${ARCHIVES}/partial`]) {
    if ((await system.stat(directory)) === null) continue;
    if ((await system.list(directory)).some((name) => name !== "lock" && name !== "partial")) return true;
  }
  return false;
}

function runOptions({ dpkg_options, lock_timeout }: AptParams): AptRunOptions {
  const dpkgOptions = dpkg_options
    .split(",")
    .map((option) => option.trim())
    .filter((option) => option !== "");
  return { dpkgOptions, lockTimeoutSeconds: lock_timeout };
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
