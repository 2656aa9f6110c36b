import { type SourceLocation, VolleyError } from "../../core/errors.ts";
import { printable } from "../../core/text.ts";
import { type Criterion, parseCriteria } from "./match.ts";
import type { Written } from "./option-readers.ts";
import { optionName, rowOf, spelled } from "./option-table.ts";
import { splitArguments, splitKeyword } from "./tokenize.ts";

/** One option as it is written somewhere. */
export interface WrittenOption {
  /** In lower case, the one name of those it has. */
  readonly name: string;
  /** Of an option that takes the rest of its line, one; else its words, as `ssh -G` would print them. */
  readonly words: readonly string[];
  readonly where?: SourceLocation;
}

/** What a line of ssh_config says. */
export type ConfigLine =
  | ({ readonly kind: "option" } & WrittenOption)
  | { readonly kind: "host"; readonly patterns: readonly string[] }
  | { readonly kind: "match"; readonly criteria: readonly Criterion[]; readonly where: SourceLocation }
  | { readonly kind: "include"; readonly patterns: readonly string[]; readonly where: SourceLocation }
  /** Refused unless IgnoreUnknown names it, which is known only when a host is looked up. */
  | { readonly kind: "unknown"; readonly name: string; readonly where: SourceLocation };

/** Reads a line; undefined for an empty one. Fails with `USAGE`, with file and line, where `ssh` would give up. */
export function parseLine(text: string, where: SourceLocation): ConfigLine | undefined {
  const head = splitKeyword(text);
  if (head === undefined) return undefined;
  const { keyword, rest } = head;
  if (rest === "") throw refused(`${printable(keyword, 100)} has no argument`, where);
  const words = splitArguments(rest);
  if (words === undefined) throw refused("a quote is not closed", where);
  switch (keyword) {
    case "host":
    case "include":
      if (words.includes("")) throw refused(`an argument of ${keyword} is empty`, where);
      return keyword === "host"
        ? { kind: "host", patterns: words }
        : { kind: "include", patterns: words, where };
    case "match":
      return { kind: "match", criteria: parseCriteria(rest, where), where };
  }
  const name = optionName(keyword);
  if (name === undefined) return { kind: "unknown", name: keyword, where };
  return { kind: "option", ...readOption(name, { words, rest }, where) };
}

/** Reads the value of an option that there is. Fails with `USAGE`. */
export function readOption(name: string, written: Written, where: SourceLocation): WrittenOption {
  const read = rowOf(name)!.read(written);
  if (typeof read === "string") throw refused(`${spelled(name)}: ${printable(read, 300)}`, where);
  const more = written.words[read.took];
  if (more !== undefined)
    throw refused(
      `${spelled(name)}: ${printable(JSON.stringify(more), 100)} is one argument too many`,
      where,
    );
  return { name, words: read.values, where };
}

/** The error of a line that `ssh` would not take. */
export function refused(what: string, where: SourceLocation): VolleyError {
  return new VolleyError("USAGE", `ssh_config: ${what}`, { location: where });
}

/** The error of an option that there is none of. */
export function unknownOption(name: string, where: SourceLocation): VolleyError {
  return new VolleyError("USAGE", `ssh_config: there is no option ${printable(JSON.stringify(name), 100)}`, {
    location: where,
    hint: "where only a newer ssh knows it, IgnoreUnknown in front of it lets it pass",
  });
}
