// The words of a command line that is still being typed, with the quotes of shells.

/** The quote that is open at the end of a line; `\` for a backslash that has quoted nothing yet. */
export type OpenQuote = "" | "'" | '"' | "\\";

/** A command line up to the cursor. */
export interface TypedLine {
  /** The words before the one at the cursor, without quotes. */
  readonly words: readonly string[];
  /** The word at the cursor, without quotes; empty after a blank. */
  readonly word: string;
  /** The same word as it is typed. */
  readonly typed: string;
  readonly quote: OpenQuote;
}

/** Split a line as bash does, up to what it has of its last command. */
export function splitTyped(line: string): TypedLine {
  let words: string[] = [];
  let [word, typed]: [string | undefined, string] = [undefined, ""];
  let quote: OpenQuote = "";
  for (let at = 0; at < line.length; at++) {
    const character = line[at]!;
    if (quote === "" && /\s/.test(character)) {
      if (word !== undefined) words.push(word);
      [word, typed] = [undefined, ""];
      continue;
    }
    if (quote === "" && /[;|&()\n]/.test(character)) {
      words = [];
      [word, typed] = [undefined, ""];
      continue;
    }
    typed += character;
    word ??= "";
    if (quote === "\\") {
      word += character;
      quote = "";
    } else if (quote === "'") {
      if (character === "'") quote = "";
      else word += character;
    } else if (quote === '"') {
      const next = line[at + 1];
      if (character === '"') quote = "";
      else if (character === "\\" && next !== undefined && /[$`"\\]/.test(next)) {
        word += next;
        typed += next;
        at++;
      } else word += character;
    } else if (character === "\\" || character === "'" || character === '"') quote = character;
    else word += character;
  }
  return { words, word: word ?? "", typed, quote };
}

/** Write text that goes on a word of bash, in whose end this quote is open. */
export function quoteRest(text: string, quote: OpenQuote): string {
  switch (quote) {
    case "'":
      return text.replaceAll("'", "'\\''");
    case '"':
      return text.replace(/[$`"\\]/g, "\\$&");
    case "\\":
    case "":
      return text.replace(/[^\w@%+=:,./^{}\u0080-\uffff-]/g, "\\$&").slice(quote === "\\" ? 1 : 0);
  }
}
