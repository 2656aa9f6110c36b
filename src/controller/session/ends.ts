import type { HostEnd } from "../../core/events.ts";

/** The ends of a host's part of a run and of its plays, for all who wait for them. */
export class Ends {
  readonly end: Promise<HostEnd>;
  // A large run has many of these: an array of its exact length is smaller than one that grows, and than a map.
  #plays: readonly PlayEnd[] = [];
  #resolveEnd!: (end: HostEnd) => void;
  /** Set once the part is over: whether the host counts as failed in plays that had not ended. */
  #over: boolean | undefined;

  constructor() {
    this.end = new Promise((resolve) => {
      this.#resolveEnd = resolve;
    });
  }

  /** Return the end of a play, as `HostSession.playEnd` tells it. */
  ofPlay(index: number): Promise<boolean> {
    return this.#play(index).promise;
  }

  /** Note that the host has ended a play. */
  playEnded(index: number, failed: boolean): void {
    this.#play(index).resolve(failed);
  }

  /** Note that the host's part is over. */
  ended(end: HostEnd): void {
    const isFailed = end.outcome !== "ok" && end.outcome !== "cancelled";
    this.#over = isFailed;
    this.#resolveEnd(end);
    for (const { resolve } of this.#plays) resolve(isFailed);
  }

  #play(index: number): PlayEnd {
    let known = this.#plays.find((each) => each.index === index);
    if (known === undefined) {
      let resolve!: PlayEnd["resolve"];
      const promise = new Promise<boolean>((settle) => {
        resolve = settle;
      });
      known = { index, promise, resolve };
      this.#plays = [...this.#plays, known];
      if (this.#over !== undefined) resolve(this.#over);
    }
    return known;
  }
}

interface PlayEnd {
  readonly index: number;
  readonly promise: Promise<boolean>;
  readonly resolve: (failed: boolean) => void;
}
