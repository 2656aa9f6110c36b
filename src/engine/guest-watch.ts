import { VolleyError } from "../core/errors.ts";
import type { Ended } from "./ended.ts";
import type { GuestEnd } from "./guest-types.ts";

/** Watch the tasks of guests, to know how they end. */
export class GuestWatch {
  #changed = false;
  #unknown = false;
  #failed: Pick<Ended, "ref" | "result"> | undefined;

  /** Note the end of a task. */
  note({ ref, result }: Ended): void {
    if (result.state === "changed") this.#changed = true;
    if (result.unknown === true) this.#unknown = true;
    if (result.state === "failed" && result.ignored !== true) this.#failed = { ref, result };
  }

  /** Return how they ended since the last call. */
  take({ failed, cancelled }: { readonly failed: boolean; readonly cancelled: boolean }): GuestEnd {
    const [changed, unknown, failure] = [this.#changed, this.#unknown, this.#failed];
    this.#changed = false;
    this.#unknown = false;
    this.#failed = undefined;
    if (failed && failure === undefined)
      throw new VolleyError("INTERNAL", "a role failed without a task that failed");
    return { changed, unknown, cancelled, ...(failed ? { failure: failure! } : {}) };
  }
}
