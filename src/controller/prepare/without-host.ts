/** Thrown when a role asks what only its host knows: the host carries out the rest of the role. */
export class OnlyTheHostKnows extends Error {}

/** Make an object whose every property only a host knows. Code that awaits it gets an error, or waits for ever. */
export function unknowable<T extends object>(awaiting: "throw" | "leave" = "throw"): T {
  return new Proxy({} as T, {
    get: (_target, property) => {
      if (typeof property === "symbol") return undefined;
      if (property === "then" && awaiting === "leave") return () => {};
      throw new OnlyTheHostKnows();
    },
    has: () => {
      throw new OnlyTheHostKnows();
    },
    ownKeys: () => {
      throw new OnlyTheHostKnows();
    },
  });
}

/**
 * Silence `console` while a role's code runs here: only the host masks secrets in its output. Returns the function that
 * undoes it.
 */
export function silenceConsole(): () => void {
  const { log, info, debug, warn, error } = console;
  const nothing = (): void => {};
  Object.assign(console, { log: nothing, info: nothing, debug: nothing, warn: nothing, error: nothing });
  return () => Object.assign(console, { log, info, debug, warn, error });
}
