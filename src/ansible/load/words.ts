import { VolleyError } from "../../core/errors.ts";
import { unescapePython } from "../../core/values/python-literal.ts";
import { COMMAND_OPTIONS, COMMANDS } from "../keywords.ts";

// Arguments in one text: `src=a dest="b c"`, and free text such as command lines.

/** Split a text at blanks, except within quotes and within Jinja's braces; quotes and backslashes stay. */
export function splitWords(text: string): string[] {
  const words: string[] = [];
  let word = "";
  let quote = "";
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const character = text[at]!;
    const pair = text.slice(at, at + 2);
    if (quote !== "") {
      if (character === "\\" && quote === '"' && depth === 0) {
        word += pair;
        at++;
        continue;
      }
      if (character === quote) quote = "";
    } else if (pair === "{{" || pair === "{%" || pair === "{#") {
      depth++;
      word += pair;
      at++;
      continue;
    } else if (depth > 0 && (pair === "}}" || pair === "%}" || pair === "#}")) {
      depth--;
      word += pair;
      at++;
      continue;
    } else if (character === "\\" && at + 1 < text.length && depth === 0) {
      word += pair;
      at++;
      continue;
    } else if ((character === "'" || character === '"') && depth === 0) quote = character;
    else if (/\s/.test(character) && depth === 0) {
      if (word !== "") words.push(word);
      word = "";
      continue;
    }
    word += character;
  }
  if (quote !== "" || depth > 0)
    throw new VolleyError(
      "PLAYBOOK_INVALID",
      "failed at splitting arguments, either an unbalanced jinja2 block or quotes",
    );
  if (word !== "") words.push(word);
  return words;
}

const PAIR = /^((?:\{\{.*?\}\}|[^\s=\\'"{])+)=(.*)$/s;

/** Read the arguments of a module that are written as one text. `_raw_params` holds the text that is no `key=value`. */
export function readArguments(module: string, text: string): Record<string, unknown> {
  if (COMMANDS.has(module)) return readCommand(text);
  const args: Record<string, unknown> = {};
  const raw: string[] = [];
  for (const word of splitWords(text)) {
    const [, key, value] = PAIR.exec(word) ?? [];
    if (key === undefined) raw.push(word);
    else args[key] = readValue(value!);
  }
  if (raw.length > 0) {
    args._raw_params = raw.map(unquote).join(" ");
  }
  return args;
}

/** The escapes of Python's strings that Ansible reads in `key=value`, quoted or not: not the octal ones, so that `\1` stays. */
const ESCAPES = /\\(?:x[\da-fA-F]{2}|u[\da-fA-F]{4}|U[\da-fA-F]{8}|[\\'"abfnrtv])/g;

function readValue(written: string): string {
  const text = written.replace(ESCAPES, (each) => unescapePython(each)).trim();
  return /^(["']).*\1$/s.test(text) && text.length > 1 ? text.slice(1, -1) : text;
}

/** Read a command line: its options are taken out, the rest stays as it is written. */
function readCommand(text: string): Record<string, unknown> {
  const args: Record<string, unknown> = {};
  let rest = text;
  for (const word of splitWords(text)) {
    const [, key, value] = PAIR.exec(word) ?? [];
    if (key === undefined || !COMMAND_OPTIONS.has(key)) continue;
    args[key] = unquote(value!);
    const at = rest.indexOf(word);
    rest = rest.slice(0, at) + rest.slice(at + word.length).replace(/^[ \t]/, "");
  }
  rest = rest.trim();
  if (rest !== "") args._raw_params = rest;
  return args;
}

/** Take the quotes off a word that is quoted as a whole. */
export function unquote(word: string): string {
  const [, quote, inner] = /^(["'])(.*)\1$/s.exec(word) ?? [];
  if (
    quote === undefined ||
    (quote === '"' && /(?<!\\)"/.test(inner!)) ||
    (quote === "'" && inner!.includes("'"))
  )
    return word;
  return quote === '"' ? inner!.replace(/\\(["\\])/g, "$1") : inner!;
}
