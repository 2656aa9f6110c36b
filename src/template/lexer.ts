import type { Token } from "nunjucks/src/parser.js";
import { TemplateFailure } from "./errors.ts";

/** How the text around tags is trimmed; the names are Jinja's. */
export interface LexerOptions {
  /** Drop the first newline after a block tag. */
  readonly trimBlocks: boolean;
  /** Drop the blanks before a block tag that is first on its line. */
  readonly lstripBlocks: boolean;
  /** Keep one newline at the very end of the template. */
  readonly keepTrailingNewline: boolean;
  /** How many lines of the file come before the text; 0 unless given. */
  readonly firstLine?: number;
}

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
const INTEGER = /0b[01_]+|0o[0-7_]+|0x[\da-f_]+|\d[\d_]*/iy;
const NAME = /[\p{L}\p{Nl}_][\p{L}\p{Nl}\p{Nd}\p{Mn}\p{Mc}_]*/uy;
const STRING = /'[^'\\]*(?:\\[\s\S][^'\\]*)*'|"[^"\\]*(?:\\[\s\S][^"\\]*)*"/y;
const OPERATOR = /\/\/|\*\*|==|!=|>=|<=|[-+/*%~[\](){}<>=.:|,]/y;
const RAW_BEGIN = /\{%[-+]?\s*raw\s*(?:-%\}\s*|%\})/y;
const RAW_END = /\{%([-+]?)\s*endraw\s*(?:\+%\}|-%\}\s*|%\}(\n?))/g;
const TAG_START = /\{[{%#]/g;

const ESCAPES: Readonly<Record<string, string>> = {
  n: "\n",
  t: "\t",
  r: "\r",
  a: "\x07",
  b: "\b",
  f: "\f",
  v: "\v",
  "\\": "\\",
  "'": "'",
  '"': '"',
  "\n": "",
};

/** The text a Python string literal stands for; an unknown escape such as `\d` keeps its backslash, as in Python. */
function unescapeString(body: string): string {
  return body.replace(
    /\\(?:x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|([0-7]{1,3})|([\s\S]))/g,
    (whole, x?: string, u?: string, long?: string, octal?: string, other?: string) => {
      const hex = x ?? u ?? long;
      if (hex !== undefined) return String.fromCodePoint(Number.parseInt(hex, 16));
      if (octal !== undefined) return String.fromCharCode(Number.parseInt(octal, 8));
      return ESCAPES[other ?? ""] ?? whole;
    },
  );
}

function matchAt(pattern: RegExp, source: string, index: number): string | undefined {
  pattern.lastIndex = index;
  return pattern.exec(source)?.[0];
}

/** Splits a template into the tokens nunjucks' parser reads, with Jinja's whitespace rules already applied. */
export function lex(template: string, options: LexerOptions): Token[] {
  let source = template.replace(/\r\n?/g, "\n");
  if (!options.keepTrailingNewline && source.endsWith("\n")) source = source.slice(0, -1);
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
    RAW_END.lastIndex = index;
    const end = RAW_END.exec(source);
    if (end === null) throw errorAt("the raw block is never closed: endraw is missing", start);
    push("data", dataBefore(end.index, end[1] ?? "", true), index);
    index = RAW_END.lastIndex;
    if (end[2] === "\n" && !options.trimBlocks) index--;
  };
  const lexComment = (start: number): void => {
    const end = source.indexOf("#}", start + 2);
    if (end < 0) throw errorAt("the comment is never closed: #} is missing", start);
    index = afterTag(end + 2, end > start + 2 ? source.charAt(end - 1) : "", true);
  };

  const lexCode = (start: number, isBlock: boolean): void => {
    const close = isBlock ? "%}" : "}}";
    const kind = isBlock ? "block" : "variable";
    push(`${kind}-start`, isBlock ? "{%" : "{{", start);
    index = start + 2;
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
        index = afterTag(index + sign.length + 2, sign, isBlock);
        return;
      }
      lexToken(open);
    }
  };
  const lexToken = (open: string[]): void => {
    for (const [type, pattern] of [
      ["float", FLOAT],
      ["int", INTEGER],
      ["symbol", NAME],
      ["string", STRING],
    ] as const) {
      const text = matchAt(pattern, source, index);
      if (text === undefined) continue;
      push(
        type,
        type === "string"
          ? unescapeString(text.slice(1, -1))
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
    TAG_START.lastIndex = index;
    const start = TAG_START.exec(source)?.index ?? source.length;
    const isBlock = source[start + 1] !== "{";
    const sign = source.charAt(start + 2);
    const data = dataBefore(start, start < source.length ? sign : "+", isBlock);
    if (data !== "") push("data", data, index);
    if (start === source.length) break;
    const raw = matchAt(RAW_BEGIN, source, start);
    if (raw !== undefined) lexRaw(raw, start);
    else if (source[start + 1] === "#") lexComment(start);
    else lexCode(start, isBlock);
  }
  return tokens;
}
