import { printable, type SourceLocation, VolleyError } from "../../core/errors.ts";
import { splitWords } from "../../core/unix/shell.ts";
import { optionName, rowOf, spelled } from "./option-table.ts";
import { lowerAscii, type Written } from "./values.ts";

/** An option of a file, the inventory or the command line. */
export interface WrittenOption {
  /** The option's main name, in lower case. */
  readonly name: string;
  /** The words as `ssh -G` prints them; the rest of the line counts as one word where the option takes it. */
  readonly words: readonly string[];
  readonly where?: SourceLocation;
}

/** A parsed line of ssh_config. */
export type ConfigLine =
  | ({ readonly kind: "option" } & WrittenOption)
  | { readonly kind: "host"; readonly patterns: readonly string[] }
  | { readonly kind: "match"; readonly criteria: readonly Criterion[]; readonly where: SourceLocation }
  | { readonly kind: "include"; readonly patterns: readonly string[]; readonly where: SourceLocation }
  /** An unknown option, refused unless IgnoreUnknown names it; only a host's evaluation knows that. */
  | { readonly kind: "unknown"; readonly name: string; readonly where: SourceLocation };

/** Parse a line; undefined for an empty one. Fails with `USAGE`, with file and line, where `ssh` would give up. */
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

/** Read the value of a known option. Fails with `USAGE`. */
function readOption(name: string, written: Written, where: SourceLocation): WrittenOption {
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

/** Return the error of a line that `ssh` would refuse. */
export function refused(what: string, where: SourceLocation): VolleyError {
  return new VolleyError("USAGE", `ssh_config: ${what}`, { location: where });
}

/** Return the error of an unknown option. */
export function unknownOption(name: string, where: SourceLocation): VolleyError {
  return new VolleyError("USAGE", `ssh_config: there is no option ${printable(JSON.stringify(name), 100)}`, {
    location: where,
    hint: "where only a newer ssh knows it, IgnoreUnknown in front of it lets it pass",
  });
}

/** A criterion of a Match line. */
export interface Criterion {
  readonly name: CriterionName;
  readonly negated: boolean;
  /** A pattern-list, or a command; empty for `all`, `canonical` and `final`. */
  readonly value: string;
}

const WITHOUT_VALUE = ["all", "canonical", "final"] as const;
const WITH_VALUE = ["host", "originalhost", "user", "localuser", "exec", "tagged", "localnetwork"] as const;
/** Criteria of OpenSSH 10, which only the running `ssh` can decide. */
const OF_THE_PROGRAM = ["version", "sessiontype", "command"] as const;
type CriterionName =
  | (typeof WITHOUT_VALUE)[number]
  | (typeof WITH_VALUE)[number]
  | (typeof OF_THE_PROGRAM)[number];

/** Parse the criteria of a Match line (ssh_config(5)). Fails with `USAGE`. */
function parseCriteria(text: string, where: SourceLocation): readonly Criterion[] {
  const criteria: Criterion[] = [];
  const tokens = matchTokens(text);
  const refuse = (what: string): never => {
    throw new VolleyError("USAGE", `ssh_config: Match: ${what}`, { location: where });
  };
  for (const token of tokens) {
    if (token.startsWith("#")) break;
    const negated = token.startsWith("!");
    const written = negated ? token.slice(1) : token;
    const name = [...WITHOUT_VALUE, ...WITH_VALUE, ...OF_THE_PROGRAM].find(
      (each) => each === written.toLowerCase(),
    );
    if (name === undefined) return refuse(`there is no criterion ${printable(JSON.stringify(written), 100)}`);
    if (name === "all") {
      const next = tokens.next().value;
      // `Match final all` means: in the last pass, for every host.
      if (criteria.length > 1 || (next !== undefined && !next.startsWith("#")))
        return refuse("all cannot stand beside other criteria");
      return [...criteria, { name, negated, value: "" }];
    }
    if (WITHOUT_VALUE.some((each) => each === name)) criteria.push({ name, negated, value: "" });
    else {
      const value = tokens.next().value;
      if (value === undefined || value.startsWith("#")) return refuse(`${name} has no argument`);
      criteria.push({ name, negated, value });
    }
  }
  return criteria.length === 0 ? refuse("a criterion is missing") : criteria;
}

/** The keyword of a line, and its rest. */
interface LineHead {
  /** In lower case. */
  readonly keyword: string;
  /** The text after the keyword and its `=`. */
  readonly rest: string;
}

/** White space between the words of a line, as `ssh` sees it. */
const BLANKS = " \t\r\n";

/**
 * Split the keyword off a line (ssh_config(5)): `Name value`, `Name=value` or `Name = value`, the name quoted or not.
 * Undefined for empty lines and comments.
 */
function splitKeyword(line: string): LineHead | undefined {
  const text = trimEnd(line, `${BLANKS}\f`);
  let taken = takeToken(text);
  // White space at the beginning of the line.
  if (taken?.token === "") taken = takeToken(taken.rest);
  if (taken === undefined || taken.token === "" || taken.token.startsWith("#")) return undefined;
  return { keyword: lowerAscii(taken.token), rest: trimStart(taken.rest, BLANKS) };
}

/** Yield the words of a Match line, in the older notation: only double quotes count, and `=` separates words. */
function* matchTokens(text: string): Generator<string, void, undefined> {
  for (let taken = takeToken(text); taken !== undefined; taken = takeToken(taken.rest)) {
    if (taken.token === "") return;
    yield taken.token;
    if (taken.rest === "") return;
  }
}

/** Take one token of the older notation; undefined where a quote is not closed. The token is empty at the end of the text. */
function takeToken(text: string): { readonly token: string; readonly rest: string } | undefined {
  const end = text.search(/[ \t\r\n"=]/);
  if (end < 0) return { token: text, rest: "" };
  if (text[end] === '"') {
    // A quote may begin inside a word; its end always ends the word.
    const close = text.indexOf('"', end + 1);
    if (close < 0) return undefined;
    return {
      token: text.slice(0, end) + text.slice(end + 1, close),
      rest: trimStart(text.slice(close + 1), BLANKS),
    };
  }
  let rest = trimStart(text.slice(end + 1), BLANKS);
  // Skip one `=` only.
  if (text[end] !== "=" && rest.startsWith("=")) rest = trimStart(rest.slice(1), BLANKS);
  return { token: text.slice(0, end), rest };
}

/**
 * Split a value into words as `ssh` does: with single and double quotes, a backslash before a quote, a backslash or (outside
 * quotes) a blank, and a `#` at the beginning of a word, which ends the line. Undefined where a quote is not closed.
 */
function splitArguments(text: string): readonly string[] | undefined {
  const words: string[] = [];
  let at = 0;
  while (at < text.length) {
    const first = text[at]!;
    if (first === " " || first === "\t") {
      at++;
      continue;
    }
    if (first === "#") break;
    let word = "";
    let quote = "";
    for (; at < text.length; at++) {
      const character = text[at]!;
      if (character === "\\") {
        const next = text[at + 1];
        const escapes = next === "'" || next === '"' || next === "\\" || (quote === "" && next === " ");
        if (escapes) at++;
        word += text[at]!;
      } else if (quote === "" && (character === " " || character === "\t")) break;
      else if (quote === "" && (character === "'" || character === '"')) quote = character;
      else if (character === quote) quote = "";
      else word += character;
    }
    if (quote !== "") return undefined;
    words.push(word);
  }
  return words;
}

function trimStart(text: string, blanks: string): string {
  let at = 0;
  while (at < text.length && blanks.includes(text[at]!)) at++;
  return text.slice(at);
}

function trimEnd(text: string, blanks: string): string {
  let end = text.length;
  while (end > 1 && blanks.includes(text[end - 1]!)) end--;
  return text.slice(0, end);
}

/** Parsed arguments of `ssh`. */
interface SshArguments {
  readonly options: readonly WrittenOption[];
  /** The arguments as words for `ssh` itself. */
  readonly words: readonly string[];
  /** The file of `-F`, read instead of the user's and the system's ssh_config; `none`: no file. */
  readonly configFile?: string;
}

/** Options behind flags with a value. */
const VALUE_FLAGS: Readonly<Record<string, string>> = {
  J: "proxyjump",
  i: "identityfile",
  p: "port",
  l: "user",
  S: "controlpath",
  c: "ciphers",
  m: "macs",
  b: "bindaddress",
  B: "bindinterface",
};
/** Options and values behind flags without one. */
const FLAGS: Readonly<Record<string, readonly [string, string]>> = {
  A: ["forwardagent", "yes"],
  a: ["forwardagent", "no"],
  C: ["compression", "yes"],
  "4": ["addressfamily", "inet"],
  "6": ["addressfamily", "inet6"],
  K: ["gssapiauthentication", "yes"],
  k: ["gssapidelegatecredentials", "no"],
};
/** Flags without effect on a run: they change only the display, or a person's session. */
const WITHOUT_EFFECT = /^[qvTntxXfNy]$/;

/**
 * Parse arguments of `ssh`, such as those of `ansible_ssh_common_args`: `-o Name=value`, `-J`, `-i`, `-p`, `-l`, `-F`,
 * `-A` and others. Fails with `USAGE` for an unknown argument.
 */
export function parseSshArguments(text: string, where: string): SshArguments {
  const words = argumentWords(text, where);
  const options: WrittenOption[] = [];
  const kept: string[] = [];
  let configFile: string | undefined;
  for (let index = 0; index < words.length; index++) {
    const word = words[index]!;
    if (!/^-[a-zA-Z0-9]/.test(word)) refuseArgument(where, word);
    for (let at = 1; at < word.length; at++) {
      const letter = word[at]!;
      if (letter === "o" || letter === "E" || letter === "F" || letter in VALUE_FLAGS) {
        const value = word.slice(at + 1) || words[++index];
        if (value === undefined) refuseArgument(where, `-${letter} without a value`);
        // -E names a file for ssh's own messages.
        if (letter === "E") break;
        if (letter === "F") {
          configFile = value;
          break;
        }
        options.push(letter === "o" ? parseOption(value, where) : ofFlag(VALUE_FLAGS[letter]!, value, where));
        // As -J, it would conflict with a ProxyCommand.
        if (letter === "J") kept.push("-o", `ProxyJump=${value}`);
        else kept.push(`-${letter}`, value);
        break;
      }
      const flag = FLAGS[letter];
      if (flag !== undefined) options.push({ name: flag[0], words: [flag[1]] });
      else if (!WITHOUT_EFFECT.test(letter)) refuseArgument(where, `-${letter}`);
      if (flag !== undefined) kept.push(`-${letter}`);
    }
  }
  return { options, words: kept, ...(configFile === undefined ? {} : { configFile }) };
}

/** Parse `Name=value` or `Name value` as a line of ssh_config; options of newer releases are left to `ssh`. */
function parseOption(text: string, where: string): WrittenOption {
  const line = orRefused(text, where, () => parseLine(text, { file: where }));
  if (line?.kind === "option") return line;
  if (line?.kind !== "unknown" || !/^[a-z]\w*$/.test(line.name)) refuseArgument(where, `-o ${text}`);
  return { name: line.name, words: [] };
}

function ofFlag(name: string, value: string, where: string): WrittenOption {
  return orRefused(value, where, () => readOption(name, { words: [value], rest: value }, { file: where }));
}

function orRefused<T>(text: string, where: string, read: () => T): T {
  try {
    return read();
  } catch (thrown) {
    return refuseArgument(where, text, thrown);
  }
}

function refuseArgument(where: string, what: string, cause?: unknown): never {
  throw new VolleyError("USAGE", `${where}: ${printable(JSON.stringify(what), 300)} is not understood`, {
    ...(cause === undefined ? {} : { cause }),
    hint: "what can be given: -o Name=value, -J, -i, -p, -l, -F, -A, -C, -4, -6",
  });
}

/** Split arguments into words as a shell does, with quotes and backslashes. Fails with `USAGE`. */
export function argumentWords(text: string, where: string): readonly string[] {
  return splitWords(text, {
    escapes: "shell",
    fail: ({ kind }) => {
      const what = kind === "escape" ? "a backslash at the end escapes nothing" : "a quote is not closed";
      throw new VolleyError("USAGE", `${where}: ${what}`);
    },
  });
}
