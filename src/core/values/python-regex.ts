import { VolleyError } from "../errors.ts";

/** Flags of Python's `re`. */
export interface PythonRegexFlags {
  readonly ignoreCase?: boolean;
  /** `^` and `$` match at every line. */
  readonly multiline?: boolean;
  /** `.` matches newlines too. */
  readonly dotAll?: boolean;
  /** `\d`, `\s`, `\w` and `\b` go by Unicode, as in Python's `str`; without it by ASCII, as in its `bytes`. */
  readonly unicode?: boolean;
  /** Match only at the start, or from the start to the end, as Python's `match` and `fullmatch` do. */
  readonly anchored?: "start" | "both";
  /** Set JavaScript's flag `g`, for `matchAll` and `replace`. */
  readonly global?: boolean;
}

interface Modes {
  readonly ignoreCase: boolean;
  readonly unicode: boolean;
  readonly multiline: boolean;
  readonly dotAll: boolean;
  readonly verbose: boolean;
}

/** Python's `\d`, `\s` and `\w`, each as the inside of a JavaScript class: Unicode in `str`, ASCII only in `bytes`. */
interface Classes {
  readonly [letter: string]: string;
}

const IN_BYTES: Classes = {
  d: "0-9",
  D: "\\0-/:-\\u{10ffff}",
  s: "\\t-\\r ",
  S: "\\0-\\x08\\x0e-\\x1f!-\\u{10ffff}",
  w: "0-9A-Z_a-z",
  W: "\\0-/:-@\\[-\\^`\\{-\\u{10ffff}",
};

// `\W` is written as all the other categories, because a class cannot hold a negated class.
const IN_TEXT: Classes = {
  d: "\\p{Nd}",
  D: "\\P{Nd}",
  s: "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000",
  S: "\\0-\\x08\\x0e-\\x1b!-\\x84\\x86-\\x9f\\xa1-\\u167f\\u1681-\\u1fff\\u200b-\\u2027\\u202a-\\u202e\\u2030-\\u205e\\u2060-\\u2fff\\u3001-\\u{10ffff}",
  w: "\\p{L}\\p{N}_",
  W: "\\p{M}\\p{S}\\p{Z}\\p{C}\\p{Pd}\\p{Ps}\\p{Pe}\\p{Pi}\\p{Pf}\\p{Po}\\u203f\\u2040\\u2054\\ufe33\\ufe34\\ufe4d-\\ufe4f\\uff3f",
};

/** Return the inside of a class for `\d`, `\D`, `\s`, `\S`, `\w` or `\W`; undefined for any other letter. */
function pythonClass(letter: string, unicode: boolean): string | undefined {
  return (unicode ? IN_TEXT : IN_BYTES)[letter];
}

/** Return the translation of `\b`, or with `not` of `\B`. */
function wordBoundary(unicode: boolean, not: boolean): string {
  const word = `[${pythonClass("w", unicode)}]`;
  // Python matches neither in an empty text.
  return not
    ? `(?!^$)(?:(?<=${word})(?=${word})|(?<!${word})(?!${word}))`
    : `(?:(?<=${word})(?!${word})|(?<!${word})(?=${word}))`;
}

const CONTROL: Readonly<Record<string, number>> = { a: 7, f: 12, n: 10, r: 13, t: 9, v: 11 };
const SYNTAX = "^$\\.*+?()[]{}|/";

// JavaScript's flag `m` is of no use: it knows more ends of lines than Python's newline.
const START = "(?:^)";
const END = "(?:$)";
const LINE_START = "(?:^|(?<=\\n))";
const LINE_END = "(?:$|(?=\\n))";
const END_OR_FINAL_NEWLINE = "(?:(?=\\n?$))";

const ANCHORS: ReadonlySet<string> = new Set([
  ...[START, END, LINE_START, LINE_END, END_OR_FINAL_NEWLINE],
  ...[false, true].flatMap((unicode) => [wordBoundary(unicode, false), wordBoundary(unicode, true)]),
]);

function literal(character: string): string {
  if (SYNTAX.includes(character)) return `\\${character}`;
  return character === "\n" ? "\\n" : character;
}

function literalInClass(character: string): string {
  return "\\]^-[".includes(character) ? `\\${character}` : character;
}

/** Return the letters that differ from one in their case only, that one included; without `unicode` only those of ASCII. */
function casesOf(character: string, unicode: boolean): readonly string[] {
  const cases = [character, character.toLowerCase(), character.toUpperCase()];
  if (unicode && /[ks]/i.test(character)) cases.push(/k/i.test(character) ? "\u212a" : "\u017f");
  const one = (text: string): boolean => [...text].length === 1 && (unicode || /^[\0-\x7f]$/.test(text));
  return [character, ...new Set(cases)].filter(
    (text, index) => index === 0 || (text !== character && one(text)),
  );
}

/** The ranges with letters of two cases, for ranges in classes. */
const CASED: readonly (readonly [number, number])[] = [
  [0x41, 0x7a],
  [0xb5, 0x24f],
  [0x370, 0x587],
  [0x1e00, 0x1fff],
];

class Translator {
  readonly #source: string;
  #at = 0;
  /** The number of open groups. */
  #depth = 0;
  #modes: Modes;
  /** Write cases out, because the flag `i` holds for the whole expression and for all of Unicode. */
  readonly #expands: boolean;
  /** The values of `ignoreCase` for the letters read so far; both where only parts of the expression ignore case. */
  readonly #seen = new Set<boolean>();
  #hasReferences = false;
  /** True after an anchor. */
  #afterAnchor = false;

  constructor(source: string, flags: PythonRegexFlags, expands: boolean) {
    this.#source = source;
    this.#expands = expands;
    this.#modes = {
      ignoreCase: flags.ignoreCase === true,
      unicode: flags.unicode === true,
      multiline: flags.multiline === true,
      dotAll: flags.dotAll === true,
      verbose: false,
    };
  }

  /** Return JavaScript's source, and whether it needs the flag `i`. */
  translate(): { readonly body: string; readonly ignoreCase: boolean } {
    const body = this.#alternatives();
    if (this.#at < this.#source.length) this.#fail("unbalanced )");
    return { body, ignoreCase: !this.#expands && this.#seen.has(true) };
  }

  /** True if the translation is right only with cases written out. */
  get needsExpansion(): boolean {
    return this.#seen.has(true) && (this.#seen.has(false) || (!this.#modes.unicode && !this.#hasReferences));
  }

  fail(thrown: unknown): never {
    // Python's own words, as far as both languages find the same fault, begin with a small letter.
    const why = thrown instanceof Error ? thrown.message.replace(/^.*: /, "") : String(thrown);
    return this.#fail(`${why.slice(0, 1).toLowerCase()}${why.slice(1)}`);
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

  /** Translate up to the closing parenthesis or the end. */
  #alternatives(): string {
    let out = "";
    while (this.#at < this.#source.length && this.#source[this.#at] !== ")") {
      const piece = this.#piece(out === "");
      if (piece !== "") this.#afterAnchor = ANCHORS.has(piece);
      out += piece;
    }
    return out;
  }

  /** Translate a literal character, to both cases if cases are written out. */
  #literal(character: string): string {
    const { ignoreCase, unicode } = this.#modes;
    if (character.toLowerCase() === character.toUpperCase()) return literal(character);
    this.#seen.add(ignoreCase);
    if (!this.#expands || !ignoreCase) return literal(character);
    const cases = casesOf(character, unicode);
    return cases.length === 1 ? literal(character) : `[${cases.join("")}]`;
  }

  #piece(isFirst: boolean): string {
    if (this.#modes.verbose && this.#take(/\s+|#[^\n]*/y) !== null) return "";
    const quantifier = this.#take(/\{(\d*)(,?)(\d*)\}/y);
    if (quantifier !== null) {
      const [whole, from = "", comma, to = ""] = quantifier;
      if (whole === "{}") return "\\{\\}";
      if (this.#afterAnchor) this.#fail("an anchor cannot be repeated");
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
        return this.#group(isFirst && this.#depth === 0);
      case "\\":
        return this.#escape();
      case "*":
      case "+":
      case "?":
        if (this.#afterAnchor) this.#fail("an anchor cannot be repeated");
        return character;
      case "|":
        return character;
      default:
        return this.#literal(character);
    }
  }

  #group(isFirst: boolean): string {
    if (this.#take(/\?#[^)]*\)/y) !== null) return "";
    const named = this.#take(/\?P=(\w+)\)/y);
    if (named !== null) return this.#reference(`\\k<${named[1]}>`);
    const flags = this.#take(/\?([aiLmsux]*)(?:-([imsx]+))?([:)])/y);
    if (flags !== null) {
      if (flags[3] === ")" && !isFirst) this.#fail(`(?${flags[1]}) must stand first`);
      return this.#flags(flags[1]!, flags[2] ?? "", flags[3] === ")");
    }
    const open = this.#take(/\?P(<\w+>)|\?(<?[=!])/y);
    if (open === null && this.#source[this.#at] === "?") {
      this.#fail(`JavaScript has no group that begins with (${this.#source.slice(this.#at, this.#at + 2)}`);
    }
    // Python may repeat a lookaround, JavaScript only a group.
    if (open?.[2] !== undefined) return `${this.#close(`(?:(?${open[2]}`)})`;
    return this.#close(open === null ? "(" : `(?${open[1]}`);
  }

  #flags(on: string, off: string, rest: boolean): string {
    const outside = this.#modes;
    const mode = (letter: string, before: boolean): boolean =>
      (on.includes(letter) || before) && !off.includes(letter);
    this.#modes = {
      ignoreCase: mode("i", outside.ignoreCase),
      unicode: outside.unicode && !on.includes("a"),
      multiline: mode("m", outside.multiline),
      dotAll: mode("s", outside.dotAll),
      verbose: mode("x", outside.verbose),
    };
    return rest ? "" : this.#close("(?:", outside);
  }

  /** Translate a reference to an earlier group. */
  #reference(written: string): string {
    this.#hasReferences = true;
    if (this.#modes.ignoreCase) {
      if (this.#expands) this.#fail("a group cannot be referred to without regard to case in a part of it");
      this.#seen.add(true);
    }
    return `(?:${written})`;
  }

  /** Translate a group's body up to its end; flags set inside end there. */
  #close(open: string, outside: Modes = this.#modes): string {
    this.#depth++;
    this.#afterAnchor = false;
    const body = this.#alternatives();
    this.#depth--;
    if (this.#source[this.#at] !== ")") this.#fail("a ( is never closed");
    this.#at++;
    this.#modes = outside;
    return `${open}${body})`;
  }

  #escape(): string {
    const code = this.#codePoint();
    if (code !== null) return this.#literal(String.fromCodePoint(code));
    const reference = this.#take(/[1-9]\d?/y);
    if (reference !== null) return this.#reference(`\\${reference[0]}`);
    const character = this.#next();
    if (character === "A") return START;
    if (character === "Z") return END;
    if (character === "b" || character === "B") return wordBoundary(this.#modes.unicode, character === "B");
    const kind = pythonClass(character, this.#modes.unicode);
    if (kind !== undefined) return `[${kind}]`;
    if (/[A-Za-z]/.test(character)) this.#fail(`\\${character} has no meaning`);
    return literal(character);
  }

  /** Return the code point of an escape, or null for an escape of another kind. */
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
      // A hyphen is a range only between two characters: in `[\w-]` and `[a-]` it is a hyphen; `[\w-a]` is an error.
      const range = this.#take(/-(?!\])/y) !== null;
      const to = range ? this.#classItem() : from;
      if (from.code === undefined || to.code === undefined) {
        if (range) this.#fail("a range of characters begins or ends with a class");
        out += from.text;
        continue;
      }
      out += range ? `${from.text}-${to.text}` : from.text;
      out += this.#otherCases(from.code, to.code);
    }
    this.#at++;
    return `${out}]`;
  }

  /** Return the other cases of a range in a class, if cases are written out. */
  #otherCases(from: number, to: number): string {
    const { ignoreCase, unicode } = this.#modes;
    let others = "";
    for (const [first, last] of CASED) {
      for (let code = Math.max(from, first); code <= Math.min(to, last); code++) {
        const character = String.fromCodePoint(code);
        if (character.toLowerCase() === character.toUpperCase()) continue;
        this.#seen.add(ignoreCase);
        if (!this.#expands || !ignoreCase) return "";
        for (const other of casesOf(character, unicode).slice(1)) {
          const at = other.codePointAt(0)!;
          if ((at < from || at > to) && !others.includes(other)) others += other;
        }
      }
    }
    return others;
  }

  /** Translate one character of a class, or an escape for several. */
  #classItem(): { readonly text: string; readonly code?: number } {
    const one = (character: string) => ({ text: literalInClass(character), code: character.codePointAt(0)! });
    const character = this.#next();
    if (character !== "\\") return one(character);
    const code = this.#codePoint() ?? this.#octal();
    if (code !== null) return one(String.fromCodePoint(code));
    const escaped = this.#next();
    const kind = pythonClass(escaped, this.#modes.unicode);
    if (kind !== undefined) return { text: kind };
    if (escaped === "b") return { text: "\\x08", code: 8 };
    if (/[A-Za-z89]/.test(escaped)) this.#fail(`\\${escaped} has no meaning in a character class`);
    return one(escaped);
  }

  #octal(): number | null {
    const digits = this.#take(/[0-7]{1,3}/y);
    return digits === null ? null : Number.parseInt(digits[0], 8);
  }
}

/**
 * Translate a Python regular expression to a RegExp: named groups, `\A` and `\Z`, inline flags (`(?i)` first, `(?ms:…)`
 * anywhere), comments, and Python's `^`, `$` and `.`. Behaviour from the documentation of Python's `re`. Fail with
 * `ACTION_FAILED` for syntax that JavaScript lacks: atomic and conditional groups, possessive quantifiers. Two
 * behaviours stay JavaScript's: each round of a repeated group forgets the groups inside, and a reference to a group
 * that took no part matches the empty text.
 */
export function pythonRegex(pattern: string, flags: PythonRegexFlags = {}): RegExp {
  let translator = new Translator(pattern, flags, false);
  let { body, ignoreCase } = translator.translate();
  if (translator.needsExpansion) {
    translator = new Translator(pattern, flags, true);
    ({ body, ignoreCase } = translator.translate());
  }
  if (flags.anchored !== undefined) body = `${START}(?:${body})${flags.anchored === "both" ? END : ""}`;
  try {
    return new RegExp(body, `u${ignoreCase ? "i" : ""}${flags.global === true ? "g" : ""}`);
  } catch (thrown) {
    return translator.fail(thrown);
  }
}

const TEMPLATE_PART = /\\(?:g<(\w+)>|(0[0-7]{0,2}|[1-3][0-7]{2})|([1-9]\d?)|([\s\S]))|[^\\]+|\\$/g;

/** Expand a template as Python's `Match.expand` does: `\1`, `\g<1>`, `\g<name>`, `\n`; a group that took no part is empty. */
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

/** Replace matches in a text as Python's `re.subn` does; return the text and the number of matches. */
export function pythonReplace(
  matches: Iterable<RegExpMatchArray>,
  template: string,
  text: string,
): { readonly text: string; readonly count: number } {
  let out = "";
  let end = 0;
  let count = 0;
  for (const match of matches) {
    out += text.slice(end, match.index) + expandPythonTemplate(template, match);
    end = match.index! + match[0].length;
    count++;
  }
  return { text: out + text.slice(end), count };
}
