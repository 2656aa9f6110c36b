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

const PART = /(\s+)|'([^']*)'|"((?:[^"\\]|\\[\s\S])*)"|\\([\s\S])|([^\s'"\\#]+)|(#)|([\s\S])/g;

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
