/** Keeps what a role prints off the controller's terminal: on the host secrets are masked in it. Gives what ends that. */
export function silenceConsole(): () => void {
  const { log, info, debug, warn, error } = console;
  const nothing = (): void => {};
  Object.assign(console, { log: nothing, info: nothing, debug: nothing, warn: nothing, error: nothing });
  return () => Object.assign(console, { log, info, debug, warn, error });
}
