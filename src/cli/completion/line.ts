import type { Argument, Command, Option } from "commander";
import { isFlag, readFlag, takesValue, takesWord } from "./flags.ts";

// The place of the cursor in a command line, told by commander's description of the commands.

/** The kind of the word at the cursor. */
export type Place =
  | { readonly kind: "command"; readonly commands: readonly Command[] }
  | { readonly kind: "option"; readonly command: Command }
  | {
      readonly kind: "value";
      /** The name between the brackets: `file`, `pattern`. */
      readonly name: string;
      readonly choices: readonly string[] | undefined;
      /** The part of the word before the value: `--output=`. */
      readonly before: string;
    }
  | { readonly kind: "other" };

/** A command line that was read up to the cursor. */
export interface ReadLine {
  readonly place: Place;
  readonly command: Command;
  /** The values of options, by the option's name in the code. */
  readonly given: ReadonlyMap<string, readonly string[]>;
  /** The arguments before the cursor, by their names; several under one name where it stands for several. */
  readonly values: ReadonlyMap<string, readonly string[]>;
}

/** Read the words of a line. `word` is the one at the cursor, up to the cursor. */
export function readLine(program: Command, words: readonly string[], word: string): ReadLine {
  let command = program;
  let pending: Option | undefined;
  let isHelp = false;
  let isEnded = false;
  const given = new Map<string, string[]>();
  const operands: string[] = [];
  const give = (option: Option, value: string): void => {
    const name = option.attributeName();
    given.set(name, [...(given.get(name) ?? []), value]);
  };
  for (const each of words) {
    if (pending !== undefined && takesWord(pending, each)) {
      give(pending, each);
      pending = undefined;
      continue;
    }
    pending = undefined;
    if (!isEnded && each === "--") isEnded = true;
    else if (!isEnded && isFlag(each)) pending = readFlag(command, each, give);
    else if (operands.length === 0 && command.commands.length > 0) {
      if (each === "help") isHelp = true;
      else command = command.commands.find((child) => child.name() === each) ?? command;
    } else {
      operands.push(each);
      isEnded ||= passesThrough(command);
    }
  }
  const names = argumentsOf(command, given);
  const nameAt = (index: number): ArgumentName | undefined =>
    names[index] ?? (names.at(-1)?.isList === true ? names.at(-1) : undefined);
  const values = new Map<string, string[]>();
  for (const [index, value] of operands.entries()) {
    const name = nameAt(index)?.name;
    if (name !== undefined) values.set(name, [...(values.get(name) ?? []), value]);
  }
  const place = (): Place => {
    if (pending !== undefined && takesWord(pending, word)) return placeOfValue(pending, "");
    if (!isEnded && word.startsWith("-")) return placeOfFlag(command, word);
    if (isHelp || (command.commands.length > 0 && operands.length === 0))
      return { kind: "command", commands: command.createHelp().visibleCommands(command) };
    const argument = nameAt(operands.length);
    if (argument === undefined) return { kind: "other" };
    return { kind: "value", name: argument.name, choices: argument.choices, before: "" };
  };
  return { place: place(), command, given, values };
}

/** Commander has no other way to ask whether all that follows a command's first argument is passed on. */
function passesThrough(command: Command): boolean {
  return (command as Command & { readonly _passThroughOptions?: boolean })._passThroughOptions === true;
}

function placeOfValue(option: Option, before: string): Place {
  const [, name = ""] = /[<[]([^>\].]+)/.exec(option.flags) ?? [];
  return { kind: "value", name, choices: option.argChoices, before };
}

/** Tell the place of a word that begins with a hyphen, and may not be whole. */
function placeOfFlag(command: Command, word: string): Place {
  const [, long] = /^(--[^=]+)=/.exec(word) ?? [];
  if (long !== undefined) {
    const option = command.options.find((each) => each.long === long);
    return option === undefined || !takesValue(option) ? { kind: "other" } : placeOfValue(option, `${long}=`);
  }
  if (!word.startsWith("--"))
    for (let at = 1; at < word.length - 1; at++) {
      const option = command.options.find(({ short }) => short === `-${word[at]}`);
      if (option !== undefined && takesValue(option)) return placeOfValue(option, word.slice(0, at + 1));
    }
  return { kind: "option", command };
}

interface ArgumentName {
  readonly name: string;
  readonly isList: boolean;
  readonly choices: readonly string[] | undefined;
}

/** The arguments of a command as its usage names them, since some take all words under one name. */
function argumentsOf(command: Command, given: ReadLine["given"]): readonly ArgumentName[] {
  const [first = "", ...others] = command.usage().split("\n");
  const registered = new Map(command.registeredArguments.map((each: Argument) => [each.name(), each]));
  // Several forms that have nothing in common on the first line: `RUN`, `RUN HOST HOST`.
  const forms = others.map((line) => line.match(/\b[A-Z]{3,}\b/g) ?? []);
  if (forms.some((form) => form.length > 0) && !/[<[](?!options)/.test(first))
    return Array.from({ length: Math.max(...forms.map((form) => form.length)) }, (_, index) => {
      const word = forms.find((form) => form.length > index)?.[index] ?? "";
      return { name: word === "HOST" ? "hosts" : word.toLowerCase(), isList: false, choices: undefined };
    });
  return [...first.matchAll(/[<[]([\w=-]+)(\.\.\.)?[>\]]/g)]
    .map(([, name = "", dots]) => ({
      name,
      isList: dots !== undefined,
      choices: registered.get(name)?.argChoices,
    }))
    .filter(({ name }) => name !== "options" && name !== "command")
    .filter(({ name }) => name !== "hosts" || !given.has("hosts"));
}
