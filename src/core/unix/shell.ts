// Text as shells have it: words quoted, lines that every login shell takes, lines split into words, and globs.

/** Quote a word for a POSIX shell. */
export function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** Join words to a line that a POSIX shell splits into the same words: to be run, or for people to copy. */
export function commandLine(words: readonly string[]): string {
  return words.map(quote).join(" ");
}

/** Characters that stand for themselves between apostrophes in sh, csh, tcsh, fish and every other login shell. */
const PLAIN = /^[ "-&(-[\]-~]*$/;
/** Characters to write as octal numbers between quotation marks. */
const ODD = /[^ #%&(-[\]-_a-~]/gu;

/**
 * The line that has a script carried out by `/bin/sh`, whatever login shell it is given to: csh takes no newline between
 * apostrophes and puts earlier commands in the place of `!`, fish halves backslashes, and tcsh runs what stands behind
 * a quoted newline. So none of these is on the line: where the script holds one, its bytes are written as octal numbers.
 */
export function loginShellLine(script: string): string {
  if (PLAIN.test(script)) return `exec /bin/sh -c '${script}'`;
  return `exec /bin/sh -c 'eval "$(printf %b "${script.replace(ODD, octal)}")"'`;
}

/** For `printf %b`: each byte of a character. */
function octal(character: string): string {
  const bytes = Array.from(new TextEncoder().encode(character));
  return bytes.map((byte) => `\\0${byte.toString(8).padStart(3, "0")}`).join("");
}

const WORD_PART = /(\s+)|'([^']*)'|"((?:[^"\\]|\\[\s\S])*)"|\\([\s\S])|([^\s'"\\#]+)|(#)|([\s\S])/g;

/** The differences between the splitters that users know. */
interface WordRules {
  /** The characters that a backslash escapes between quotation marks: a shell's are `"\$` and the backquote, shlex's `"\`. */
  readonly escapes: "shell" | "shlex";
  /** Read `#` at the beginning of a word as a comment; call `fail` for a `#` within a word. Default false. */
  readonly comments?: boolean;
  /** Throw an error about a fault at an index of the line. */
  readonly fail: (fault: WordFault, at: number) => never;
}

/** A fault of a line: a quotation mark or a last backslash without its end, or a word with a `#` in it. */
type WordFault =
  | { readonly kind: "quote" | "escape"; readonly mark: string }
  | { readonly kind: "comment"; readonly word: string };

const ESCAPED = { shell: /\\(["\\$`\n])/g, shlex: /\\(["\\])/g } as const;

/** Split a line into words as a POSIX shell does, quotes and backslashes included, without expanding anything. */
export function splitWords(line: string, { escapes, comments = false, fail }: WordRules): readonly string[] {
  const words: string[] = [];
  let word: string | undefined;
  for (const match of line.matchAll(WORD_PART)) {
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

/** A piece of a glob: any characters (`*`), or a test of one character. */
export type GlobPiece = "*" | ((character: string) => boolean);

/** Split a pattern that has `*` and `?` as its only special characters. */
export function globPieces(glob: string): readonly GlobPiece[] {
  return [...glob].map((written): GlobPiece => {
    if (written === "*") return "*";
    return written === "?" ? () => true : (character) => character === written;
  });
}

/**
 * Split a pattern that has sets such as `[abc]`, `[a-c]` and `[!abc]` besides: by Python's fnmatch, or by glob(7), where
 * `^` negates a set as well and a backslash makes the next character ordinary.
 */
export function setGlobPieces(glob: string, rules: "fnmatch" | "glob"): readonly GlobPiece[] {
  const pieces: GlobPiece[] = [];
  const characters = [...glob];
  for (let at = 0; at < characters.length; at++) {
    const written = characters[at]!;
    if (written === "*") pieces.push("*");
    else if (written === "?") pieces.push(() => true);
    else if (written === "[") {
      const negates = (rules === "glob" ? "!^" : "!").includes(characters[at + 1] ?? " ");
      const first = negates ? at + 2 : at + 1;
      // A `]` in the first place belongs to the set.
      const end = characters.indexOf("]", first + 1);
      if (end < 0) pieces.push((character) => character === "[");
      else {
        pieces.push(setPiece(characters.slice(first, end), negates));
        at = end;
      }
    } else {
      const isEscape = written === "\\" && rules === "glob";
      const literal = isEscape ? (characters[++at] ?? written) : written;
      pieces.push((character) => character === literal);
    }
  }
  return pieces;
}

function setPiece(set: readonly string[], negates: boolean): GlobPiece {
  const ranges: (readonly [string, string])[] = [];
  for (let at = 0; at < set.length; at++) {
    const isRange = set[at + 1] === "-" && at + 2 < set.length;
    ranges.push([set[at]!, isRange ? set[at + 2]! : set[at]!]);
    if (isRange) at += 2;
  }
  return (character) => ranges.some(([from, to]) => from <= character && character <= to) !== negates;
}

/**
 * True when a text fits a glob. Takes time proportional to the product of the lengths at most; as a regular expression
 * `*a*a*a*a*b` could take for ever.
 */
export function matchesGlob(pieces: readonly GlobPiece[], text: string): boolean {
  const characters = [...text];
  let piece = 0;
  let at = 0;
  /** The position of the last `*`, and the end of the text it covers so far. */
  let star = -1;
  let reach = 0;
  while (at < characters.length) {
    const wanted = pieces[piece];
    if (wanted === "*") {
      star = piece++;
      reach = at;
    } else if (wanted?.(characters[at]!)) {
      piece++;
      at++;
    } else if (star >= 0) {
      piece = star + 1;
      at = ++reach;
    } else return false;
  }
  while (pieces[piece] === "*") piece++;
  return piece === pieces.length;
}
