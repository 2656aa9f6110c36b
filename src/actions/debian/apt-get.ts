import type { ActionContext } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { Diff } from "../../core/result.ts";
import type { ProcessResult, ReadSystem, System } from "../../core/system.ts";
import { sleep } from "../flow/pause.ts";
import { failureText } from "../shared/run-tool.ts";

/** The environment of every apt and dpkg process: no questions, and messages in English. */
export const APT_ENVIRONMENT = {
  DEBIAN_FRONTEND: "noninteractive",
  DEBIAN_PRIORITY: "critical",
  APT_LISTCHANGES_FRONTEND: "none",
  LC_ALL: "C",
} as const;

const LOCK_POLL_MS = 1_000;
const LOCKED =
  /Could not get lock|Unable to lock|Unable to acquire the dpkg frontend lock|is another process using it/;
const MAX_SIMULATION_BYTES = 16 << 20;

/** A package that apt installs, upgrades, configures or removes. */
export interface PackageStep {
  readonly name: string;
  /** Version before; null when not installed. */
  readonly before: string | null;
  /** Version afterwards; null when removed. */
  readonly after: string | null;
}

/** The output of a run of apt-get. */
export type AptOutput = Pick<ProcessResult, "stdout" | "stderr">;

/** The answer of `apt-get --simulate`. */
export interface Simulation {
  readonly steps: readonly PackageStep[];
  readonly output: AptOutput;
  /** The reason why apt would fail, and its exit code. */
  readonly failure?: { readonly text: string; readonly rc: number };
}

const STEP = /^(Inst|Conf|Remv|Purg) (\S+)(?: \[([^\]]*)\])?(?: \((\S+))?/;

/** Parse the output of `apt-get --simulate`. */
export function parseSimulation(stdout: string): readonly PackageStep[] {
  const steps = new Map<string, PackageStep>();
  for (const line of stdout.split("\n")) {
    const [, verb, name, before, after] = STEP.exec(line) ?? [];
    if (verb === undefined || name === undefined) continue;
    // Every installed package is configured too: a package with only a Conf line was unpacked before.
    if (verb === "Conf" && steps.has(name)) continue;
    const removed = verb === "Remv" || verb === "Purg";
    const was = before || (verb === "Conf" ? "unconfigured" : removed ? "configuration files" : null);
    steps.set(name, { name, before: was, after: removed ? null : (after ?? "") });
  }
  return [...steps.values()];
}

/** Format steps as a diff with one line per package. */
export function packageDiff(steps: readonly PackageStep[]): Diff {
  const sorted = [...steps].sort((a, b) => (a.name < b.name ? -1 : 1));
  const text = (side: "before" | "after"): string =>
    sorted.flatMap((step) => (step[side] === null ? [] : [`${step.name} ${step[side]}\n`])).join("");
  return { path: "packages", before: text("before"), after: text("after") };
}

/** Ask apt for its plan, without locking or changing anything. */
export async function simulateApt(
  system: ReadSystem,
  args: readonly string[],
  signal: AbortSignal,
): Promise<Simulation> {
  const result = await system.query(["apt-get", "--simulate", "-o", "Debug::NoLocking=true", ...args], {
    env: APT_ENVIRONMENT,
    signal,
    maxOutput: MAX_SIMULATION_BYTES,
  });
  const { stdout, stderr, code } = result;
  const output = { stdout, stderr };
  if (code !== 0) return { steps: [], output, failure: { text: aptErrors(result), rc: code } };
  return { steps: parseSimulation(stdout), output };
}

/** Return the `E:` lines of apt's output, or its last lines without any. */
export function aptErrors(result: ProcessResult): string {
  const errors = result.stderr.split("\n").filter((line) => line.startsWith("E: "));
  return errors.length > 0 ? errors.join("; ") : failureText(result);
}

/** Options of {@link runApt}. */
export interface AptRunOptions {
  /** Options for dpkg, without leading dashes. */
  readonly dpkgOptions: readonly string[];
  readonly lockTimeoutSeconds: number;
}

/** Run apt-get with live output, and wait while another process holds apt's or dpkg's lock. */
export async function runApt(
  system: System,
  args: readonly string[],
  { dpkgOptions, lockTimeoutSeconds }: AptRunOptions,
  { signal, output }: Pick<ActionContext, "signal" | "output">,
): Promise<ProcessResult> {
  const options = dpkgOptions.flatMap((option) => ["-o", `Dpkg::Options::=--${option}`]);
  const argv = ["apt-get", "--yes", "-o", `DPkg::Lock::Timeout=${lockTimeoutSeconds}`, ...options, ...args];
  const deadline = Date.now() + lockTimeoutSeconds * 1_000;
  for (;;) {
    const result = await system.run(argv, { env: APT_ENVIRONMENT, signal, onOutput: output });
    if (result.code === 0 || !LOCKED.test(result.stderr)) return result;
    if (Date.now() >= deadline) {
      throw new VolleyError(
        "ACTION_FAILED",
        `another process has held the package lock for ${lockTimeoutSeconds} s: ${aptErrors(result)}`,
        { hint: "wait for it to end, or raise lock_timeout" },
      );
    }
    await sleep(LOCK_POLL_MS, signal);
  }
}

// Hooks of Ubuntu and of unattended-upgrades write the stamp; without it the directory's own time counts.
const STAMP = "/var/lib/apt/periodic/update-success-stamp";
const LISTS = "/var/lib/apt/lists";
const FETCH_FAILED = /^(?:W: Failed to fetch|W: Some index files failed|E: )/m;

/** Return when the package lists last changed, in milliseconds since 1970; 0 for never. */
export async function listsTimeMs(system: ReadSystem): Promise<number> {
  return ((await system.stat(STAMP)) ?? (await system.stat(LISTS)))?.mtimeMs ?? 0;
}

/** Return when package lists were last fetched, changed or not, in milliseconds since 1970; 0 without lists. */
export async function fetchedTimeMs(system: ReadSystem): Promise<number> {
  if (await listsAreEmpty(system)) return 0;
  // Every fetch makes files in partial/; the lists' own directory changes with new lists only.
  const partial = await system.stat(`${LISTS}/partial`);
  return Math.max(await listsTimeMs(system), partial?.mtimeMs ?? 0);
}

/** Tell whether the host has no package lists, as in a new container image. */
export async function listsAreEmpty(system: ReadSystem): Promise<boolean> {
  if ((await system.stat(LISTS))?.type !== "directory") return true;
  return !(await system.list(LISTS)).some((name) => /_(?:Packages|InRelease|Release)/.test(name));
}

/** Number of retries of fetching the lists, and the longest wait before a retry. */
interface FetchRetries {
  readonly retries: number;
  readonly maxDelaySeconds: number;
}

/** Fetch the package lists. Fails with `ACTION_FAILED` for lists that cannot be fetched, even where apt-get only warns. */
export async function fetchLists(
  system: System,
  options: AptRunOptions,
  { retries, maxDelaySeconds }: FetchRetries,
  context: Pick<ActionContext, "signal" | "output">,
): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    const result = await runApt(system, ["update"], options, context);
    if (result.code === 0 && !FETCH_FAILED.test(result.stderr)) return;
    if (attempt >= retries) {
      throw new VolleyError("ACTION_FAILED", `Failed to update apt cache: ${failureText(result)}`);
    }
    await sleep(Math.min(2 ** attempt, maxDelaySeconds) * 1_000, context.signal);
  }
}

const STATES = "/var/lib/apt/extended_states";

/** Return the packages that apt takes for dependencies, by `name` and by `name:architecture`. */
export async function markedAutomatic(system: ReadSystem): Promise<ReadonlySet<string>> {
  const states = (await system.readIfExists(STATES))?.toString("utf8") ?? "";
  const marked = new Set<string>();
  for (const paragraph of states.split(/\n{2,}/)) {
    if (!/^Auto-Installed: 1$/m.test(paragraph)) continue;
    const [, name] = /^Package: (\S+)$/m.exec(paragraph) ?? [];
    const [, architecture] = /^Architecture: (\S+)$/m.exec(paragraph) ?? [];
    if (name !== undefined) marked.add(name).add(`${name}:${architecture ?? ""}`);
  }
  return marked;
}

const ARCHIVES = "/var/cache/apt/archives";

/** Return the verb of apt-get, `clean` or `autoclean`, that is wanted and would remove downloaded packages. */
export async function cleaningNeeded(
  { clean, autoclean }: { readonly clean: boolean; readonly autoclean: boolean },
  system: ReadSystem,
  signal: AbortSignal,
): Promise<readonly string[]> {
  if (!(clean || autoclean) || !(await holdsArchives(system))) return [];
  if (clean) return ["clean"];
  const { stdout } = await system.query(
    ["apt-get", "--simulate", "-o", "Debug::NoLocking=true", "autoclean"],
    { signal },
  );
  return /^Del /m.test(stdout) ? ["autoclean"] : [];
}

async function holdsArchives(system: ReadSystem): Promise<boolean> {
  for (const directory of [ARCHIVES, `${ARCHIVES}/partial`]) {
    if ((await system.stat(directory)) === null) continue;
    if ((await system.list(directory)).some((name) => name !== "lock" && name !== "partial")) return true;
  }
  return false;
}

const POLICY = "/usr/sbin/policy-rc.d";
const SAVED = `${POLICY}.volley-saved`;

/** Run `work` while `/usr/sbin/policy-rc.d` exits with `exitCode`, then restore the old file; undefined leaves it alone. */
export async function withPolicy<T>(
  system: System,
  exitCode: number | undefined,
  work: () => Promise<T>,
): Promise<T> {
  if (exitCode === undefined) return work();
  const present = (await system.lstat(POLICY)) !== null;
  if (present) await system.rename(POLICY, SAVED);
  try {
    await system.writeFile(POLICY, `#!/bin/sh\nexit ${exitCode}\n`, { mode: 0o755 });
    return await work();
  } finally {
    if (present) await system.rename(SAVED, POLICY);
    else await system.remove(POLICY);
  }
}
