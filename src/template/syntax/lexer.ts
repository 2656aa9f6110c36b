import type { Token } from "nunjucks/src/parser.js";
import { unescapePython } from "../../core/values/python-literal.ts";
import { fail, TemplateFailure } from "../errors.ts";

/** The marks of tags that differ from the usual ones, by names such as `variable_start_string`. */
type Marks = Readonly<Record<string, string>>;

/** The trimming of the text around tags; the names are Jinja's. */
export interface LexerOptions {
  /** Drop the first newline after a block tag. */
  readonly trimBlocks: boolean;
  /** Drop the blanks before a block tag that is first on its line. */
  readonly lstripBlocks: boolean;
  /** Keep one newline at the very end of the template. */
  readonly keepTrailingNewline: boolean;
  /** The number of lines of the file before the text. Default: 0. */
  readonly firstLine?: number;
  /** Texts in expressions, `{{ … }}`, keep their backslashes, as in the vars of Ansible. */
  readonly keepBackslashes?: boolean;
  readonly marks?: Marks;
}

type TagKind = "variable" | "block" | "comment";

/** A syntax error, with its line counted from 1. */
export class SyntaxFailure extends TemplateFailure {
  readonly line: number;
  constructor(message: string, line: number) {
    super(message);
    this.line = line;
  }
}

const PUNCTUATION: Readonly<Record<string, string>> = {
  "(": "left-paren",
  ")": "right-paren",
  "[": "left-bracket",
  "]": "right-bracket",
  "{": "left-curly",
  "}": "right-curly",
  ",": "comma",
  ":": "colon",
  "~": "tilde",
  "|": "pipe",
};
const CLOSERS: Readonly<Record<string, string>> = { "(": ")", "[": "]", "{": "}" };

const FLOAT = /(?<!\.)(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?e[+-]?\d+|\.(?:\d+_)*\d+)/iy;
/** As in Python, a number of several digits begins with none of value zero: `0700` is two numbers, which no expression may be. */
const INTEGER = /0b(?:_?[01])+|0o(?:_?[0-7])+|0x(?:_?[\da-f])+|[1-9](?:_?\d)*|0(?:_?0)*/iy;
const NAME = /[\p{L}\p{Nl}_][\p{L}\p{Nl}\p{Nd}\p{Mn}\p{Mc}_]*/uy;
const STRING = /'[^'\\]*(?:\\[\s\S][^'\\]*)*'|"[^"\\]*(?:\\[\s\S][^"\\]*)*"/y;
const OPERATOR = /\/\/|\*\*|==|!=|>=|<=|[-+/*%~[\](){}<>=.:|,]/y;
const MARKS: readonly (readonly [kind: TagKind, start: string, end: string])[] = [
  ["variable", "{{", "}}"],
  ["block", "{%", "%}"],
  ["comment", "{#", "#}"],
];

function matchAt(pattern: RegExp, source: string, index: number): string | undefined {
  pattern.lastIndex = index;
  return pattern.exec(source)?.[0];
}

const literally = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");

/** Split a template into the tokens of nunjucks' parser, with Jinja's whitespace rules applied. */
export function lex(template: string, options: LexerOptions): Token[] {
  let source = template.replace(/\r\n?/g, "\n");
  if (!options.keepTrailingNewline && source.endsWith("\n")) source = source.slice(0, -1);
  // Of two marks that begin alike, the longer one is meant.
  const marks = MARKS.map(
    ([kind, start, end]) =>
      [
        kind,
        options.marks?.[`${kind}_start_string`] ?? start,
        options.marks?.[`${kind}_end_string`] ?? end,
      ] as const,
  ).sort(([, a], [, b]) => b.length - a.length);
  const tagStart = new RegExp(marks.map(([, start]) => literally(start)).join("|"), "g");
  const [from = "", to = ""] = (marks.find(([kind]) => kind === "block") ?? []).slice(1).map(literally);
  const rawBegin = new RegExp(`${from}[-+]?\\s*raw\\s*(?:-${to}\\s*|${to})`, "y");
  const rawEnd = new RegExp(`${from}([-+]?)\\s*endraw\\s*(?:\\+${to}|-${to}\\s*|${to}(\n?))`, "g");
  const tokens: Token[] = [];
  let index = 0;
  const firstLine = options.firstLine ?? 0;
  let line = firstLine;
  let counted = 0;

  const lineAt = (position: number): number => {
    for (; counted < position; counted++) if (source.charCodeAt(counted) === 10) line++;
    return line;
  };
  const push = (type: string, value: string, position: number): void => {
    const lineno = lineAt(position);
    tokens.push({ type, value, lineno, colno: position - source.lastIndexOf("\n", position - 1) - 1 });
  };
  const errorAt = (message: string, position: number): SyntaxFailure =>
    new SyntaxFailure(message, source.slice(0, position).split("\n").length + firstLine);

  const dataBefore = (start: number, sign: string, isBlock: boolean): string => {
    const text = source.slice(index, start);
    if (sign === "-") return text.trimEnd();
    if (sign === "+" || !isBlock || !options.lstripBlocks) return text;
    const lineStart = text.lastIndexOf("\n") + 1;
    const startsLine = lineStart > 0 || index === 0 || source[index - 1] === "\n";
    return startsLine && text.slice(lineStart).trim() === "" ? text.slice(0, lineStart) : text;
  };
  const afterTag = (end: number, sign: string, isBlock: boolean): number => {
    if (sign === "-") {
      let next = end;
      while (next < source.length && /\s/.test(source.charAt(next))) next++;
      return next;
    }
    return isBlock && sign !== "+" && options.trimBlocks && source[end] === "\n" ? end + 1 : end;
  };

  const lexRaw = (begin: string, start: number): void => {
    index = start + begin.length;
    rawEnd.lastIndex = index;
    const end = rawEnd.exec(source);
    if (end === null) throw errorAt("the raw block is never closed: endraw is missing", start);
    push("data", dataBefore(end.index, end[1] ?? "", true), index);
    index = rawEnd.lastIndex;
    if (end[2] === "\n" && !options.trimBlocks) index--;
  };
  const lexComment = (inner: number, close: string, start: number): void => {
    const end = source.indexOf(close, inner);
    if (end < 0) throw errorAt(`the comment is never closed: ${close} is missing`, start);
    index = afterTag(end + close.length, end > inner ? source.charAt(end - 1) : "", true);
  };

  const lexCode = (inner: number, close: string, start: number, isBlock: boolean): void => {
    const kind = isBlock ? "block" : "variable";
    push(`${kind}-start`, isBlock ? "{%" : "{{", start);
    index = inner;
    if ("-+".includes(source.charAt(index)) && source.charAt(index) !== "") index++;
    const open: string[] = [];
    for (;;) {
      while (index < source.length && /\s/.test(source.charAt(index))) index++;
      if (index >= source.length) throw errorAt(`the tag is never closed: ${close} is missing`, start);
      const sign =
        source.startsWith(close, index + 1) && "-+".includes(source.charAt(index))
          ? source.charAt(index)
          : "";
      if (open.length === 0 && source.startsWith(close, index + sign.length) && (isBlock || sign !== "+")) {
        push(`${kind}-end`, close, index);
        index = afterTag(index + sign.length + close.length, sign, isBlock);
        return;
      }
      lexToken(open, !isBlock && options.keepBackslashes === true);
    }
  };
  const lexToken = (open: string[], keepBackslashes: boolean): void => {
    for (const [type, pattern] of [
      ["float", FLOAT],
      ["int", INTEGER],
      ["symbol", NAME],
      ["string", STRING],
    ] as const) {
      const text = matchAt(pattern, source, index);
      if (text === undefined) continue;
      if (type === "string" && keepBackslashes && text.slice(1, -1).includes(`\\${text.charAt(0)}`)) {
        throw errorAt(
          `a backslash in a var stands for itself: put the text ${text} in the other kind of quotes`,
          index,
        );
      }
      push(
        type,
        type === "string"
          ? keepBackslashes
            ? text.slice(1, -1)
            : unescapePython(text.slice(1, -1))
          : type === "symbol"
            ? text
            : text.replaceAll("_", ""),
        index,
      );
      index += text.length;
      return;
    }
    const text = matchAt(OPERATOR, source, index);
    if (text === undefined) throw errorAt(`unexpected character '${source.charAt(index)}'`, index);
    const closer = CLOSERS[text];
    if (closer !== undefined) open.push(closer);
    else if (")]}".includes(text) && open.pop() !== text) throw errorAt(`unexpected '${text}'`, index);
    push(PUNCTUATION[text] ?? "operator", text, index);
    index += text.length;
  };

  while (index < source.length) {
    tagStart.lastIndex = index;
    const found = tagStart.exec(source);
    const start = found?.index ?? source.length;
    const [kind, mark, close] = marks.find(([, one]) => one === found?.[0]) ?? ["block", "", ""];
    const inner = start + mark.length;
    const data = dataBefore(start, found === null ? "+" : source.charAt(inner), kind !== "variable");
    if (data !== "") push("data", data, index);
    if (found === null) break;
    const raw = matchAt(rawBegin, source, start);
    if (raw !== undefined) lexRaw(raw, start);
    else if (kind === "comment") lexComment(inner, close, start);
    else lexCode(inner, close, start, kind === "block");
  }
  return tokens;
}

const HEADER = /^#jinja2:([^\n]*)(?:\n|$)/;
const OPTIONS: Readonly<Record<string, "trimBlocks" | "lstripBlocks" | "keepTrailingNewline">> = {
  trim_blocks: "trimBlocks",
  lstrip_blocks: "lstripBlocks",
  keep_trailing_newline: "keepTrailingNewline",
};
const MARK = /^(block|variable|comment)_(start|end)_string$/;

/** Take Ansible's line `#jinja2: trim_blocks:False, variable_start_string:'[%', …` off a template, and its settings into the options. */
export function readHeader(
  source: string,
  options: LexerOptions,
): { readonly body: string; readonly options: LexerOptions } {
  const header = HEADER.exec(source);
  if (header === null) return { body: source, options };
  const changed: Partial<Record<"trimBlocks" | "lstripBlocks" | "keepTrailingNewline", boolean>> = {};
  let marks: Marks = options.marks ?? {};
  for (const part of (header[1] ?? "").split(",")) {
    const [name = "", text = ""] = part.split(":").map((piece) => piece.trim());
    const value = /^(['"])(.*)\1$/.exec(text)?.[2] ?? text;
    if (MARK.test(name)) {
      if (value === "") fail(`the #jinja2 header gives no ${name}`);
      marks = { ...marks, [name]: value };
    } else
      changed[OPTIONS[name] ?? fail(`the #jinja2 header does not know '${name}'`)] =
        /^(?:true|yes|on|1)$/i.test(value);
  }
  return { body: source.slice(header[0].length), options: { ...options, ...changed, marks, firstLine: 1 } };
}
