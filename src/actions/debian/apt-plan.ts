import type { ActionContext } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ReadSystem } from "../../core/system.ts";
import { globExpression } from "../shared/paths.ts";
import { failureText } from "../shared/run-tool.ts";
import { APT_ENVIRONMENT, type PackageStep, type Simulation, simulateApt } from "./apt-get.ts";
import {
  compareDebianVersions,
  type DpkgDatabase,
  formatPackageSpec,
  isGlob,
  isInstalled,
  type PackageSpec,
  readDpkg,
  versionSatisfies,
} from "./dpkg.ts";

/** The wanted state of packages. */
export interface AptRequest {
  readonly specs: readonly PackageSpec[];
  readonly state: "present" | "latest" | "absent" | "build-dep" | "fixed";
  readonly purge: boolean;
  /** `upgrade` keeps packages, `dist-upgrade` may remove some. */
  readonly upgrade: "upgrade" | "dist-upgrade" | null;
  /** Path of a .deb on the host. */
  readonly deb: string | null;
  /** True when installing the .deb may remove packages. */
  readonly mayRemove: boolean;
  readonly allowDowngrade: boolean;
  /** Only `apt-get autoremove`. */
  readonly autoremoveAlone: boolean;
  /** Options for every run of apt-get. */
  readonly flags: readonly string[];
}

/** A run of apt-get and its effect on packages. */
export interface AptOperation {
  readonly args: readonly string[];
  readonly steps: readonly PackageStep[];
}

/** The runs of apt-get that are needed; none when the state is as wanted. */
export interface AptPlan {
  readonly operations: readonly AptOperation[];
  /** The reason why apt would fail, with a hint. */
  readonly failure?: VolleyError;
}

/** apt-get's option that removes unneeded dependencies. */
export const AUTO_REMOVE = "--auto-remove";

const NOTHING: AptPlan = { operations: [] };

/** Plan the runs of apt-get: from dpkg's status file where nothing is missing, else by a simulation. */
export async function planApt(
  request: AptRequest,
  system: ReadSystem,
  context: ActionContext,
): Promise<AptPlan> {
  const { specs, state, flags } = request;
  const simulate = (args: readonly string[]): Promise<AptPlan> =>
    planArgs([...flags, ...args], system, context);
  if (request.upgrade !== null) {
    return simulate(request.upgrade === "upgrade" ? ["upgrade", "--with-new-pkgs"] : ["dist-upgrade"]);
  }
  if (request.deb !== null) {
    if (!(await isDebNeeded(request.deb, request.allowDowngrade, system, context))) return NOTHING;
    const plan = await simulate(["install", request.deb]);
    const alone = flags.includes(AUTO_REMOVE)
      ? await planArgs(
          [...flags.filter((flag) => flag !== AUTO_REMOVE), "install", request.deb],
          system,
          context,
        )
      : plan;
    return request.mayRemove ? plan : refuseRemoval(request.deb, plan, alone);
  }
  if (state === "fixed") return simulate(["--fix-broken", "install", ...specs.map(formatPackageSpec)]);
  if (request.autoremoveAlone) return simulate([request.purge ? "--purge" : "--no-purge", "autoremove"]);
  if (specs.length === 0) return NOTHING;
  if (state === "build-dep") return simulate(["build-dep", ...specs.map(formatPackageSpec)]);
  const dpkg = await readDpkg(system, context.memo);
  if (state === "absent") {
    const names = namesToRemove(specs, dpkg, request.purge);
    return names.length === 0 ? NOTHING : simulate([request.purge ? "purge" : "remove", ...names]);
  }
  const wanted = await specsToInstall(specs, state, dpkg, system, context);
  return wanted.length === 0 ? NOTHING : simulate(["install", ...wanted]);
}

/** Fail when installing a .deb would remove packages, as in Ansible. `alone` is the plan without automatic removals. */
function refuseRemoval(deb: string, plan: AptPlan, alone: AptPlan): AptPlan {
  const removed = alone.operations
    .flatMap(({ steps }) => steps)
    .filter(({ after }) => after === null)
    .map(({ name }) => name);
  if (removed.length === 0) return plan;
  const names = removed.join(", ");
  return {
    operations: [],
    failure: new VolleyError(
      "ACTION_FAILED",
      `${deb} conflicts with what is installed: ${names} would be removed`,
      {
        hint: `remove ${names} first with state: "absent", or set force: true`,
      },
    ),
  };
}

async function planArgs(
  args: readonly string[],
  system: ReadSystem,
  context: ActionContext,
): Promise<AptPlan> {
  const simulation = await simulateApt(system, ["--yes", ...args], context.signal);
  if (simulation.failure !== undefined) return { operations: [], failure: explainFailure(simulation) };
  return simulation.steps.length === 0 ? NOTHING : { operations: [{ args, steps: simulation.steps }] };
}

function explainFailure({ failure = "" }: Simulation): VolleyError {
  const missing = [
    ...failure.matchAll(/Unable to locate package (\S+?)(?:;|$)/g),
    ...failure.matchAll(/Unable to find a source package for (\S+)/g),
  ].map(([, name]) => name);
  const [, version, name] = /Version '(.+?)' for '(.+?)' was not found/.exec(failure) ?? [];
  if (version !== undefined) return missingPackage(`version ${version} of ${name}`);
  const virtual = /Package '?(\S+?)'? has no installation candidate/.exec(failure)?.[1];
  if (virtual !== undefined) {
    return missingPackage(`package ${virtual} itself; where it is virtual, name one that provides it`);
  }
  if (missing.length > 0) {
    return missingPackage(`package ${missing.join(", ")}`);
  }
  return new VolleyError("ACTION_FAILED", `apt cannot do this: ${failure}`);
}

/** Make the error for something missing from the lists. Its hint tells callers that fetching the lists may help. */
function missingPackage(what: string): VolleyError {
  return new VolleyError("ACTION_FAILED", `the package lists have no ${what}`, {
    hint: "check its name, or set update_cache: true when its repository is new",
  });
}

function namesToRemove(specs: readonly PackageSpec[], dpkg: DpkgDatabase, purge: boolean): readonly string[] {
  const isThere = (name: string): boolean => {
    const status = dpkg.find(name)?.status ?? "not-installed";
    return status !== "not-installed" && (purge || status !== "config-files");
  };
  const installed = specs.some(({ name }) => isGlob(name)) ? dpkg.installedNames() : [];
  return specs.flatMap(({ name }) =>
    isGlob(name) ? installed.filter((each) => globExpression(name).test(each)) : isThere(name) ? [name] : [],
  );
}

async function specsToInstall(
  specs: readonly PackageSpec[],
  state: "present" | "latest",
  dpkg: DpkgDatabase,
  system: ReadSystem,
  context: ActionContext,
): Promise<readonly string[]> {
  const wanted: string[] = [];
  for (const given of specs) {
    for (const spec of isGlob(given.name) ? await expandGlob(given, system, context) : [given]) {
      if (isInstalled(dpkg, spec) && (state === "present" || spec.relation === "=")) continue;
      if (await isProvided(spec, dpkg, system, context)) continue;
      await refuseGuess(spec, dpkg, system, context);
      wanted.push(spec.relation === ">=" ? await pinNewest(spec, system, context) : formatPackageSpec(spec));
    }
  }
  return wanted;
}

async function expandGlob(
  spec: PackageSpec,
  system: ReadSystem,
  context: ActionContext,
): Promise<readonly PackageSpec[]> {
  const { stdout } = await system.query(["apt-cache", "pkgnames"], {
    env: APT_ENVIRONMENT,
    signal: context.signal,
    maxOutput: 16 << 20,
  });
  const pattern = globExpression(spec.name);
  const names = stdout.split("\n").filter((name) => name !== "" && pattern.test(name));
  if (names.length > 0) return names.sort().map((name) => ({ ...spec, name }));
  throw missingPackage(`package that matches ${spec.name}`);
}

/** Tell whether a package is purely virtual and an installed package provides it. */
async function isProvided(
  { name, relation }: PackageSpec,
  dpkg: DpkgDatabase,
  system: ReadSystem,
  context: ActionContext,
): Promise<boolean> {
  if (relation !== undefined || dpkg.find(name)?.status === "installed") return false;
  if (dpkg.providers(name).length === 0) return false;
  // A real package of that name takes precedence; only apt's lists tell whether one exists.
  const { stdout } = await system.query(["apt-cache", "policy", name], {
    env: APT_ENVIRONMENT,
    signal: context.signal,
  });
  return !/^ {2}Candidate: (?!\(none\))/m.test(stdout);
}

/** Fail for a name that no package has: apt would take it for a regular expression and install every match. */
async function refuseGuess(
  { name }: PackageSpec,
  dpkg: DpkgDatabase,
  system: ReadSystem,
  context: ActionContext,
): Promise<void> {
  if (!/[.+]/.test(name) || dpkg.find(name)?.status === "installed") return;
  const { stdout } = await system.query(["apt-cache", "policy", name], {
    env: APT_ENVIRONMENT,
    signal: context.signal,
  });
  // The output lists virtual packages too, but matches of the expression only under their own names.
  if (!stdout.split("\n").includes(`${name.replace(/:.*/, "")}:`)) throw missingPackage(`package ${name}`);
}

async function pinNewest(spec: PackageSpec, system: ReadSystem, context: ActionContext): Promise<string> {
  const { stdout } = await system.query(["apt-cache", "madison", spec.name], {
    env: APT_ENVIRONMENT,
    signal: context.signal,
  });
  const versions = stdout.split("\n").flatMap((line) => line.split("|")[1]?.trim() ?? []);
  const [newest] = versions
    .filter((version) => versionSatisfies(version, spec))
    .sort((a, b) => compareDebianVersions(b, a));
  if (newest !== undefined) return `${spec.name}=${newest}`;
  throw missingPackage(`version of ${formatPackageSpec(spec)}`);
}

async function isDebNeeded(
  path: string,
  allowDowngrade: boolean,
  system: ReadSystem,
  { memo, signal }: ActionContext,
): Promise<boolean> {
  const asked = await system.query(
    ["dpkg-deb", "--show", "--showformat", `\${Package}:\${Architecture} \${Version}`, path],
    {
      env: APT_ENVIRONMENT,
      signal,
    },
  );
  if (asked.code !== 0)
    throw new VolleyError("ACTION_FAILED", `cannot read the package ${path}: ${failureText(asked)}`);
  const [name = "", version = ""] = asked.stdout.trim().split(" ");
  const installed = (await readDpkg(system, memo)).find(name.replace(/:all$/, ""));
  if (installed?.status !== "installed") return true;
  const difference = compareDebianVersions(version, installed.version);
  if (difference >= 0 || allowDowngrade) return difference !== 0;
  throw new VolleyError(
    "ACTION_FAILED",
    `${path} holds ${name} ${version}, but the newer ${installed.version} is installed; set allow_downgrade to go back`,
  );
}
