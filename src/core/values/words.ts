const PART = /(\s+)|'([^']*)'|"((?:[^"\\]|\\[\s\S])*)"|\\([\s\S])|([^\s'"\\#]+)|(#)|([\s\S])/g;

/** The differences between the splitters that users know. */
export interface WordRules {
  /** The characters that a backslash escapes between quotation marks: a shell's are `"\$` and the backquote, shlex's `"\`. */
  readonly escapes: "shell" | "shlex";
  /** Read `#` at the beginning of a word as a comment; call `fail` for a `#` within a word. Default false. */
  readonly comments?: boolean;
  /** Throw an error about a fault at an index of the line. */
  readonly fail: (fault: WordFault, at: number) => never;
}

/** A fault of a line: a quotation mark or a last backslash without its end, or a word with a `#` in it. */
export type WordFault =
  | { readonly kind: "quote" | "escape"; readonly mark: string }
  | { readonly kind: "comment"; readonly word: string };

const ESCAPED = { shell: /\\(["\\$`\n])/g, shlex: /\\(["\\])/g } as const;

/** Split a line into words as a POSIX shell does, quotes and backslashes included, without expanding anything. */
export function splitWords(line: string, { escapes, comments = false, fail }: WordRules): readonly string[] {
  const words: string[] = [];
  let word: string | undefined;
  for (const match of line.matchAll(PART)) {
    const [, blank, single, double, escaped, plain, hash, stray] = match;
    if (stray !== undefined) fail({ kind: stray === "\\" ? "escape" : "quote", mark: stray }, match.index);
    if (hash !== undefined && comments) {
      if (word === undefined) return words;
      fail({ kind: "comment", word }, match.index);
    }
    if (blank === undefined) {
      const part = single ?? double?.replace(ESCAPED[escapes], "$1") ?? escaped ?? plain ?? hash ?? "";
      word = (word ?? "") + part;
    } else if (word !== undefined) {
      words.push(word);
      word = undefined;
    }
  }
  if (word !== undefined) words.push(word);
  return words;
}
