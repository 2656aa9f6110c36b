/** ssh_config(5) options by their names in lower case, each with the words given; several for those that add up. */
export interface SshOptions {
  /** The first value given, which wins (ssh_config(5)). */
  first(name: string): string | undefined;
  /** Every word given, for options that take a list or may be given several times. */
  all(name: string): readonly string[];
  readonly names: readonly string[];
}

/** One option as it is written somewhere. */
export interface WrittenOption {
  readonly name: string;
  readonly words: readonly string[];
}

const ADDING_UP = new Set(["identityfile", "certificatefile"]);

/** Makes options of what was written, the most important first. */
export function gatherOptions(written: readonly WrittenOption[]): SshOptions {
  const found = new Map<string, readonly string[]>();
  for (const { name, words } of written) {
    const before = found.get(name);
    if (before === undefined) found.set(name, words);
    else if (ADDING_UP.has(name)) found.set(name, [...before, ...words]);
  }
  return {
    first: (name) => found.get(name)?.[0],
    all: (name) => found.get(name) ?? [],
    names: [...found.keys()],
  };
}

/** Whether a yes/no option says yes. */
export function saysYes(value: string | undefined): boolean {
  return /^(yes|true)$/i.test(value ?? "");
}

/** Node takes a longer time for none at all. */
const MAX_TIMER_MS = 2 ** 31 - 1;
const UNITS_S: Readonly<Record<string, number>> = { "": 1, s: 1, m: 60, h: 3_600, d: 86_400, w: 604_800 };

/** A time such as `10`, `90s` or `1m30s` in milliseconds (sshd_config(5), TIME FORMATS); undefined when it is none. */
export function parseTimeMs(text: string | undefined): number | undefined {
  if (text === undefined || text === "" || !/^(?:\d+[smhdw])*\d*$/i.test(text)) return undefined;
  let seconds = 0;
  for (const [, amount, unit] of text.toLowerCase().matchAll(/(\d+)([smhdw]?)/g))
    seconds += Number(amount) * UNITS_S[unit!]!;
  return Math.min(seconds * 1_000, MAX_TIMER_MS);
}
