import { pythonRegex, pythonReplace } from "../../core/values/python-regex.ts";
import { fail } from "../errors.ts";
import { formatPercent } from "../format.ts";
import { capitalize, splitLines, splitText, strip } from "../methods.ts";
import {
  type Callable,
  callable,
  intArgument,
  isList,
  str,
  textArgument,
  text as textOf,
  truth,
  tuple,
} from "../values.ts";

function truncate(text: string, size: number, killWords: boolean, end: string, leeway: number): string {
  const chars = [...text];
  if (chars.length <= size + leeway) return text;
  const cut = chars.slice(0, Math.max(0, size - [...end].length)).join("");
  return (killWords ? cut : cut.includes(" ") ? cut.slice(0, cut.lastIndexOf(" ")) : cut) + end;
}

function indent(text: string, width: unknown, first: boolean, blank: boolean): string {
  const margin = typeof width === "string" ? width : " ".repeat(intArgument(width, 4));
  const lines = splitLines(`${text}\n`);
  const [head = "", ...rest] = lines;
  const body = rest.map((line) => `\n${line === "" && !blank ? "" : margin}${line}`).join("");
  return (first ? margin : "") + head + body;
}

const COMMENT_STYLES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  plain: { decoration: "# " },
  erlang: { decoration: "% " },
  c: { decoration: "// " },
  cblock: { beginning: "/*", decoration: " * ", end: " */" },
  xml: { beginning: "<!--", decoration: " - ", end: "-->" },
};

/** Decorate as Ansible's `comment` does: every line, with an empty decorated line before and after. */
function comment(text: string, style: string, options: Readonly<Record<string, unknown>>): string {
  const preset = { ...(COMMENT_STYLES[style] ?? fail(`comment has no style '${style}'`)), ...options };
  const option = (name: string, fallback: string): string => str(preset[name] ?? fallback);
  const newline = option("newline", "\n");
  const decoration = option("decoration", "# ");
  const [beginning, end] = [option("beginning", ""), option("end", "")];
  const lines = text.split(newline).map((line) => (decoration + line).trimEnd());
  const prefix = (name: "prefix" | "postfix"): string[] => {
    const count = intArgument(preset[`${name}_count`], 1);
    const line = option(name, decoration.trimEnd());
    // As in Ansible, an empty line follows the text, and none comes before it.
    return name === "prefix" && line === "" ? [] : Array.from({ length: count }, () => line.trimEnd());
  };
  return [
    ...(beginning === "" ? [] : [beginning]),
    ...prefix("prefix"),
    ...lines,
    ...prefix("postfix"),
    ...(end === "" ? [] : [end]),
  ].join(newline);
}

const ordinary = (body: (text: string) => unknown): Callable =>
  callable(["value"], (value: unknown) => body(str(value)));

/** Quote a word in the form of Python's shlex.quote, which templates know from Ansible. */
function quote(text: string): string {
  return text === "" ? "''" : /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'"'"'`)}'`;
}

/** Filters of text, Jinja's and Ansible's. */
export const textFilters: Readonly<Record<string, Callable>> = {
  upper: ordinary((text) => text.toUpperCase()),
  lower: ordinary((text) => text.toLowerCase()),
  capitalize: ordinary(capitalize),
  title: ordinary((text) =>
    text
      .split(/([-\s({[<]+)/u)
      .map((word) => capitalize(word))
      .join(""),
  ),
  string: callable(["value"], str),
  safe: callable(["value"], str),
  trim: callable(["value", "chars"], (value: unknown, chars: unknown) => strip(str(value), chars)),
  striptags: ordinary((text) => splitText(text.replace(/<!--[\s\S]*?-->|<[^>]*>/g, "")).join(" ")),
  escape: ordinary(escapeHtml),
  e: ordinary(escapeHtml),
  forceescape: ordinary(escapeHtml),
  wordcount: ordinary((text) => (text.match(/[\p{L}\p{N}_]+/gu) ?? []).length),
  center: callable(["value", "width"], (value: unknown, width: unknown) => {
    const columns = intArgument(width, 80);
    const text = str(value);
    const missing = Math.max(0, columns - [...text].length);
    const left = (missing >> 1) + (missing & columns & 1);
    return " ".repeat(left) + text + " ".repeat(missing - left);
  }),
  indent: callable(
    ["value", "width", "first", "blank"],
    (value: unknown, width: unknown, first: unknown = false, blank: unknown = false) =>
      indent(textOf(value), width, truth(first), truth(blank)),
  ),
  truncate: callable(
    ["value", "length", "killwords", "end", "leeway"],
    (value: unknown, length: unknown, kill: unknown = false, end?: unknown, leeway?: unknown) =>
      truncate(
        str(value),
        intArgument(length, 255),
        truth(kill),
        textArgument(end, "..."),
        intArgument(leeway, 5),
      ),
  ),
  replace: callable(
    ["value", "old", "new", "count"],
    (value: unknown, old: unknown, by: unknown, count: unknown = null) => {
      let left = count === null ? Number.POSITIVE_INFINITY : intArgument(count, 0);
      return str(value).replaceAll(str(old), (found) => (left-- > 0 ? str(by) : found));
    },
  ),
  format: ([template, ...values], keywords) => {
    const named = Object.keys(keywords).length > 0;
    if (named && values.length > 0) fail("format takes positional or keyword arguments, not both");
    return formatPercent(str(template), named ? new Map(Object.entries(keywords)) : tuple(...values));
  },
  split: callable(["value", "sep", "maxsplit"], (value: unknown, by: unknown, most: unknown) =>
    splitText(textOf(value), by, most),
  ),
  quote: callable(["value"], (value: unknown) => quote(value === null ? "" : str(value))),
  comment: ([value, style], options) =>
    comment(textOf(value), textArgument(options.style ?? style, "plain"), options),
  urlencode: callable(["value"], (value: unknown) => urlEncode(value)),
};

/** Escape the characters that mean something to HTML. */
export function escapeHtml(text: string): string {
  const names: Readonly<Record<string, string>> = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    "'": "&#39;",
    '"': "&#34;",
  };
  return text.replace(/[&<>'"]/g, (char) => names[char] ?? char);
}

function quoteUrl(text: string, keep: RegExp): string {
  return [...Buffer.from(text)]
    .map((byte) => {
      const char = String.fromCharCode(byte);
      return byte < 128 && keep.test(char) ? char : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
    })
    .join("");
}

function urlEncode(value: unknown): string {
  if (typeof value !== "object" || value === null) return quoteUrl(str(value), /[\w.~/-]/);
  const pairs = isList(value)
    ? (value as [unknown, unknown][])
    : value instanceof Map
      ? [...value]
      : Object.entries(value);
  const part = (text: unknown): string => quoteUrl(str(text), /[\w.~-]/).replaceAll("%20", "+");
  return pairs.map(([key, item]) => `${part(key)}=${part(item)}`).join("&");
}

function compile(pattern: unknown, ignoreCase: unknown, multiLine: unknown): RegExp {
  const [ignore, multiline] = [truth(ignoreCase), truth(multiLine)];
  return pythonRegex(str(pattern), { ignoreCase: ignore, multiline, unicode: true, global: true });
}

function replace(
  value: unknown,
  pattern: unknown = "",
  by: unknown = "",
  ignoreCase: unknown = false,
  multiLine: unknown = false,
  count: unknown = 0,
): string {
  const text = str(value);
  const matches = text.matchAll(compile(pattern, ignoreCase, multiLine));
  const most = intArgument(count, 0);
  return pythonReplace(most > 0 ? firstOf(matches, most) : matches, str(by), text).text;
}

function* firstOf<T>(items: Iterable<T>, count: number): Iterable<T> {
  let left = count;
  for (const item of items) {
    yield item;
    if (--left === 0) return;
  }
}

/** Search for an expression; arguments such as `\1` or `\g<name>` ask for a list of those groups. */
const search: Callable = ([value, pattern, ...groups], { ignorecase = false, multiline = false }) => {
  const match = compile(pattern, ignorecase, multiline).exec(str(value));
  if (match === null) return null;
  if (groups.length === 0) return match[0];
  return groups.map((group) => {
    const [, name = fail(`unknown argument '${str(group)}' to regex_search`)] =
      /^\\(?:g<)?(\w+)>?$/.exec(str(group)) ?? [];
    const isNumber = /^\d+$/.test(name);
    if (isNumber ? Number(name) >= match.length : !(name in (match.groups ?? {})))
      fail(`the regular expression has no group ${name}`);
    return (isNumber ? match[Number(name)] : match.groups?.[name]) ?? null;
  });
};

function findAll(
  value: unknown,
  pattern: unknown,
  multiLine: unknown = false,
  ignoreCase: unknown = false,
): unknown[] {
  return [...str(value).matchAll(compile(pattern, ignoreCase, multiLine))].map((match) => {
    if (match.length <= 2) return match[1] ?? (match.length === 2 ? "" : match[0]);
    return tuple(...match.slice(1).map((group) => group ?? ""));
  });
}

/** Ansible's filters of regular expressions, in the syntax of Python's `re`. */
export const regexFilters: Readonly<Record<string, Callable>> = {
  regex_replace: callable(["value", "pattern", "replacement", "ignorecase", "multiline", "count"], replace),
  regex_search: search,
  regex_findall: callable(["value", "regex", "multiline", "ignorecase"], findAll),
  regex_escape: callable(["value", "re_type"], (value: unknown, type: unknown = "python") =>
    type === "posix_extended"
      ? fail("Regex type (posix_extended) not yet implemented")
      : type !== "posix_basic" && type !== "python"
        ? fail(`Invalid regex type (${str(type)})`)
        : type === "posix_basic"
          ? str(value).replace(/[\].[^$*\\]/g, "\\$&")
          : str(value).replace(/[\s()[\]{}?*+\-|^$\\.&~#]/g, "\\$&"),
  ),
};
