/** Thrown by whatever only a host can answer: the rest of the role is then left to the host. */
export class OnlyTheHostKnows extends Error {}

/** Something whose every property only a host can tell. Code that awaits it gets an error, or is left there. */
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

/** Keeps what a role prints off the controller's terminal: on the host secrets are masked in it. Gives what ends that. */
export function silenceConsole(): () => void {
  const { log, info, debug, warn, error } = console;
  const nothing = (): void => {};
  Object.assign(console, { log: nothing, info: nothing, debug: nothing, warn: nothing, error: nothing });
  return () => Object.assign(console, { log, info, debug, warn, error });
}
