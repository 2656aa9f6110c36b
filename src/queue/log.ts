import { isVolleyError, VolleyError } from "../core/errors.ts";
import { type LogBatch, openValue, PURPOSES } from "./messages.ts";
import type { Seal } from "./seal.ts";

/** Reads the batches of a run's log, in their order. */
export class LogReader {
  readonly #seal: Seal;
  readonly #run: string;
  #last = 0;

  constructor(seal: Seal, run: string) {
    this.#seal = seal;
    this.#run = run;
  }

  /** The number of the last batch; 0 before the first. */
  get last(): number {
    return this.#last;
  }

  /**
   * Open the next entry of the log. Returns undefined for an entry that no controller has written, or that is a copy of an
   * earlier one. Fails with `QUEUE_REFUSED` where batches are missing.
   */
  open(sealed: Uint8Array): LogBatch | undefined {
    let batch: LogBatch;
    try {
      batch = openValue<LogBatch>(this.#seal, PURPOSES.log(this.#run), sealed);
    } catch (thrown) {
      if (isVolleyError(thrown) && thrown.code === "QUEUE_REFUSED") return undefined;
      throw thrown;
    }
    if (batch.number <= this.#last) return undefined;
    if (batch.number > this.#last + 1) throw this.#missing();
    this.#last = batch.number;
    return batch;
  }

  /** Check that all batches up to a number were read. Fails with `QUEUE_REFUSED` where batches are missing. */
  end(last: number): void {
    if (last > this.#last) throw this.#missing();
  }

  #missing(): VolleyError {
    const text = `a part of the log of run ${this.#run} is missing in the queue`;
    return new VolleyError("QUEUE_REFUSED", text, {
      hint: "somebody else has changed it: look at the users of the server, and start the run again",
    });
  }
}
