import type { WrittenOption } from "./parse-line.ts";
import { matchesPattern } from "./pattern.ts";

/** ssh_config(5) options by their names in lower case. */
export interface SshOptions {
  /** The first word of the value, which is the first that was given (ssh_config(5)). */
  first(name: string): string | undefined;
  /** Every word given, for options that take a list or may be given several times. */
  all(name: string): readonly string[];
  readonly names: readonly string[];
}

/** Options as they are found, the most important first. */
export interface OptionStore extends SshOptions {
  /** `isUsers`: from the user's own file or the command line, not from the system's. */
  add(option: WrittenOption, isUsers: boolean): void;
}

const FILES_THAT_ADD_UP = new Set(["identityfile", "certificatefile"]);
const ADDING_UP = new Set([
  ...FILES_THAT_ADD_UP,
  "sendenv",
  "localforward",
  "remoteforward",
  "dynamicforward",
]);
/** Of ProxyJump and ProxyCommand whichever comes first keeps the other out; only `ProxyJump none` lets a ProxyCommand in. */
function isKeptOut(name: string, found: ReadonlyMap<string, readonly string[]>): boolean {
  if (name === "proxyjump") return found.has("proxycommand");
  return name === "proxycommand" && (found.get("proxyjump")?.[0] ?? "none").toLowerCase() !== "none";
}

/** Makes an {@link OptionStore}. */
export function createOptions(): OptionStore {
  const found = new Map<string, readonly string[]>();
  const files = new Set<string>();
  return {
    first: (name) => found.get(name)?.[0],
    all: (name) => found.get(name) ?? [],
    get names() {
      return [...found.keys()];
    },
    add: ({ name, words }, isUsers) => {
      if (words.length === 0) return;
      const before = found.get(name);
      if (name === "sendenv") found.set(name, words.reduce(addVariable, before ?? []));
      else if (FILES_THAT_ADD_UP.has(name)) {
        const key = `${name} ${isUsers} ${words[0]}`;
        if (!files.has(key)) found.set(name, [...(before ?? []), ...words]);
        files.add(key);
      } else if (name === "forwardagent" && before?.[0] === "yes" && words[0] !== "no") {
        // Which agent may be said after whether.
        found.set(name, words);
      } else if (ADDING_UP.has(name)) found.set(name, [...(before ?? []), ...words]);
      else if (before === undefined && !isKeptOut(name, found)) found.set(name, words);
    },
  };
}

/** `-NAME` takes out what was asked for before. */
function addVariable(names: readonly string[], name: string): readonly string[] {
  if (!name.startsWith("-")) return [...names, name];
  return names.filter((each) => !matchesPattern(name.slice(1), each));
}

/** Whether a yes/no option says yes. */
export function saysYes(value: string | undefined): boolean {
  return value === "yes" || value === "true";
}

/** Node takes a longer time for none at all. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** What a time option says in milliseconds; undefined: nothing. */
export function timeMs(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  return Math.min(Number(value) * 1_000, MAX_TIMER_MS);
}
