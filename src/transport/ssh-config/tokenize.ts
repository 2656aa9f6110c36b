/** What one line of ssh_config begins with, and the rest of it. */
export interface LineHead {
  /** In lower case. */
  readonly keyword: string;
  /** Behind the keyword and its `=`, as written. */
  readonly rest: string;
}

/** What `ssh` takes for white space between words of a line. */
const BLANKS = " \t\r\n";

/**
 * Takes the keyword off a line (ssh_config(5)): `Name value`, `Name=value` or `Name = value`, the name quoted or not.
 * Undefined for empty lines and comments.
 */
export function splitKeyword(line: string): LineHead | undefined {
  const text = trimEnd(line, `${BLANKS}\f`);
  let taken = takeToken(text);
  // White space at the beginning of the line.
  if (taken?.token === "") taken = takeToken(taken.rest);
  if (taken === undefined || taken.token === "" || taken.token.startsWith("#")) return undefined;
  return { keyword: lowerAscii(taken.token), rest: trimStart(taken.rest, BLANKS) };
}

/** The words of the older notation that Match lines are written in: only double quotes count, and `=` parts words. */
export function* matchTokens(text: string): Generator<string, void, undefined> {
  for (let taken = takeToken(text); taken !== undefined; taken = takeToken(taken.rest)) {
    if (taken.token === "") return;
    yield taken.token;
    if (taken.rest === "") return;
  }
}

/** One token of the older notation; undefined where a quote is not closed. The token is empty at the end of the text. */
function takeToken(text: string): { readonly token: string; readonly rest: string } | undefined {
  const end = text.search(/[ \t\r\n"=]/);
  if (end < 0) return { token: text, rest: "" };
  if (text[end] === '"') {
    // A quote may begin in the middle of a word, and always ends it.
    const close = text.indexOf('"', end + 1);
    if (close < 0) return undefined;
    return {
      token: text.slice(0, end) + text.slice(end + 1, close),
      rest: trimStart(text.slice(close + 1), BLANKS),
    };
  }
  let rest = trimStart(text.slice(end + 1), BLANKS);
  // Only one `=` is passed over.
  if (text[end] !== "=" && rest.startsWith("=")) rest = trimStart(rest.slice(1), BLANKS);
  return { token: text.slice(0, end), rest };
}

/**
 * The words of a value, as `ssh` splits them: single and double quotes, a backslash before a quote, a backslash or (outside
 * of quotes) a blank, and a `#` at the beginning of a word, which ends the line. Undefined where a quote is not closed.
 */
export function splitArguments(text: string): readonly string[] | undefined {
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

/** Letters outside of ASCII stay as they are, as they do for `ssh`. */
export function lowerAscii(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}
