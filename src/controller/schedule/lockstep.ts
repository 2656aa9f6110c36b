import pLimit, { type LimitFunction } from "p-limit";
import type { Lockstep, Step } from "../../core/program.ts";
import type { HostSession } from "../session/session.ts";

/** A {@link Lockstep} with the controller's side. */
export interface BatchLockstep extends Lockstep {
  /** Begin a batch: these hosts go through the play with this index together. */
  batch(play: number, hosts: readonly HostSession[], all: readonly string[]): void;
  /** True when this host's failure ends the run for all others. */
  isFatal(play: number, host: string): boolean;
  /** True for a host that waits for others, so that it does not come to where they are. */
  isWaiting(host: string): boolean;
}

interface Waiter {
  readonly place: readonly number[];
  go(): void;
}

interface Batch {
  readonly hosts: readonly string[];
  /** The place of each host that has not ended the play; none: it has not come to its first task. */
  readonly places: Map<string, readonly number[]>;
  readonly waiters: Map<string, Waiter>;
  /** Limits of tasks, by place. */
  readonly throttles: Map<string, LimitFunction>;
  /** The first host of those that came to a place together, by place. */
  readonly leaders: Map<string, string>;
  readonly fatal: Set<string>;
  /** The hosts that have ended the play by themselves. */
  readonly gone: Set<string>;
  isOver: boolean;
}

/** Make the lockstep of a run. `forks` hosts do tasks at a time; `onWait` is called when a host begins to wait for others. */
export function createLockstep(forks: number, onWait: () => void): BatchLockstep {
  const batches = new Map<string, Batch>();
  const all = new Map<number, readonly string[]>();
  const failed = new Set<string>();
  /** Plays that have ended for all batches. */
  const over = new Set<number>();
  /** The hosts that wait for others. */
  const waiting = new Set<string>();
  const limit = pLimit(forks);
  const batchOf = ({ play, host }: Pick<Step, "play" | "host">): Batch | undefined =>
    batches.get(keyOf(play, host));
  const isAtWork = (step: Pick<Step, "play" | "host">): boolean =>
    !failed.has(step.host) && batchOf(step)?.gone.has(step.host) !== true;
  const settle = ({ hosts, places, waiters, leaders }: Batch): void => {
    let earliest: readonly number[] | undefined;
    for (const place of places.values())
      if (earliest === undefined || compare(place, earliest) < 0) earliest = place;
    if (earliest === undefined) return;
    const going = new Map([...waiters].filter(([, { place }]) => compare(place, earliest) === 0));
    if (going.size === 0) return;
    const key = JSON.stringify(earliest);
    if (!leaders.has(key)) leaders.set(key, hosts.find((host) => going.has(host))!);
    for (const { go } of going.values()) go();
  };
  return {
    batch: (play, sessions, names) => {
      const hosts = sessions.map(({ host }) => host);
      const batch: Batch = {
        hosts,
        places: new Map(hosts.map((host) => [host, []])),
        waiters: new Map(),
        throttles: new Map(),
        leaders: new Map(),
        fatal: new Set(),
        gone: new Set(),
        isOver: false,
      };
      all.set(play, names);
      for (const session of sessions) {
        batches.set(keyOf(play, session.host), batch);
        void session.playEnd(play).then((hasFailed) => {
          if (hasFailed) failed.add(session.host);
          batch.places.delete(session.host);
          settle(batch);
        });
      }
    },
    arrive: async ({ play, host, place }, signal) => {
      const batch = batchOf({ play, host });
      if (batch === undefined || signal.aborted) return;
      batch.places.set(host, place);
      const turn = new Promise<void>((resolve) => {
        const go = (): void => {
          signal.removeEventListener("abort", go);
          batch.waiters.delete(host);
          waiting.delete(host);
          resolve();
        };
        signal.addEventListener("abort", go);
        batch.waiters.set(host, { place, go });
        waiting.add(host);
      });
      settle(batch);
      if (batch.waiters.has(host)) onWait();
      await turn;
    },
    turn: async (step, most, work) => {
      const batch = batchOf(step);
      if (batch === undefined || most === undefined) return limit(work);
      const key = JSON.stringify(step.place);
      const throttle = batch.throttles.get(key) ?? pLimit(most);
      batch.throttles.set(key, throttle);
      return throttle(() => limit(work));
    },
    hostsOf: (play, whole = false) =>
      (all.get(play) ?? []).filter((host) => whole || isAtWork({ play, host })),
    batchOf: ({ play, host: own }) =>
      (batchOf({ play, host: own })?.hosts ?? [own]).filter((host) => isAtWork({ play, host })),
    isFirst: (step) => (batchOf(step)?.leaders.get(JSON.stringify(step.place)) ?? step.host) === step.host,
    leave: (step) => void batchOf(step)?.gone.add(step.host),
    fail: (step) => void batchOf(step)?.fatal.add(step.host),
    end: (step, forAll) => {
      const batch = batchOf(step);
      if (forAll) over.add(step.play);
      else if (batch !== undefined) batch.isOver = true;
    },
    isFor: ({ play, host }) => all.get(play)?.includes(host) ?? true,
    isOver: (step) => over.has(step.play) || batchOf(step)?.isOver === true,
    isFatal: (play, host) => batchOf({ play, host })?.fatal.has(host) === true,
    isWaiting: (host) => waiting.has(host),
  };
}

function keyOf(play: number, host: string): string {
  return `${play} ${host}`;
}

/** Compare two places: below 0 where the first comes earlier. A statement comes before what it brings in. */
function compare(one: readonly number[], other: readonly number[]): number {
  for (let level = 0; level < Math.min(one.length, other.length); level++) {
    const difference = one[level]! - other[level]!;
    if (difference !== 0) return difference;
  }
  return one.length - other.length;
}
