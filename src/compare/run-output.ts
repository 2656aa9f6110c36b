import type { Event, Summary } from "../core/events.ts";
import type { ComparedPhase, HostResult } from "./comparison.ts";
import { COMPARED_PHASES } from "./comparison.ts";
import { median } from "./statistics.ts";

/** What a run with `--output json` has told of itself. */
export interface RunOutput {
  readonly summary: Summary | undefined;
  /** Absent where nothing was built. */
  readonly bundle: string | undefined;
  /** Median over hosts of each phase, and the build. */
  readonly phasesMs: Readonly<Partial<Record<ComparedPhase, number>>>;
  readonly hosts: readonly HostResult[];
  /** Processor time that the targets told of, added up; undefined unless every host did. */
  readonly targetCpuMs: number | undefined;
}

/** The few that are read: the others need not be parsed. */
const WANTED = /"type":"(?:run:build|run:end|bye)"/;

/** Reads the events of a run that has ended. */
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
    // What a program that the run started wrote in between.
    return undefined;
  }
}
