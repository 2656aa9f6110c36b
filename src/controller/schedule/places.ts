import { setTimeout as sleep } from "node:timers/promises";
import pLimit, { type LimitFunction } from "p-limit";

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
  const room = new Room(count);
  return { join: () => new HostPlace(room) };
}

/** The places, and the hosts that wait for one. */
class Room {
  readonly #limit: LimitFunction;
  /** Hosts whose place is lent to another. */
  readonly away = new Set<Place>();
  readonly maxAway: number;
  /** Hosts that wait for a place. Hosts that lent theirs come first, because their connections are open. */
  readonly #returning: Hold[] = [];
  readonly #waiting: Hold[] = [];
  #isAsking = false;

  constructor(count: number) {
    this.#limit = pLimit(count);
    this.maxAway = count * AWAY_PER_PLACE;
  }

  /** Have `hold` called once there is a place for it. */
  wait(hold: Hold, isReturning: boolean): void {
    (isReturning ? this.#returning : this.#waiting).push(hold);
    this.#fill();
  }

  /** Ask for a free place, once for all that wait: the host that gets the place is chosen when there is one. */
  #fill(): void {
    if (this.#isAsking || this.#returning.length + this.#waiting.length === 0) return;
    this.#isAsking = true;
    void this.#limit(() => new Promise<void>((left) => this.#give(left)));
  }

  #give(left: () => void): void {
    this.#isAsking = false;
    (this.#returning.shift() ?? this.#waiting.shift())!(left);
    this.#fill();
  }
}

class HostPlace implements Place {
  readonly #room: Room;
  #wanted = false;
  #release: (() => void) | undefined;

  constructor(room: Room) {
    this.#room = room;
  }

  take(): Promise<void> {
    this.#wanted = true;
    return this.#hold(false);
  }

  leave(): void {
    this.#wanted = false;
    this.#room.away.delete(this);
    this.#letGo();
  }

  async during<Value>(work: Promise<Value>): Promise<Value> {
    const { away, maxAway } = this.#room;
    if (!this.#wanted) return work;
    if (this.#release !== undefined) {
      if (!(await isLong(work)) || away.size >= maxAway || !this.#wanted) return work;
      away.add(this);
      this.#letGo();
    }
    const value = await work;
    // A host that has left needs no place.
    if (this.#wanted) await this.#hold(true);
    away.delete(this);
    return value;
  }

  #hold(isReturning: boolean): Promise<void> {
    return new Promise((resolve) => {
      this.#room.wait((left) => {
        if (this.#wanted) this.#release = left;
        else left();
        resolve();
      }, isReturning);
    });
  }

  #letGo(): void {
    this.#release?.();
    this.#release = undefined;
  }
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
