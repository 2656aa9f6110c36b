import { printable } from "../../core/errors.ts";
import type { UpMessage } from "../messages.ts";

/** A worker's process, as its messages tell. */
interface WorkerSession {
  name: string;
  /** Number of its last message. */
  number: number;
  heardAt: number;
  isSilent: boolean;
}

/** The workers of a run: which of them are heard, and which messages are new. Times are those of `performance.now()`. */
export class Hearing {
  readonly #workers = new Map<string, WorkerSession>();
  readonly #silentMs: number;

  /** `seen`: the last messages that an earlier controller has taken in. */
  constructor(silentMs: number, seen: ReadonlyMap<string, number> = new Map()) {
    this.#silentMs = silentMs;
    const heardAt = performance.now();
    for (const [session, number] of seen)
      this.#workers.set(session, { name: "of before", number, heardAt, isSilent: false });
  }

  /**
   * Take a message in. Returns whether it is new, whether its worker was silent before, and the number of messages
   * missing before it; `warn` tells people of those, and of messages that come again.
   */
  take(
    { session, worker: name, number }: UpMessage,
    warn: (text: string) => void,
  ): { readonly isNew: boolean; readonly wasSilent: boolean; readonly missing: number } {
    const heardAt = performance.now();
    const worker = this.#workers.get(session) ?? { name, number: 0, heardAt, isSilent: false };
    this.#workers.set(session, worker);
    worker.name = name;
    if (number <= worker.number) {
      // A worker sends a message again when the answer of the server got lost.
      if (number < worker.number)
        warn(`a message of worker ${printable(name, 64)} came again, and was refused`);
      return { isNew: false, wasSilent: false, missing: 0 };
    }
    const missing = number - worker.number - 1;
    if (missing > 0) warn(`${missing} messages of worker ${printable(name, 64)} are missing in the queue`);
    const wasSilent = worker.isSilent;
    Object.assign(worker, { number, heardAt, isSilent: false });
    return { isNew: true, wasSilent, missing };
  }

  /** Return whether nobody may rely on a worker any more. */
  readonly isSilent = (session: string): boolean => this.#workers.get(session)?.isSilent ?? true;

  /** Find the workers that have been silent for too long. Returns their names, by session. */
  silent(now: number): ReadonlyMap<string, string> {
    const names = new Map<string, string>();
    for (const [session, worker] of this.#workers) {
      if (now - worker.heardAt <= this.#silentMs) continue;
      worker.isSilent = true;
      names.set(session, worker.name);
    }
    return names;
  }

  /** Give all workers their time again: none could be heard until now. */
  excuse(now: number): void {
    for (const worker of this.#workers.values()) worker.heardAt = now;
  }
}
