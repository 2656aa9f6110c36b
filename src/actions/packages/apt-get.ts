import type { ActionContext } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { Diff } from "../../core/result.ts";
import type { ProcessResult, ReadSystem, System } from "../../core/system.ts";
import { sleep } from "../flow/sleep.ts";
import { failureText } from "../shared/run-tool.ts";

/** What every apt and dpkg process is started with: it must never ask, and speak English. */
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

/** One package that apt installs, upgrades, configures or removes. */
export interface PackageStep {
  readonly name: string;
  /** Null when it is not installed. */
  readonly before: string | null;
  /** Null when it is removed. */
  readonly after: string | null;
}

/** What `apt-get --simulate` answered. */
export interface Simulation {
  readonly steps: readonly PackageStep[];
  /** Why apt would not do it. */
  readonly failure?: string;
}

const STEP = /^(Inst|Conf|Remv|Purg) (\S+)(?: \[([^\]]*)\])?(?: \((\S+))?/;

/** Reads the steps from what `apt-get --simulate` prints. */
export function parseSimulation(stdout: string): readonly PackageStep[] {
  const steps = new Map<string, PackageStep>();
  for (const line of stdout.split("\n")) {
    const [, verb, name, before, after] = STEP.exec(line) ?? [];
    if (verb === undefined || name === undefined) continue;
    // What is installed is configured too: only a package that waited for it has nothing but a Conf line.
    if (verb === "Conf" && steps.has(name)) continue;
    const removed = verb === "Remv" || verb === "Purg";
    const was = before || (verb === "Conf" ? "unconfigured" : removed ? "configuration files" : null);
    steps.set(name, { name, before: was, after: removed ? null : (after ?? "") });
  }
  return [...steps.values()];
}

/** The steps as a diff: one line a package. */
export function packageDiff(steps: readonly PackageStep[]): Diff {
  const sorted = [...steps].sort((a, b) => (a.name < b.name ? -1 : 1));
  const text = (side: "before" | "after"): string =>
    sorted.flatMap((step) => (step[side] === null ? [] : [`${step.name} ${step[side]}\n`])).join("");
  return { path: "packages", before: text("before"), after: text("after") };
}

/** Asks apt what it would do; neither locks nor changes anything. */
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
  if (result.code !== 0) return { steps: [], failure: aptErrors(result) };
  return { steps: parseSimulation(result.stdout) };
}

/** The `E:` lines of what apt printed, or its last lines when it has none. */
export function aptErrors(result: ProcessResult): string {
  const errors = result.stderr.split("\n").filter((line) => line.startsWith("E: "));
  return errors.length > 0 ? errors.join("; ") : failureText(result);
}

/** How {@link runApt} waits and what it tells dpkg. */
export interface AptRunOptions {
  /** Of dpkg, without the leading dashes. */
  readonly dpkgOptions: readonly string[];
  readonly lockTimeoutSeconds: number;
}

/** Runs apt-get with live output, waiting while another process holds apt's or dpkg's lock. */
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
