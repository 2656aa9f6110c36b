import { type ActionContext, ActionFailure } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ReadSystem } from "../../core/system.ts";
import { globExpression } from "../shared/paths.ts";
import {
  APT_ENVIRONMENT,
  type AptOutput,
  type PackageStep,
  type Simulation,
  simulateApt,
} from "./apt-get.ts";
import { type DebFile, readDeb } from "./deb-file.ts";
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
  /** Path of a .deb on the host, or the package behind a URL. */
  readonly deb: string | DebFile | null;
  /** True when installing the .deb may remove packages. */
  readonly mayRemove: boolean;
  readonly allowDowngrade: boolean;
  /** Only `apt-get autoremove`. */
  readonly autoremoveAlone: boolean;
  /** Options for every run of apt-get: with {@link TARGET_RELEASE} where one is preferred. */
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
  /** The output of the simulation, where one was needed. */
  readonly output?: AptOutput;
  /** The reason why apt would fail, with a hint. */
  readonly failure?: VolleyError;
}

/** apt-get's option that prefers a release, before the release's name. */
export const TARGET_RELEASE = "--target-release";

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
  if (request.deb !== null) return planDeb(request.deb, request, system, context);
  if (state === "fixed") return simulate(["--fix-broken", "install", ...specs.map(formatPackageSpec)]);
  if (request.autoremoveAlone) return simulate([request.purge ? "--purge" : "--no-purge", "autoremove"]);
  if (specs.length === 0) return NOTHING;
  if (state === "build-dep") return simulate(["build-dep", ...specs.map(formatPackageSpec)]);
  const dpkg = await readDpkg(system, context.memo);
  if (state === "absent") {
    const names = namesToRemove(specs, dpkg, request.purge);
    return names.length === 0 ? NOTHING : simulate([request.purge ? "purge" : "remove", ...names]);
  }
  const wanted = await specsToInstall(request, state, dpkg, system, context);
  return wanted.length === 0 ? NOTHING : simulate(["install", ...wanted]);
}

async function planDeb(
  deb: string | DebFile,
  { allowDowngrade, mayRemove, flags }: AptRequest,
  system: ReadSystem,
  context: ActionContext,
): Promise<AptPlan> {
  const file = typeof deb === "string" ? await readDeb(deb, system, context) : deb;
  const step = await stepFor(file, allowDowngrade, system, context);
  if (step === null) return NOTHING;
  // Only with the file itself apt can say what else it would do.
  if (typeof deb !== "string") return { operations: [{ args: [], steps: [step] }] };
  const plan = await planArgs([...flags, "install", deb], system, context);
  if (mayRemove) return plan;
  const alone = flags.includes(AUTO_REMOVE)
    ? await planArgs([...flags.filter((flag) => flag !== AUTO_REMOVE), "install", deb], system, context)
    : plan;
  return refuseRemoval(deb, plan, alone);
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
  const { steps, output } = simulation;
  if (simulation.failure !== undefined)
    return { operations: [], output, failure: explainFailure(simulation.failure, output) };
  return { operations: steps.length === 0 ? [] : [{ args, steps }], output };
}

function explainFailure({ text, rc }: NonNullable<Simulation["failure"]>, output: AptOutput): VolleyError {
  const missing = [
    ...text.matchAll(/Unable to locate package (\S+?)(?:;|$)/g),
    ...text.matchAll(/Unable to find a source package for (\S+)/g),
  ].map(([, name]) => name!);
  const [, version, name] = /Version '(.+?)' for '(.+?)' was not found/.exec(text) ?? [];
  if (version !== undefined) return missingVersion(`${name}=${version}`);
  const virtual = /Package '?(\S+?)'? has no installation candidate/.exec(text)?.[1];
  if (virtual !== undefined) {
    return missingPackage(
      `Package '${virtual}' has no installation candidate; where it is virtual, name one that provides it`,
    );
  }
  if (missing.length > 0)
    return missingPackage(missing.map((each) => `No package matching '${each}' is available`).join(", "));
  return new ActionFailure("ACTION_FAILED", `apt cannot do this: ${text}`, { rc, ...output });
}

/** Make the error for something missing from the lists. Its hint tells callers that fetching the lists may help. */
function missingPackage(message: string): VolleyError {
  return new VolleyError("ACTION_FAILED", message, {
    hint: "check its name, or set update_cache: true when its repository is new",
  });
}

function missingVersion(spec: string): VolleyError {
  return missingPackage(`no available installation candidate for ${spec}`);
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
  { specs, flags }: AptRequest,
  state: "present" | "latest",
  dpkg: DpkgDatabase,
  system: ReadSystem,
  context: ActionContext,
): Promise<readonly string[]> {
  const wanted: string[] = [];
  for (const given of specs) {
    for (const spec of isGlob(given.name) ? await expandGlob(given, system, context) : [given]) {
      const installed = isInstalled(dpkg, spec);
      const exact = spec.relation === "=" && !isGlob(spec.version ?? "");
      if (installed && (state === "present" || exact)) continue;
      if (await isProvided(spec, dpkg, system, context)) continue;
      await refuseGuess(spec, dpkg, system, context);
      if (spec.relation !== ">=") wanted.push(formatPackageSpec(spec));
      else wanted.push(...(await pinCandidate(spec, installed, flags, system, context)));
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
  throw missingPackage(`No package(s) matching '${spec.name}' available`);
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
  if (!stdout.split("\n").includes(`${name.replace(/:.*/, "")}:`))
    throw missingPackage(`No package matching '${name}' is available`);
}

/** Return apt's candidate for a least version as a specification; none when it is installed and has no newer one. */
async function pinCandidate(
  spec: PackageSpec,
  installed: boolean,
  flags: readonly string[],
  system: ReadSystem,
  context: ActionContext,
): Promise<readonly string[]> {
  const at = flags.indexOf(TARGET_RELEASE);
  const release = at === -1 ? [] : flags.slice(at, at + 2);
  const { stdout } = await system.query(["apt-cache", ...release, "policy", spec.name], {
    env: APT_ENVIRONMENT,
    signal: context.signal,
  });
  const candidate = /^ {2}Candidate: (?!\(none\))(\S+)/m.exec(stdout)?.[1];
  if (candidate !== undefined && versionSatisfies(candidate, spec)) return [`${spec.name}=${candidate}`];
  if (installed) return [];
  throw missingVersion(formatPackageSpec(spec));
}

/** Return what installing a .deb does to its package, null for nothing. Fails with `ACTION_FAILED` for a downgrade that is not allowed. */
async function stepFor(
  { name, architecture, version, from }: DebFile,
  allowDowngrade: boolean,
  system: ReadSystem,
  { memo }: ActionContext,
): Promise<PackageStep | null> {
  const installed = (await readDpkg(system, memo)).find(
    architecture === "all" ? name : `${name}:${architecture}`,
  );
  if (installed?.status !== "installed") return { name, before: null, after: version };
  const difference = compareDebianVersions(version, installed.version);
  if (difference >= 0 || allowDowngrade)
    return difference === 0 ? null : { name, before: installed.version, after: version };
  throw new VolleyError(
    "ACTION_FAILED",
    `A later version is already installed: ${from} holds ${name} ${version}, and ${installed.version} is installed; set allow_downgrade to go back`,
  );
}
