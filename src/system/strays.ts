import { AsyncLocalStorage } from "node:async_hooks";

// Errors that nothing catches, and that end the process.

type Locate = (thrown: unknown) => unknown;

let locating: AsyncLocalStorage<Locate> | undefined;

/** Execute code of the user's. `locate` adds the place in the source to errors that the code leaves uncaught, then or later. */
export function locateStrays<T>(locate: Locate, code: () => T): T {
  locating ??= new AsyncLocalStorage();
  return locating.run(locate, code);
}

/**
 * Call `report` for an error that ends this process; its result is the exit code. Node would print the whole line of
 * the minified program that threw the error. A handler of `uncaughtException` decides for itself.
 */
export function reportStrays(report: (thrown: unknown) => number): void {
  process.on("uncaughtExceptionMonitor", (thrown) => {
    if (process.listenerCount("uncaughtException") > 0) return;
    const locate = locating?.getStore();
    process.exit(report(locate === undefined ? thrown : locate(thrown)));
  });
}
