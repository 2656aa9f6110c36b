import { type HostSummary, PHASES, type Phase } from "../../core/events.ts";
import { type Spread, spreadOf } from "./spread.ts";

/** What happens in each phase. */
export const PHASE_MEANINGS: Readonly<Record<Phase, string>> = {
  connect: "TCP and the key exchange",
  authenticate: "logging in",
  upload: "finding that the bundle is not there, and sending it",
  start: "finding the bundle, and Node beginning it",
  facts: "gathering facts",
  tasks: "carrying out tasks",
  wait: "waiting for the other hosts at the end of a play",
  collect: "receiving the rest, and disconnecting",
};

/** One phase over all hosts that came to it. */
export interface PhaseTimes {
  readonly phase: Phase;
  /** Milliseconds. */
  readonly elapsed: Spread;
  readonly slowest: string;
}

/** Where hosts' time went; phases that none came to are left out. */
export function phaseTimes(hosts: readonly Pick<HostSummary, "host" | "phases">[]): readonly PhaseTimes[] {
  return PHASES.flatMap((phase): readonly PhaseTimes[] => {
    const told = hosts.flatMap(({ host, phases }) => {
      const elapsedMs = phases[phase];
      return elapsedMs === undefined ? [] : [{ host, elapsedMs }];
    });
    const elapsed = spreadOf(told.map(({ elapsedMs }) => elapsedMs));
    const slowest = told.find(({ elapsedMs }) => elapsedMs === elapsed.max);
    return slowest === undefined ? [] : [{ phase, elapsed, slowest: slowest.host }];
  });
}
