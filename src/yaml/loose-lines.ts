import { Lexer } from "yaml";

// PyYAML, and so Ansible, lets the lines of a quoted text, and of a list or mapping in brackets, begin anywhere; the YAML
// parser here wants them further in than the mapping or list they stand in. How far they are in means nothing else, since
// blanks at their beginning are dropped.

/** A text whose lines are far enough in. */
export interface IndentedText {
  readonly text: string;
  /** The number of blanks added to a line, by the line's number. */
  readonly added: ReadonlyMap<number, number>;
  /** The last line of the quoted text or of the brackets. */
  readonly lastLine: number;
}

/** A marker of documents ends a quoted text and brackets in PyYAML, too. */
const MARKER = /^(?:---|\.\.\.)(?:\s|$)/;

/**
 * Move the lines that follow `offset`, where the parser lost a quoted text, in as far as that text begins, up to the
 * closing quote. Undefined where nothing closes the quote, or no line is to be moved.
 */
export function indentQuoted(text: string, offset: number, quote: string): IndentedText | undefined {
  const close = closingQuote(text, offset, quote);
  return close === undefined ? undefined : indent(text, text.slice(0, offset).trimEnd().length, close);
}

/**
 * Move the lines of the brackets that the parser lost at `offset` in as far as the first bracket stands, up to the one
 * that closes it. Undefined where nothing closes it, or no line is to be moved.
 */
export function indentBrackets(text: string, offset: number): IndentedText | undefined {
  const open = openBracket(text, offset);
  const close = open === undefined ? undefined : closingBracket(text, open);
  return close === undefined ? undefined : indent(text, open! + 1, close);
}

/** Move the lines behind the one with `from` in by that place's column, up to the line of `to`. */
function indent(text: string, from: number, to: number): IndentedText | undefined {
  const width = from - text.lastIndexOf("\n", from - 1) - 1;
  const first = text.indexOf("\n", from) + 1;
  if (first === 0 || first > to) return undefined;
  const lines = text.slice(first, to).split("\n");
  if (lines.some((line) => MARKER.test(line))) return undefined;
  const number = text.slice(0, first).split("\n").length;
  const moved = lines.map((line) => " ".repeat(width) + line);
  return {
    text: text.slice(0, first) + moved.join("\n") + text.slice(to),
    added: new Map(lines.map((_line, index) => [number + index, width])),
    lastLine: number + lines.length - 1,
  };
}

/** Find the quote that closes a text, from a place within the text on. */
function closingQuote(text: string, from: number, quote: string): number | undefined {
  for (let at = from; at < text.length; at++) {
    if (quote === '"' && text[at] === "\\") at++;
    else if (text[at] === quote) {
      if (quote === '"' || text[at + 1] !== quote) return at;
      at++;
    }
  }
  return undefined;
}

/** The parser's lexemes that stand for no part of the text. */
const MARKS = ["\u{feff}", "\u{2}", "\u{18}", "\u{1f}"];

/** Find the outermost bracket that is open where the parser lost it, at `offset` or before. */
function openBracket(text: string, offset: number): number | undefined {
  let found: number | undefined;
  let depth = 0;
  let at = 0;
  let isScalar = false;
  for (const lexeme of new Lexer().lex(text)) {
    if (at > offset) break;
    if (!isScalar && (lexeme === "[" || lexeme === "{")) {
      if (depth++ === 0) found = at;
    } else if (!isScalar && (lexeme === "]" || lexeme === "}")) depth--;
    isScalar = !isScalar && lexeme === "\u{1f}";
    if (!MARKS.includes(lexeme)) at += lexeme.length;
  }
  return depth > 0 ? found : undefined;
}

/** Find the bracket that closes the one at `open`, brackets in quoted texts and comments left out. */
function closingBracket(text: string, open: number): number | undefined {
  let depth = 0;
  let before = "";
  for (let at = open; at < text.length; at++) {
    const character = text[at]!;
    if (character === "#" && /\s/.test(text[at - 1]!)) at = endOfLine(text, at);
    else if (/["']/.test(character) && /^[[{,:?]?$/.test(before)) {
      const close = closingQuote(text, at + 1, character);
      if (close === undefined) return undefined;
      at = close;
    } else if (/[[{]/.test(character)) depth++;
    else if (/[\]}]/.test(character) && --depth === 0) return at;
    if (/\S/.test(text[at]!)) before = text[at]!;
  }
  return undefined;
}

function endOfLine(text: string, from: number): number {
  const end = text.indexOf("\n", from);
  return end < 0 ? text.length - 1 : end;
}
