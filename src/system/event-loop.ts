import { VolleyError } from "../core/errors.ts";

/** Watches that this process does not end before its work has. */
export interface EventLoopWatch {
  /** Rejects with `STARVED` when nothing is left that could bring the work on: Node would end the process, as if all were well. */
  readonly starved: Promise<never>;
  stop(): void;
}

/** Begins to watch; see process's event `beforeExit`. */
export function watchEventLoop(work: string): EventLoopWatch {
  let onDry!: () => void;
  const starved = new Promise<never>((_, reject) => {
    onDry = () => reject(starvedError(work));
  });
  starved.catch(() => {});
  process.once("beforeExit", onDry);
  return { starved, stop: () => process.off("beforeExit", onDry) };
}

/** What is said of work that nothing brings on any more. */
export function starvedError(work: string): VolleyError {
  return new VolleyError("STARVED", `${work} has not ended, and nothing is left that it waits for`, {
    hint: "the code of a role that awaits a promise nobody keeps does this; otherwise it is a fault in Volley: please report it",
  });
}
