import type { Command } from "commander";
import { COMMAND_OPTIONS, COMMANDS, shortModuleName } from "../../ansible/keywords.ts";

// The words of `volley do HOSTS ACTION [word…]`: some are options of Volley's, some belong to a command on the hosts.

/** Return whether an action's words are a command line. */
export function takesCommand(action: string): boolean {
  return COMMANDS.has(shortModuleName(action));
}

const PAIR = /^([A-Za-z_][\w.-]*)=([\s\S]*)$/;

/** Split `key=value` at its first `=`; undefined for a word that is none. */
export function pairOf(word: string): readonly [key: string, value: string] | undefined {
  const [, key, value] = PAIR.exec(word) ?? [];
  return key === undefined ? undefined : [key, value!];
}

/** Return whether a word beside a command is an option of the action, such as `chdir=/srv`. */
export function isCommandOption(word: string): boolean {
  const [key] = pairOf(word) ?? [];
  return key !== undefined && COMMAND_OPTIONS.has(key);
}

/**
 * Return the words behind `do` with `--` before a command of several words: these are the command's, whatever they begin
 * with. Behind a command in one word with blanks, a line for a shell, options are Volley's, as before it.
 */
export function markCommand(args: readonly string[], { options }: Pick<Command, "options">): string[] {
  const takesValue = (name: string): boolean | undefined => {
    const option = options.find(({ short, long }) => short === name || long === name);
    return option === undefined ? undefined : option.required;
  };
  const operands: string[] = [];
  let named: string | undefined;
  let hostsAreNamed = false;
  for (let at = 0; at < args.length; at++) {
    const word = args[at]!;
    if (word === "--") break;
    if (word.startsWith("-") && word !== "-") {
      const name = word.startsWith("--") ? word.replace(/=.*$/s, "") : lastShort(word, takesValue);
      const isWhole = word.startsWith("--") ? !word.includes("=") : word.endsWith(name.slice(1));
      if (takesValue(name) !== true) continue;
      const value = isWhole
        ? args[++at]
        : word.slice(word.indexOf(word.startsWith("--") ? "=" : name[1]!) + 1);
      if (name === "-m" || name === "--module-name") named = value;
      if (name === "-w" || name === "--hosts") hostsAreNamed = true;
      continue;
    }
    operands.push(word);
    const hostWords = hostsAreNamed ? 0 : 1;
    const action = named ?? operands[hostWords];
    const isBefore = operands.length <= hostWords + (named === undefined ? 1 : 0);
    if (isBefore || action === undefined || !takesCommand(action) || isCommandOption(word)) continue;
    return /\s/.test(word) ? [...args] : [...args.slice(0, at), "--", ...args.slice(at)];
  }
  return [...args];
}

/** Return the option of a cluster such as `-bCi` that may take a value: the first that does, or the last. */
function lastShort(cluster: string, takesValue: (name: string) => boolean | undefined): string {
  const names = [...cluster.slice(1)].map((letter) => `-${letter}`);
  return names.find((name) => takesValue(name) === true) ?? names.at(-1)!;
}
