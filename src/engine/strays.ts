/** Called with an error that the code of a run threw and nothing caught. */
type OnStray = (thrown: unknown) => void;

/** Errors that the engine threw into a role's code, having counted what they tell of. */
const accounted = new WeakSet<object>();
/** The runs of this process, each by what {@link runNow} returns within it. */
const runs = new Map<unknown, OnStray>();
let runNow: (() => unknown) | undefined;
let isWatching = false;

/** Mark an error as counted: code that leaves it unhandled ends nothing. */
export function account<E extends Error>(error: E): E {
  accounted.add(error);
  return error;
}

/** Attribute stray errors by a key of the run whose code is running. A process with one run needs no key. */
export function tellRunsApart(keyNow: () => unknown): void {
  runNow = keyNow;
}

/** Carry out a run, and call `onStray` for its errors that are caught nowhere, which would end the process. */
export function watchStrays<T>(onStray: OnStray, run: () => Promise<T>): Promise<T> {
  if (!isWatching) {
    isWatching = true;
    // Both stay: code that a run has left behind may throw later.
    process.on("unhandledRejection", receive);
    process.on("uncaughtException", receive);
  }
  const key = runNow?.();
  runs.set(key, onStray);
  return run().finally(async () => {
    // Node tells of a rejection only once nothing else of the same turn is left to do.
    await new Promise(setImmediate);
    runs.delete(key);
  });
}

function receive(thrown: unknown): void {
  if (accounted.has(thrown as object)) return;
  const key = runNow?.();
  const onStray = runs.get(key);
  if (onStray !== undefined) onStray(thrown);
  else if (runNow === undefined || key !== undefined) console.warn(thrown);
  else {
    // No run's code threw this: an error of Volley's own ends the process, as it does without these handlers.
    isWatching = false;
    process.off("unhandledRejection", receive);
    process.off("uncaughtException", receive);
    setImmediate(() => {
      throw thrown;
    });
  }
}
