/** Processor time of processes that have ended, in milliseconds: user and system. */
export interface ProcessTimes {
  readonly userMs: number;
  readonly systemMs: number;
}

/**
 * A shell script that runs its arguments as a command and then writes what processor time its children took to file
 * descriptor 3, as the `times` builtin prints it (POSIX, "Shell Command Language", special built-in utilities). It
 * outlives a Ctrl-C at the terminal, which is for the command.
 */
export const TIMED_SCRIPT = `trap : INT TERM
"$@" 3>&-
code=$?
times >&3
exit $code`;

/** Reads what {@link TIMED_SCRIPT} writes: the second line is of the children. Undefined when it is not there. */
export function parseTimes(text: string): ProcessTimes | undefined {
  const [, children = ""] = text.split("\n");
  const [user, system] = children.trim().split(/\s+/).map(parseTime);
  return user === undefined || system === undefined ? undefined : { userMs: user, systemMs: system };
}

/** `1m2.345s`; some locales write a comma. */
function parseTime(text: string): number | undefined {
  const [, minutes, seconds] = /^(\d+)m([\d.,]+)s$/.exec(text) ?? [];
  if (minutes === undefined || seconds === undefined) return undefined;
  return Number(minutes) * 60_000 + Number(seconds.replace(",", ".")) * 1_000;
}
