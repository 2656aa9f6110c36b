import { VolleyError } from "../../core/errors.ts";

const WORD_PART = /\s+|'([^']*)'|"((?:[^"\\]|\\[\s\S])*)"|\\([\s\S])|([^\s'"\\]+)|([\s\S])/g;

/** Splits a command line into words as a POSIX shell does, quotes and backslashes included, without expanding anything. */
export function splitWords(line: string): readonly string[] {
  const words: string[] = [];
  let word: string | undefined;
  for (const [part, single, double, escaped, plain, stray] of line.matchAll(WORD_PART)) {
    if (stray !== undefined) {
      throw new VolleyError(
        "ACTION_FAILED",
        `the command line \`${line}\` has an unfinished ${stray === "\\" ? "escape" : "quote"}`,
      );
    }
    const text = single ?? double?.replace(/\\(["\\$`\n])/g, "$1") ?? escaped ?? plain;
    if (text !== undefined) word = (word ?? "") + text;
    else if (part.trim() === "" && word !== undefined) {
      words.push(word);
      word = undefined;
    }
  }
  if (word !== undefined) words.push(word);
  return words;
}
