import { mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { VolleyError } from "../core/errors.ts";
import type { Event, Summary } from "../core/events.ts";
import { quote } from "../core/unix/shell.ts";
import { COMPARED_PHASES, type ComparedPhase } from "../reporter/timing.ts";
import { ROUTES_VARIABLE } from "../transport/ssh/open-stream.ts";
import {
  type CpuReading,
  cpuBetween,
  type HostControl,
  readCpu,
  runTimed,
  type TimedResult,
} from "./commands.ts";
import {
  type Condition,
  type HostResult,
  INVENTORY_PLACEHOLDER,
  type Method,
  type RemoteCpuSource,
  type Sample,
} from "./comparison.ts";
import type { Road } from "./road.ts";
import { median } from "./statistics.ts";

/** Options that all runs of a comparison share. */
export interface SamplerOptions {
  /** The words that start this command line: Node and the file. */
  readonly program: readonly string[];
  /** The arguments of a run, up to `--via`. */
  readonly runArguments: readonly string[];
  readonly environment: NodeJS.ProcessEnv;
  /** More environment of Volley's own runs: passwords. */
  readonly ownEnvironment: NodeJS.ProcessEnv;
  readonly cwd: string;
  /** A line for the shell here, to run before each run. */
  readonly reset: string | undefined;
  /** A line for the shell of every host, to run before each run. */
  readonly resetHosts: string | undefined;
  readonly hosts: number;
  readonly control: HostControl;
  readonly road: Road;
  readonly signal: AbortSignal;
}

/** A timed run, and facts about it that the sample does not keep. */
export interface Taken {
  readonly sample: Sample;
  /** Endpoints that were reached through a proxy. */
  readonly endpoints: number;
  /** The bundle's id; undefined of runs without one. */
  readonly bundle: string | undefined;
  /** Hosts that had the bundle before. */
  readonly hostsWithBundle: readonly string[];
}

/** The way to measure the hosts' processor time. */
export interface CpuMeter {
  readonly source: RemoteCpuSource;
  /** Processor time that one reading of cgroups takes itself, added up over the hosts. */
  readonly readingMs: number;
}

/** A run to time. */
export interface SampleRequest extends Condition {
  readonly method: Method;
  /** Counted from 1; 0 is a warm-up. */
  readonly round: number;
  readonly cpuMeter: CpuMeter;
  /** Bundles to remove from the hosts before a cold run. */
  readonly bundles: ReadonlySet<string>;
}

/** Bring hosts and caches to the run's initial state, and time the run. Fails with `COMPARE_FAILED`. */
export async function takeSample(request: SampleRequest, options: SamplerOptions): Promise<Taken> {
  const { method, cache, roundTripMs, round, cpuMeter } = request;
  const { road, control, signal, hosts } = options;
  const { proxies } = road;
  proxies.roundTripMs = 0;
  await resetState(options);
  const isCold = cache === "cold" && method.kind === "volley";
  const cacheDirectory = isCold ? mkdtempSync(join(road.directory, "cache-")) : undefined;
  // Other methods leave the bundle on the hosts.
  if (isCold && method.via === "bundle" && request.bundles.size > 0)
    await control.run(removeBundles(request.bundles), signal);
  const before = cpuMeter.source === "cgroup" ? await readCpu(control, signal) : undefined;
  proxies.closeConnections();
  proxies.reset();
  proxies.roundTripMs = roundTripMs;

  const chunks: string[] = [];
  const result = await runTimed({
    words: wordsOf(method, options),
    cwd: options.cwd,
    env: environmentOf(method, cacheDirectory, options),
    ...(method.kind === "volley" ? { onStdout: (chunk: string) => chunks.push(chunk) } : {}),
    signal,
  });
  const traffic = proxies.traffic();
  proxies.closeConnections();
  if (cacheDirectory !== undefined) rmSync(cacheDirectory, { recursive: true, force: true });
  signal.throwIfAborted();
  const output = method.kind === "volley" ? readRunOutput(chunks.join("")) : undefined;
  if (result.exitCode !== 0) throw failed(request, result, output);
  const after = before === undefined ? undefined : await readCpu(control, signal);
  const wasProxied = traffic.endpoints > 0;
  return {
    sample: {
      method: method.name,
      cache,
      roundTripMs,
      round,
      wallMs: result.wallMs,
      controllerCpuMs: result.times === undefined ? undefined : result.times.userMs + result.times.systemMs,
      remoteCpuMs: cpuMeter.source === "target" ? output?.targetCpuMs : cpuOfRun(before, after, cpuMeter),
      sentBytes: wasProxied ? traffic.sentBytes : undefined,
      receivedBytes: wasProxied ? traffic.receivedBytes : undefined,
      flights: wasProxied ? traffic.flights / hosts : undefined,
      phasesMs: output?.phasesMs ?? {},
      hosts: output?.hosts ?? [],
      run: output?.summary?.run,
    },
    endpoints: traffic.endpoints,
    bundle: output?.bundle,
    hostsWithBundle:
      output?.summary?.hosts.filter(({ uploadedBytes }) => uploadedBytes === 0).map(({ host }) => host) ?? [],
  };
}

function cpuOfRun(
  before: ReadonlyMap<string, CpuReading> | undefined,
  after: ReadonlyMap<string, CpuReading> | undefined,
  { readingMs }: CpuMeter,
): number | undefined {
  if (before === undefined || after === undefined) return undefined;
  const taken = cpuBetween(before, after);
  return taken === undefined ? undefined : Math.max(0, taken - readingMs);
}

async function resetState(options: SamplerOptions): Promise<void> {
  const { reset, resetHosts, control, signal, cwd, road } = options;
  if (resetHosts !== undefined) await control.run(resetHosts, signal);
  if (reset === undefined) return;
  const { exitCode, lastLines } = await runTimed({
    words: ["/bin/sh", "-c", withInventory(reset, road)],
    cwd,
    env: outsideEnvironment(options),
    signal,
  });
  signal.throwIfAborted();
  if (exitCode !== 0)
    throw new VolleyError(
      "COMPARE_FAILED",
      `--reset ended with exit code ${exitCode}${lastLines.length === 0 ? "" : `: ${lastLines.at(-1)}`}`,
    );
}

function removeBundles(bundles: ReadonlySet<string>): string {
  const files = [...bundles].map((id) => `"$d/bundles/${id}.run"`);
  return `d="$HOME/.cache/volley"; rm -rf ${files.join(" ")} "$d/compiled"`;
}

function wordsOf(method: Method, options: SamplerOptions): readonly string[] {
  if (method.kind === "command") return ["/bin/sh", "-c", withInventory(method.line, options.road)];
  return [...options.program, ...options.runArguments, `--via=${method.via}`];
}

function withInventory(line: string, { inventoryFile }: Road): string {
  return line.replaceAll(INVENTORY_PLACEHOLDER, quote(inventoryFile));
}

function environmentOf(
  method: Method,
  cacheDirectory: string | undefined,
  options: SamplerOptions,
): NodeJS.ProcessEnv {
  if (method.kind === "command") return outsideEnvironment(options);
  return {
    ...options.environment,
    ...options.ownEnvironment,
    [ROUTES_VARIABLE]: options.road.routesFile,
    // Keep dozens of runs out of the user's list of runs.
    XDG_STATE_HOME: join(options.road.directory, "state"),
    ...(cacheDirectory === undefined ? {} : { XDG_CACHE_HOME: cacheDirectory }),
  };
}

function outsideEnvironment({ environment, road }: SamplerOptions): NodeJS.ProcessEnv {
  return {
    ...environment,
    [ROUTES_VARIABLE]: road.routesFile,
    VOLLEY_INVENTORY: road.inventoryFile,
  };
}

function failed(
  { method, round }: SampleRequest,
  { exitCode, lastLines }: TimedResult,
  output: RunOutput | undefined,
): VolleyError {
  const which = `${method.name}, ${round === 0 ? "warm-up" : `run ${round}`}`;
  const said = reasonOf(output) ?? lastLines.at(-1)?.replace(/^volley: /, "");
  return new VolleyError(
    "COMPARE_FAILED",
    `${which}: ended with exit code ${exitCode}${said === undefined ? "" : `: ${said}`}`,
    { hint: "only runs that end well are compared" },
  );
}

function reasonOf(output: RunOutput | undefined): string | undefined {
  for (const { host, error, failures } of output?.summary?.hosts ?? []) {
    const [failure] = failures;
    if (error !== undefined)
      return error.message.startsWith(host) ? error.message : `${host}: ${error.message}`;
    if (failure !== undefined) return `${host}: ${failure.name}: ${failure.error.message}`;
  }
  return undefined;
}

/** The output of a run with `--output json`. */
export interface RunOutput {
  readonly summary: Summary | undefined;
  /** Undefined where nothing was built. */
  readonly bundle: string | undefined;
  /** Median over hosts of each phase, and the build. */
  readonly phasesMs: Readonly<Partial<Record<ComparedPhase, number>>>;
  readonly hosts: readonly HostResult[];
  /** Processor time that the agents reported, added up; undefined unless every host did. */
  readonly targetCpuMs: number | undefined;
}

/** The events to read; the others need not be parsed. */
const WANTED = /"type":"(?:run:build|run:end|bye)"/;

/** Read the events of a run that has ended. */
export function readRunOutput(text: string): RunOutput {
  let summary: Summary | undefined;
  let bundle: string | undefined;
  let buildMs: number | undefined;
  const cpuMs: (number | undefined)[] = [];
  for (const line of text.split("\n")) {
    if (!WANTED.test(line)) continue;
    const event = parseEvent(line);
    switch (event?.type) {
      case "run:build":
        bundle = event.bundle;
        buildMs = event.elapsedMs;
        break;
      case "bye":
        cpuMs.push(event.cpuMs);
        break;
      case "run:end":
        summary = event.summary;
        break;
    }
  }
  const hosts = summary?.hosts ?? [];
  const phases = COMPARED_PHASES.map((phase): readonly [ComparedPhase, number | undefined] => [
    phase,
    phase === "build"
      ? buildMs
      : median(hosts.flatMap((host) => (host.phases[phase] === undefined ? [] : [host.phases[phase]]))),
  ]);
  const isToldByAll =
    hosts.length > 0 && cpuMs.filter((value) => value !== undefined).length === hosts.length;
  return {
    summary,
    bundle,
    phasesMs: Object.fromEntries(phases.filter(([, value]) => value !== undefined)),
    hosts: hosts.map(({ host, outcome, tally }) => ({ host, outcome, tally })),
    targetCpuMs: isToldByAll ? cpuMs.reduce<number>((sum, value = 0) => sum + value, 0) : undefined,
  };
}

function parseEvent(line: string): Event | undefined {
  try {
    return JSON.parse(line) as Event;
  } catch {
    // The line is from a program that the run started.
    return undefined;
  }
}
