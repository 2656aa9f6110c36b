/** A text of `key=value` words, taken apart. */
export interface KeyValues {
  /** In the order written; of a key given twice the last value. */
  readonly values: ReadonlyMap<string, string>;
  /** The words without a `=`. */
  readonly rest: readonly string[];
}

/**
 * Read `key=value` words as Ansible does: blanks separate words, except between quotes and within a template; quotes
 * around a whole value are taken off, and `\n`, `\t`, `\"` and the like are the characters they stand for. Fails by
 * `fail` where a quote or a template is not closed.
 */
export function readKeyValues(text: string, fail: (problem: string) => never): KeyValues {
  const values = new Map<string, string>();
  const rest: string[] = [];
  for (const written of splitWords(text, fail)) {
    const word = unescapeText(written);
    const at = /(?<!\\)=/.exec(word)?.index ?? 0;
    if (at === 0) rest.push(word);
    else values.set(word.slice(0, at).trim(), unquote(word.slice(at + 1).trim()));
  }
  return { values, rest };
}

const BLOCKS: Readonly<Record<string, string>> = { "{{": "}}", "{%": "%}", "{#": "#}" };

function splitWords(text: string, fail: (problem: string) => never): readonly string[] {
  const words: string[] = [];
  let word = "";
  let quote: string | undefined;
  /** The ends of the templates that are open, the innermost last. */
  const open: string[] = [];
  for (let at = 0; at < text.length; at++) {
    const character = text[at]!;
    const pair = text.slice(at, at + 2);
    if (quote === undefined && open.length === 0 && /\s/.test(character)) {
      if (word !== "") words.push(word);
      word = "";
      continue;
    }
    word += character;
    if ((character === '"' || character === "'") && text[at - 1] !== "\\") {
      if (quote === undefined) quote = character;
      else if (quote === character) quote = undefined;
    } else if (pair === open.at(-1) || pair in BLOCKS) {
      if (pair === open.at(-1)) open.pop();
      else open.push(BLOCKS[pair]!);
      word += text[++at]!;
    }
  }
  if (quote !== undefined) fail(`a quote (${quote}) is never closed`);
  if (open.length > 0) fail(`a template is never closed: ${open.at(-1)} is missing`);
  if (word !== "") words.push(word);
  return words;
}

const ESCAPE = /\\(?:U([\da-fA-F]{8})|u([\da-fA-F]{4})|x([\da-fA-F]{2})|([\\'"abfnrtv]))/g;
const ESCAPED: Readonly<Record<string, string>> = {
  a: "\u0007",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
};

function unescapeText(text: string): string {
  return text.replace(ESCAPE, (written, long?: string, short?: string, byte?: string, letter?: string) => {
    if (letter !== undefined) return ESCAPED[letter] ?? letter;
    const code = Number.parseInt(long ?? short ?? byte!, 16);
    return code > 0x10ffff ? written : String.fromCodePoint(code);
  });
}

function unquote(value: string): string {
  const isQuoted = value.length > 1 && /^["']/.test(value) && value[0] === value.at(-1);
  return isQuoted ? value.slice(1, -1) : value;
}
