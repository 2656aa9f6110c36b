import { VolleyError } from "./errors.ts";
import { pythonClass, wordBoundary } from "./python-classes.ts";

/** Flags as Python's `re` has them. */
export interface PythonRegexFlags {
  readonly ignoreCase?: boolean;
  /** `^` and `$` match at every line. */
  readonly multiline?: boolean;
  /** `.` matches newlines too. */
  readonly dotAll?: boolean;
  /** `\d`, `\s`, `\w` and `\b` go by Unicode, as in Python's `str`; without it by ASCII, as in its `bytes`. */
  readonly unicode?: boolean;
  /** Matches all, as `matchAll` and `replace` need it. */
  readonly global?: boolean;
}

interface Modes {
  readonly multiline: boolean;
  readonly dotAll: boolean;
  readonly verbose: boolean;
}

const CONTROL: Readonly<Record<string, number>> = { a: 7, f: 12, n: 10, r: 13, t: 9, v: 11 };
const SYNTAX = "^$\\.*+?()[]{}|/";

// Anchors are written out, so that JavaScript's other ideas of what ends a line play no part.
const START = "(?:(?<![\\s\\S]))";
const END = "(?:(?![\\s\\S]))";
const LINE_START = "(?:(?<![^\\n]))";
const LINE_END = "(?:(?![^\\n]))";
const END_OR_FINAL_NEWLINE = "(?:(?=\\n?(?![\\s\\S])))";

function literal(character: string): string {
  if (SYNTAX.includes(character)) return `\\${character}`;
  return character === "\n" ? "\\n" : character;
}

function literalInClass(character: string): string {
  return "\\]^-[".includes(character) ? `\\${character}` : character;
}

class Translator {
  readonly #source: string;
  #at = 0;
  #ignoreCase: boolean;
  #modes: Modes;
  readonly #unicode: boolean;

  constructor(source: string, flags: PythonRegexFlags) {
    this.#source = source;
    this.#ignoreCase = flags.ignoreCase === true;
    this.#unicode = flags.unicode === true;
    this.#modes = { multiline: flags.multiline === true, dotAll: flags.dotAll === true, verbose: false };
  }

  translate(global: boolean): RegExp {
    const body = this.#alternatives();
    if (this.#at < this.#source.length) this.#fail("unbalanced )");
    try {
      return new RegExp(body, `u${this.#ignoreCase ? "i" : ""}${global ? "g" : ""}`);
    } catch (thrown) {
      return this.#fail(thrown instanceof Error ? thrown.message.replace(/^.*: /, "") : String(thrown));
    }
  }

  #fail(why: string): never {
    throw new VolleyError("ACTION_FAILED", `the regular expression ${this.#source} cannot be used: ${why}`);
  }

  #take(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#source);
    if (match !== null) this.#at += match[0].length;
    return match;
  }

  #next(): string {
    const code = this.#source.codePointAt(this.#at);
    if (code === undefined) this.#fail("it ends too early");
    const character = String.fromCodePoint(code);
    this.#at += character.length;
    return character;
  }

  /** Everything up to the closing parenthesis or the end. */
  #alternatives(): string {
    let out = "";
    while (this.#at < this.#source.length && this.#source[this.#at] !== ")") out += this.#piece();
    return out;
  }

  #piece(): string {
    if (this.#modes.verbose && this.#take(/\s+|#[^\n]*/y) !== null) return "";
    const quantifier = this.#take(/\{(\d*)(,?)(\d*)\}/y);
    if (quantifier !== null) {
      const [whole, from = "", comma, to = ""] = quantifier;
      if (from === "" && to === "") return [...whole].map(literal).join("");
      return comma === "" ? `{${from}}` : `{${from === "" ? "0" : from},${to}}`;
    }
    const character = this.#next();
    const { multiline, dotAll } = this.#modes;
    switch (character) {
      case "^":
        return multiline ? LINE_START : START;
      case "$":
        return multiline ? LINE_END : END_OR_FINAL_NEWLINE;
      case ".":
        return dotAll ? "[\\s\\S]" : "[^\\n]";
      case "[":
        return this.#characterClass();
      case "(":
        return this.#group();
      case "\\":
        return this.#escape();
      case "|":
      case "*":
      case "+":
      case "?":
        return character;
      default:
        return literal(character);
    }
  }

  #group(): string {
    if (this.#take(/\?#[^)]*\)/y) !== null) return "";
    const named = this.#take(/\?P=(\w+)\)/y);
    if (named !== null) return `\\k<${named[1]}>`;
    const flags = this.#take(/\?([aiLmsux]*)(?:-([imsx]+))?([:)])/y);
    if (flags !== null) return this.#flags(flags[1]!, flags[2] ?? "", flags[3] === ")");
    const open = this.#take(/\?P(<\w+>)|\?(<?[=!])/y);
    if (open === null && this.#source[this.#at] === "?") {
      this.#fail(`JavaScript has no group that begins with (${this.#source.slice(this.#at, this.#at + 2)}`);
    }
    return this.#close(open === null ? "(" : `(?${open[1] ?? open[2]}`);
  }

  #flags(on: string, off: string, rest: boolean): string {
    const outside = this.#modes;
    if (on.includes("i") || off.includes("i")) {
      if (!rest && on.includes("i") !== this.#ignoreCase)
        this.#fail("(?i:…) cannot hold for a part; write (?i) first");
      this.#ignoreCase = on.includes("i");
    }
    const mode = (letter: string, before: boolean): boolean =>
      (on.includes(letter) || before) && !off.includes(letter);
    this.#modes = {
      multiline: mode("m", outside.multiline),
      dotAll: mode("s", outside.dotAll),
      verbose: mode("x", outside.verbose),
    };
    return rest ? "" : this.#close("(?:", outside);
  }

  /** A group's body up to its end; flags set inside hold no longer outside. */
  #close(open: string, outside: Modes = this.#modes): string {
    const body = this.#alternatives();
    if (this.#source[this.#at] !== ")") this.#fail("a ( is never closed");
    this.#at++;
    this.#modes = outside;
    return `${open}${body})`;
  }

  #escape(): string {
    const code = this.#codePoint();
    if (code !== null) return literal(String.fromCodePoint(code));
    const reference = this.#take(/[1-9]\d?/y);
    if (reference !== null) return `(?:\\${reference[0]})`;
    const character = this.#next();
    if (character === "A") return START;
    if (character === "Z") return END;
    if (character === "b" || character === "B") return wordBoundary(this.#unicode, character === "B");
    const kind = pythonClass(character, this.#unicode);
    if (kind !== undefined) return `[${kind}]`;
    if (/[A-Za-z]/.test(character)) this.#fail(`\\${character} has no meaning`);
    return literal(character);
  }

  /** The code point an escape stands for, or null when it stands for something else. */
  #codePoint(): number | null {
    const hex = this.#take(/x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})/y);
    if (hex !== null) return Number.parseInt(hex[1] ?? hex[2] ?? hex[3]!, 16);
    const octal = this.#take(/0[0-7]{0,2}|[1-3][0-7]{2}/y);
    if (octal !== null) return Number.parseInt(octal[0], 8);
    const control = this.#take(/[afnrtv]/y);
    return control === null ? null : CONTROL[control[0]]!;
  }

  #characterClass(): string {
    let out = this.#take(/\^/y) === null ? "[" : "[^";
    for (let first = true; first || this.#source[this.#at] !== "]"; first = false) {
      const from = this.#classItem();
      // A hyphen is a range only between two characters: `[\w-]` and `[a-]` mean the hyphen itself.
      const range = from.range && this.#take(/-(?!\])/y) !== null;
      if (!range) {
        out += from.text;
        continue;
      }
      const to = this.#classItem();
      out += to.range ? `${from.text}-${to.text}` : `${from.text}\\-${to.text}`;
    }
    this.#at++;
    return `${out}]`;
  }

  #classItem(): { readonly text: string; readonly range: boolean } {
    const character = this.#next();
    if (character !== "\\") return { text: literalInClass(character), range: true };
    const code = this.#codePoint();
    if (code !== null) return { text: literalInClass(String.fromCodePoint(code)), range: true };
    const escaped = this.#next();
    const kind = pythonClass(escaped, this.#unicode);
    if (kind !== undefined) return { text: kind, range: false };
    if (escaped === "b") return { text: "\\x08", range: true };
    if (/[A-Za-z]/.test(escaped)) this.#fail(`\\${escaped} has no meaning in a character class`);
    return { text: literalInClass(escaped), range: true };
  }
}

/**
 * A Python regular expression as a RegExp: named groups, `\A` and `\Z`, inline flags (`(?i)`, `(?ms:…)`, `(?x)`),
 * comments, and Python's `^`, `$` and `.`. Behaviour from the documentation of Python's `re`. Fails with
 * `ACTION_FAILED` for what JavaScript cannot express: atomic and conditional groups, `(?i:…)`.
 */
export function pythonRegex(pattern: string, flags: PythonRegexFlags = {}): RegExp {
  return new Translator(pattern, flags).translate(flags.global === true);
}

const TEMPLATE_PART = /\\(?:g<(\w+)>|(0[0-7]{0,2}|[1-3][0-7]{2})|([1-9]\d?)|([\s\S]))|[^\\]+|\\$/g;

/** The text Python's `Match.expand` makes of a template: `\1`, `\g<1>`, `\g<name>`, `\n`; a group that took no part is empty. */
export function expandPythonTemplate(template: string, match: RegExpMatchArray): string {
  return template.replace(
    TEMPLATE_PART,
    (part, group?: string, octal?: string, digits?: string, other?: string) => {
      if (octal !== undefined) return String.fromCharCode(Number.parseInt(octal, 8));
      const name = group ?? digits;
      if (name !== undefined) return groupOf(match, name, template);
      if (other === undefined) return part;
      const control = CONTROL[other];
      if (control !== undefined) return String.fromCharCode(control);
      if (/[A-Za-z]/.test(other)) {
        throw new VolleyError(
          "ACTION_FAILED",
          `the replacement ${template} has a \\${other}, which has no meaning; write \\\\${other} for the characters themselves`,
        );
      }
      return other === "\\" ? "\\" : part;
    },
  );
}

function groupOf(match: RegExpMatchArray, name: string, template: string): string {
  const known = /^\d+$/.test(name) ? Number(name) < match.length : name in (match.groups ?? {});
  if (!known) {
    throw new VolleyError(
      "ACTION_FAILED",
      `the replacement ${template} names group ${name}, which the expression does not have`,
    );
  }
  return (/^\d+$/.test(name) ? match[Number(name)] : match.groups?.[name]) ?? "";
}

/** What Python's `re.subn` gives: the text with every match replaced, and how many there were. `regex` must be global. */
export function pythonReplace(
  regex: RegExp,
  template: string,
  text: string,
): { readonly text: string; readonly count: number } {
  let out = "";
  let end = 0;
  let count = 0;
  for (const match of text.matchAll(regex)) {
    out += text.slice(end, match.index) + expandPythonTemplate(template, match);
    end = match.index + match[0].length;
    count++;
  }
  return { text: out + text.slice(end), count };
}
