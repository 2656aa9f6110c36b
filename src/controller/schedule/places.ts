import { setTimeout as sleep } from "node:timers/promises";
import pLimit from "p-limit";

/** Milliseconds to wait for a host before its place is lent to another. */
const PATIENCE_MS = 500;
/** Hosts that may lend their place at a time, for each place; limits the number of open sockets. */
const AWAY_PER_PLACE = 4;

/** The places of hosts at work. */
export interface Places {
  /** Return the place of one more host; the host does not hold it yet. */
  join(): Place;
}

/** A host's place among the hosts at work. */
export interface Place {
  /** Resolve once the host holds its place, or has left. */
  take(): Promise<void>;
  /** Give the place to another host, or stop waiting for it. */
  leave(): void;
  /**
   * Wait without work on this machine, for example for the answer of a host. When the wait takes long, lend the
   * place to another host, and take it again afterwards, before hosts that have not begun.
   */
  during<Value>(waiting: Promise<Value>): Promise<Value>;
}

/** Takes a place; `left` gives it back. */
type Hold = (left: () => void) => void;

/** Make a number of places. */
export function createPlaces(count: number): Places {
  const limit = pLimit(count);
  /** Hosts that wait for a place. Hosts that lent theirs come first, because their connections are open. */
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
        // Call `limit` once for each waiting host. The host that gets the place is chosen when a place is free.
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
        // A host that has left needs no place.
        if (wanted) await queue(returning);
        away.delete(place);
        return value;
      },
    };
    return place;
  };
  return { join };
}

/** Return whether a promise takes longer than other hosts should wait for it; rejects when the promise does. */
async function isLong(waiting: Promise<unknown>): Promise<boolean> {
  const over = new AbortController();
  const patience = sleep(PATIENCE_MS, true, { signal: over.signal }).catch(() => true);
  try {
    return await Promise.race([waiting.then(() => false), patience]);
  } finally {
    over.abort();
  }
}
