import { type Command, Option } from "commander";

// The words of a command line that are options, told by commander's description of a command.

/** An option with an optional value: the next word is its value only where it fits. Commander would take any word. */
export class FittingOption extends Option {
  readonly fits: (word: string) => boolean;

  /** `parse` gets the value, empty where there is none. */
  constructor(
    flags: string,
    description: string,
    { fits, parse }: { fits(word: string): boolean; parse(value: string): unknown },
  ) {
    super(flags, description);
    this.fits = fits;
    this.argParser(parse);
  }
}

/** Let the options of a command that are {@link FittingOption}s leave words that do not fit to the command. */
export function leaveMisfits(command: Command): Command {
  const parse = command.parseOptions.bind(command);
  command.parseOptions = (words) => parse(markMisfits(command, words));
  return command;
}

/** Give options whose next word does not fit an empty value. */
function markMisfits(command: Command, words: readonly string[]): string[] {
  const marked = [...words];
  let pending: Option | undefined;
  for (const [index, word] of words.entries()) {
    if (pending !== undefined && takesWord(pending, word)) {
      pending = undefined;
      continue;
    }
    if (pending instanceof FittingOption && !isFlag(word)) marked[index - 1] += "=";
    if (word === "--") break;
    pending = isFlag(word) ? readFlag(command, word) : undefined;
  }
  return marked;
}

/** Return whether a word is an option, or several. */
export function isFlag(word: string): boolean {
  return word.length > 1 && word.startsWith("-");
}

/** Return whether an option takes this word, the one behind it, as its value. */
export function takesWord(option: Option, word: string): boolean {
  if (option.required) return true;
  return !word.startsWith("-") && (!(option instanceof FittingOption) || option.fits(word));
}

/** Return whether an option may have a value. */
export function takesValue(option: Option): boolean {
  return option.required || option.optional;
}

/** Read one word of options; returns the option whose value is the next word. */
export function readFlag(
  command: Command,
  word: string,
  give?: (option: Option, value: string) => void,
): Option | undefined {
  if (word.startsWith("--")) {
    const [, flag, value] = /^(--[^=]*)(?:=([\s\S]*))?$/.exec(word) ?? [];
    const option = command.options.find(({ long }) => long === flag);
    if (option === undefined || !takesValue(option)) return undefined;
    if (value === undefined) return option;
    give?.(option, value);
    return undefined;
  }
  for (let at = 1; at < word.length; at++) {
    const option = command.options.find(({ short }) => short === `-${word[at]}`);
    if (option === undefined || !takesValue(option)) continue;
    if (at === word.length - 1) return option;
    give?.(option, word.slice(at + 1));
    return undefined;
  }
  return undefined;
}
