import { floatText } from "../core/value.ts";
import { failUndefined } from "./errors.ts";
import { order } from "./operators.ts";
import { Attributes, dictEntries, Float, isDict, isFloat, isInt, isList, str, Undefined } from "./values.ts";

/** How {@link dumpYaml} writes; the names are those of PyYAML's `dump`. */
interface YamlOptions {
  /** Columns per level, 2 to 9. */
  readonly indent: number;
  /** Lines are folded at blanks past this column. */
  readonly width: number;
  readonly sortKeys: boolean;
  /** True: all on one line; false: never; null: only collections of scalars. */
  readonly flow: boolean | null;
  readonly allowUnicode: boolean;
  /** Whether `---` comes before the document, and `...` after it. */
  readonly explicitStart: boolean;
  readonly explicitEnd: boolean;
}

/** What is written so far. */
interface Output {
  text: string;
}

const isScalar = (value: unknown): boolean => !isList(value) && !isDict(value);
const column = ({ text }: Output): number => [...text.slice(text.lastIndexOf("\n") + 1)].length;

function isEmpty(value: unknown): boolean {
  return isList(value) ? value.length === 0 : isDict(value) && dictEntries(value).length === 0;
}

function entriesOf(value: unknown, { sortKeys }: YamlOptions): [unknown, unknown][] {
  const entries = isDict(value) ? dictEntries(value) : [];
  if (!sortKeys) return entries;
  try {
    return [...entries].sort(([a], [b]) => order(a, b));
  } catch {
    // Keys of several types have no order; PyYAML leaves them as they are.
    return entries;
  }
}

function isFlow(value: unknown, { flow }: YamlOptions): boolean {
  if (isEmpty(value) || flow !== null) return flow === true || isEmpty(value);
  const items = isDict(value) ? dictEntries(value).map(([, item]) => item) : (value as unknown[]);
  return items.every(isScalar);
}

function writeScalar(
  output: Output,
  value: unknown,
  indent: number,
  inFlow: boolean,
  isKey: boolean,
  options: YamlOptions,
): void {
  const { width, allowUnicode } = options;
  const place = {
    column: column(output),
    indent: indent + options.indent,
    width,
    isKey,
    isFlow: inFlow,
    allowUnicode,
  };
  output.text += scalarText(value, place);
}

/** A collection between brackets; `indent` is the margin of the collection around it. */
function writeFlow(output: Output, value: unknown, indent: number, options: YamlOptions): void {
  const inner = indent + options.indent;
  const separate = (index: number): void => {
    if (index > 0) output.text += ",";
    if (column(output) > options.width) output.text += `\n${" ".repeat(inner)}`;
    else if (index > 0) output.text += " ";
  };
  const write = (item: unknown, isKey: boolean): void => {
    if (isScalar(item)) writeScalar(output, item, inner, true, isKey, options);
    else writeFlow(output, item, inner, options);
  };
  output.text += isList(value) ? "[" : "{";
  if (isList(value)) {
    value.forEach((item, index) => {
      separate(index);
      write(item, false);
    });
  }
  entriesOf(value, options).forEach(([key, item], index) => {
    separate(index);
    write(key, true);
    output.text += ": ";
    write(item, false);
  });
  output.text += isList(value) ? "]" : "}";
}

/** A collection on lines of its own; the first line's margin is written already, because it may follow a dash. */
function writeBlock(output: Output, value: unknown, indent: number, options: YamlOptions): void {
  const margin = `\n${" ".repeat(indent)}`;
  if (isList(value)) {
    value.forEach((item, index) => {
      if (index > 0) output.text += margin;
      const isInline = isScalar(item) || isFlow(item, options);
      output.text += isInline ? "- " : `-${" ".repeat(options.indent - 1)}`;
      writeNode(output, item, indent, indent + options.indent, options);
    });
    return;
  }
  entriesOf(value, options).forEach(([key, item], index) => {
    if (index > 0) output.text += margin;
    writeScalar(output, key, indent, false, true, options);
    // PyYAML writes a list inside a dict without indenting it.
    const inner = isList(item) ? indent : indent + options.indent;
    output.text += isScalar(item) || isFlow(item, options) ? ": " : `:\n${" ".repeat(inner)}`;
    writeNode(output, item, indent, inner, options);
  });
}

function writeNode(
  output: Output,
  value: unknown,
  indent: number,
  inner: number,
  options: YamlOptions,
): void {
  if (isScalar(value)) writeScalar(output, value, indent, false, false, options);
  else if (isFlow(value, options)) writeFlow(output, value, indent, options);
  else writeBlock(output, value, inner, options);
}

/** A value as YAML 1.1, laid out as PyYAML does it, with a newline at the end. */
export function dumpYaml(value: unknown, options: YamlOptions): string {
  const isInline = isScalar(value) || isFlow(value, options);
  const output: Output = { text: options.explicitStart ? (isInline ? "--- " : "---\n") : "" };
  writeNode(output, value, 0, 0, options);
  return `${output.text}\n${options.explicitEnd ? "...\n" : ""}`;
}

/** What YAML 1.1 would read as something else than a string. */
const RESOLVES = new RegExp(
  [
    "yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF|~|null|Null|NULL|<<|=|",
    "[-+]?(?:[0-9][0-9_]*)\\.[0-9_]*(?:[eE][-+][0-9]+)?|\\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?",
    "[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\\.[0-9_]*|[-+]?\\.(?:inf|Inf|INF)|\\.(?:nan|NaN|NAN)",
    "[-+]?0b[0-1_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+",
    "\\d{4}-\\d\\d-\\d\\d|\\d{4}-\\d\\d?-\\d\\d?(?:[Tt]|[ \\t]+)\\d\\d?:\\d\\d:\\d\\d(?:\\.\\d*)?(?:[ \\t]*(?:Z|[-+]\\d\\d?(?::\\d\\d)?))?",
  ]
    .map((part) => `(?:${part})`)
    .join("|")
    .replace(/^/, "^(?:")
    .concat(")$"),
);
const STARTS_SPECIAL = /^[#,[\]{}&*!|>'"%@`]|^[-?:](?:\s|$)|^---|^\.\.\./;
const ESCAPES: Readonly<Record<string, string>> = {
  "\0": "\\0",
  "\x07": "\\a",
  "\b": "\\b",
  "\t": "\\t",
  "\n": "\\n",
  "\v": "\\v",
  "\f": "\\f",
  "\r": "\\r",
  "\x1b": "\\e",
  '"': '\\"',
  "\\": "\\\\",
  "\x85": "\\N",
  "\xa0": "\\_",
  "\u2028": "\\L",
  "\u2029": "\\P",
};

/** Where a scalar is written; columns and widths count characters. */
interface ScalarPlace {
  /** How much the current line already holds. */
  readonly column: number;
  /** The margin of the lines it continues on. */
  readonly indent: number;
  /** Past this column, lines are folded at blanks. */
  readonly width: number;
  readonly isKey: boolean;
  readonly isFlow: boolean;
  readonly allowUnicode: boolean;
}

type Style = "plain" | "single" | "double";

function isPrintable(char: string, allowUnicode: boolean): boolean {
  if (char >= " " && char <= "~") return true;
  return (
    allowUnicode &&
    char.length === 1 &&
    ((char >= "\xa0" && char <= "\ud7ff") || (char >= "\ue000" && char <= "\ufffd")) &&
    char !== "\ufeff"
  );
}

function styleOf(text: string, { isFlow, isKey, allowUnicode }: ScalarPlace): Style {
  const isSpecial = [...text].some((char) => char !== "\n" && !isPrintable(char, allowUnicode));
  const isMultiline = text.includes("\n");
  if (isSpecial || / \n|\n /.test(text) || (isKey && isMultiline)) return "double";
  const isPlain =
    !isMultiline &&
    !RESOLVES.test(text) &&
    !STARTS_SPECIAL.test(text) &&
    !/^ | $|:(?: |$)| #/.test(text) &&
    !(isFlow && /[,?[\]{}:]/.test(text));
  return isPlain ? "plain" : "single";
}

/** Text whose single blanks become line breaks where a line is too long, and whose breaks are doubled, as YAML reads them. */
function folded(text: string, start: number, { indent, width, isKey }: ScalarPlace): string {
  const margin = " ".repeat(indent);
  let column = start;
  let result = "";
  let position = 0;
  for (const [part] of text.matchAll(/ +|\n+|[^ \n]+/g)) {
    const isInside = position > 0 && position + part.length < text.length;
    if (part.startsWith("\n")) {
      result += `\n${part}${margin}`;
      column = indent;
    } else if (part === " " && column > width && !isKey && isInside) {
      result += `\n${margin}`;
      column = indent;
    } else {
      result += part;
      column += [...part].length;
    }
    position += part.length;
  }
  return result;
}

function escaped(char: string): string {
  const short = ESCAPES[char];
  if (short !== undefined) return short;
  const code = (char.codePointAt(0) ?? 0).toString(16).toUpperCase();
  if (code.length <= 2) return `\\x${code.padStart(2, "0")}`;
  return code.length <= 4 ? `\\u${code.padStart(4, "0")}` : `\\U${code.padStart(8, "0")}`;
}

function doubleQuoted(
  text: string,
  { column: start, indent, width, isKey, allowUnicode }: ScalarPlace,
): string {
  const chars = [...text];
  let column = start + 1;
  let result = "";
  chars.forEach((char, index) => {
    const isInside = index > 0 && index < chars.length - 1;
    if (char === " " && column > width && !isKey && isInside && chars[index - 1] !== " ") {
      // The break stands for this blank; a backslash keeps one the next line would start with.
      result += `\n${" ".repeat(indent)}${chars[index + 1] === " " ? "\\" : ""}`;
      column = indent;
      return;
    }
    const written = char in ESCAPES || !isPrintable(char, allowUnicode) ? escaped(char) : char;
    result += written;
    column += written.length;
  });
  return `"${result}"`;
}

/** Any value that is not a list or dict, as PyYAML writes it in YAML 1.1. */
function scalarText(value: unknown, place: ScalarPlace): string {
  if (value === null) return "null";
  if (typeof value === "boolean") return String(value);
  if (isInt(value)) return str(value);
  if (isFloat(value)) {
    const text = floatText(value instanceof Float ? value.value : value);
    if (text.includes("n")) return text.replace(/inf|nan/, ".$&");
    return text.includes(".") ? text : text.replace("e", ".0e");
  }
  if (value instanceof Undefined) return failUndefined(value);
  const text = str(value);
  if (value instanceof Attributes) return text;
  switch (styleOf(text, place)) {
    case "plain":
      return folded(text, place.column, place);
    case "single":
      return `'${folded(text.replaceAll("'", "''"), place.column + 1, place)}'`;
    default:
      return doubleQuoted(text, place);
  }
}
