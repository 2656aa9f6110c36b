import { setTimeout as sleep } from "node:timers/promises";
import pLimit from "p-limit";

/** How long a host may be waited for before its place is given to another, in milliseconds. */
const PATIENCE_MS = 500;
/** Hosts without a place that are waited for, for each place: what bounds the sockets that are open. */
const AWAY_PER_PLACE = 4;

/** The places of the hosts that are at work at a time. */
export interface Places {
  /** One host's part in them; it has no place yet. */
  join(): Place;
}

/** One host's place among those at work. */
export interface Place {
  /** Resolves once it has a place, or has been told to leave meanwhile. */
  take(): Promise<void>;
  /** Gives its place to another, or no longer waits for one. */
  leave(): void;
  /**
   * Waits for what is no work of this machine's, such as a host that does not answer: the place is given to another
   * when that takes long, and taken again, before those who have had none yet, when it has succeeded.
   */
  during<Value>(waiting: Promise<Value>): Promise<Value>;
}

/** Takes a place, and what gives it back. */
type Hold = (left: () => void) => void;

/** Makes so many places. */
export function createPlaces(count: number): Places {
  const limit = pLimit(count);
  /** Who waits for a place: those who lent theirs come first, because their connections are open. */
  const returning: Hold[] = [];
  const waiting: Hold[] = [];
  /** Hosts whose place is lent to another. */
  const away = new Set<Place>();

  const join = (): Place => {
    let wanted = false;
    let release: (() => void) | undefined;

    const queue = (line: Hold[]): Promise<void> =>
      new Promise((resolve) => {
        line.push((left) => {
          if (wanted) release = left;
          else left();
          resolve();
        });
        // One call a host that waits; who has it is decided when there is a place.
        void limit(() => new Promise<void>((left) => (returning.shift() ?? waiting.shift())?.(left)));
      });
    const letGo = (): void => {
      release?.();
      release = undefined;
    };
    const place: Place = {
      take: () => {
        wanted = true;
        return queue(waiting);
      },
      leave: () => {
        wanted = false;
        away.delete(place);
        letGo();
      },
      during: async (work) => {
        if (!wanted) return work;
        if (release !== undefined) {
          if (!(await isLong(work)) || away.size >= count * AWAY_PER_PLACE || !wanted) return work;
          away.add(place);
          letGo();
        }
        const value = await work;
        // Whoever was told to leave meanwhile has no work left to do.
        if (wanted) await queue(returning);
        away.delete(place);
        return value;
      },
    };
    return place;
  };
  return { join };
}

/** Whether it takes longer than others should wait for it; fails when it does. */
async function isLong(waiting: Promise<unknown>): Promise<boolean> {
  const over = new AbortController();
  const patience = sleep(PATIENCE_MS, true, { signal: over.signal }).catch(() => true);
  try {
    return await Promise.race([waiting.then(() => false), patience]);
  } finally {
    over.abort();
  }
}
