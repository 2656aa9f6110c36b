import { VolleyError } from "../../core/errors.ts";
import { unescapePython } from "../../core/values/python-literal.ts";
import { COMMAND_OPTIONS, COMMANDS } from "../keywords.ts";

// Arguments in one text: `src=a dest="b c"`, and free text such as command lines.

/** Where a word begins and ends in a text. */
interface Span {
  readonly start: number;
  readonly end: number;
}

/** Split a text at blanks, except within quotes and within Jinja's braces; quotes and backslashes stay, those that continue a line go. */
export function splitWords(text: string): string[] {
  return spansOf(text)
    .map(({ start, end }) => text.slice(start, end))
    .filter((word) => word !== "\\");
}

/** Return the words of a text; a backslash before a blank is a word of its own where it begins one. */
function spansOf(text: string): readonly Span[] {
  const spans: Span[] = [];
  let start = -1;
  let quote = "";
  let depth = 0;
  const end = (at: number): void => {
    if (start !== -1) spans.push({ start, end: at });
    start = -1;
  };
  for (let at = 0; at < text.length; at++) {
    const character = text[at]!;
    const pair = text.slice(at, at + 2);
    const isBlank = quote === "" && depth === 0 && /\s/.test(character);
    if (isBlank) {
      end(at);
      continue;
    }
    const begins = start === -1;
    if (begins) start = at;
    if (quote !== "") {
      if (character === "\\" && quote === '"' && depth === 0) at++;
      else if (character === quote) quote = "";
    } else if (pair === "{{" || pair === "{%" || pair === "{#") {
      depth++;
      at++;
    } else if (depth > 0 && (pair === "}}" || pair === "%}" || pair === "#}")) {
      depth--;
      at++;
    } else if (character === "\\" && at + 1 < text.length && depth === 0) {
      if (begins && /\s/.test(pair[1]!)) end(at + 1);
      else at++;
    } else if ((character === "'" || character === '"') && depth === 0) quote = character;
  }
  if (quote !== "" || depth > 0)
    throw new VolleyError(
      "PLAYBOOK_INVALID",
      "failed at splitting arguments, either an unbalanced jinja2 block or quotes",
    );
  end(text.length);
  return spans;
}

/** Join the lines of a command line that end with a backslash by itself, as Ansible does before a shell sees them. */
function joinLines(text: string): string {
  let joined = "";
  let from = 0;
  for (const { start, end } of spansOf(text)) {
    if (text.slice(start, end) !== "\\") continue;
    joined += text.slice(from, start).replace(/ $/, "");
    from = text[end] === "\n" ? end + 1 : end;
    if (from < text.length && !/\s/.test(text[from]!)) joined += " ";
  }
  return joined + text.slice(from);
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

/** Read a command line: its options are taken out, the rest stays as it is written, but for lines that go on. */
function readCommand(text: string): Record<string, unknown> {
  const args: Record<string, unknown> = {};
  let rest = joinLines(text);
  for (const word of splitWords(rest)) {
    const [, key, value] = PAIR.exec(word) ?? [];
    if (key === undefined || !COMMAND_OPTIONS.has(key)) continue;
    args[key] = unquote(value!);
    const at = rest.indexOf(word);
    rest = rest.slice(0, at) + rest.slice(at + word.length).replace(/^\s/, "");
  }
  // The end of a line stays, as it is written; blanks before an option go with it.
  if (Object.keys(args).length > 0) rest = rest.replace(/[ \t]+$/, "");
  if (rest.trim() !== "") args._raw_params = rest.trimStart();
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
