// PyYAML, and so Ansible, lets the lines of a quoted text begin anywhere; the YAML parser here wants them further in than
// the mapping or list they stand in. How far they are in means nothing else, since blanks at their beginning are dropped.

/** A text whose quoted lines are far enough in. */
export interface IndentedText {
  readonly text: string;
  /** The number of blanks added to a line, by the line's number. */
  readonly added: ReadonlyMap<number, number>;
  /** The last line of the quoted text. */
  readonly lastLine: number;
}

/** A marker of documents ends a quoted text in PyYAML, too. */
const MARKER = /^(?:---|\.\.\.)(?:\s|$)/;

/**
 * Move the lines that follow `offset`, where the parser lost a quoted text, in as far as that text begins, up to the
 * closing quote. Undefined where nothing closes the quote, or no line is to be moved.
 */
export function indentQuoted(text: string, offset: number, quote: string): IndentedText | undefined {
  const close = closingQuote(text, offset, quote);
  if (close === undefined) return undefined;
  const before = text.slice(0, offset).replace(/\s+$/, "");
  const width = before.length - before.lastIndexOf("\n");
  const first = text.indexOf("\n", before.length) + 1;
  if (first === 0 || first > close) return undefined;
  const lines = text.slice(first, close).split("\n");
  if (lines.some((line) => MARKER.test(line))) return undefined;
  const number = text.slice(0, first).split("\n").length;
  const moved = lines.map((line) => " ".repeat(width) + line);
  return {
    text: text.slice(0, first) + moved.join("\n") + text.slice(close),
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
