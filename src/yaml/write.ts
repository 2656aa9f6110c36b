import { dictEntries, Float, isDict, numberText } from "../core/values/value.ts";
import { isAmbiguous } from "./scalar.ts";

/** The style of {@link writeYaml}; the names are those of PyYAML's `dump`. */
export interface YamlStyle {
  /** Columns per level, 2 to 9. */
  readonly indent: number;
  /** Fold lines at blanks past this column. */
  readonly width: number;
  /** Sort keys by this order; null keeps their own order. */
  readonly compareKeys: ((a: unknown, b: unknown) => number) | null;
  /** True: all on one line; false: never; null: only collections of scalars. */
  readonly flow: boolean | null;
  readonly allowUnicode: boolean;
  /** Write `---` before the document. */
  readonly explicitStart: boolean;
  /** Write `...` after the document. */
  readonly explicitEnd: boolean;
  /** Return the text of a value that YAML has no type for. */
  readonly other: (value: unknown) => string;
}

/** Write a value as YAML 1.1, laid out as PyYAML does it, with a newline at the end. */
export function writeYaml(value: unknown, style: YamlStyle): string {
  const { indent: step, width, explicitStart, explicitEnd } = style;
  let output = "";
  const column = (): number => [...output.slice(output.lastIndexOf("\n") + 1)].length;
  const isInline = (item: unknown): boolean => isScalar(item) || isFlow(item, style);

  const writeScalar = (item: unknown, margin: number, inFlow: boolean, isKey: boolean): void => {
    output += scalarText(item, { column: column(), indent: margin + step, isKey, isFlow: inFlow, style });
  };

  /** Write a collection between brackets; `margin` is that of the collection around it. */
  const writeFlow = (collection: unknown, margin: number): void => {
    const inner = margin + step;
    const separate = (index: number): void => {
      if (index > 0) output += ",";
      if (column() > width) output += `\n${" ".repeat(inner)}`;
      else if (index > 0) output += " ";
    };
    const write = (item: unknown, isKey: boolean): void => {
      if (isScalar(item)) writeScalar(item, inner, true, isKey);
      else writeFlow(item, inner);
    };
    if (Array.isArray(collection)) {
      output += "[";
      collection.forEach((item, index) => {
        separate(index);
        write(item, false);
      });
      output += "]";
      return;
    }
    output += "{";
    entriesOf(collection, style).forEach(([key, item], index) => {
      separate(index);
      write(key, true);
      output += ": ";
      write(item, false);
    });
    output += "}";
  };

  /** Write a collection on lines of its own. The first line has its margin already: it may follow a dash. */
  const writeBlock = (collection: unknown, margin: number): void => {
    const newLine = `\n${" ".repeat(margin)}`;
    if (Array.isArray(collection)) {
      collection.forEach((item, index) => {
        if (index > 0) output += newLine;
        output += isInline(item) ? "- " : `-${" ".repeat(step - 1)}`;
        writeNode(item, margin, margin + step);
      });
      return;
    }
    entriesOf(collection, style).forEach(([key, item], index) => {
      if (index > 0) output += newLine;
      writeScalar(key, margin, false, true);
      // PyYAML does not indent a list inside a dict.
      const inner = Array.isArray(item) ? margin : margin + step;
      output += isInline(item) ? ": " : `:\n${" ".repeat(inner)}`;
      writeNode(item, margin, inner);
    });
  };

  const writeNode = (item: unknown, margin: number, inner: number): void => {
    if (isScalar(item)) writeScalar(item, margin, false, false);
    else if (isFlow(item, style)) writeFlow(item, margin);
    else writeBlock(item, inner);
  };

  if (explicitStart) output = isInline(value) ? "--- " : "---\n";
  writeNode(value, 0, 0);
  return `${output}\n${explicitEnd ? "...\n" : ""}`;
}

const isScalar = (value: unknown): boolean => !Array.isArray(value) && !isDict(value);

function isEmpty(value: unknown): boolean {
  return Array.isArray(value) ? value.length === 0 : isDict(value) && dictEntries(value).length === 0;
}

function isFlow(value: unknown, { flow }: YamlStyle): boolean {
  if (isEmpty(value) || flow !== null) return flow === true || isEmpty(value);
  const items = isDict(value) ? dictEntries(value).map(([, item]) => item) : (value as unknown[]);
  return items.every(isScalar);
}

function entriesOf(value: unknown, { compareKeys }: YamlStyle): [unknown, unknown][] {
  const entries = isDict(value) ? dictEntries(value) : [];
  if (compareKeys === null) return entries;
  try {
    return entries.toSorted(([a], [b]) => compareKeys(a, b));
  } catch {
    // Keys of several types have no order; PyYAML leaves them as they are.
    return entries;
  }
}

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

/** The place of a scalar; columns and widths count characters. */
interface Place {
  /** The length of the current line so far. */
  readonly column: number;
  /** The margin of the lines it continues on. */
  readonly indent: number;
  readonly isKey: boolean;
  readonly isFlow: boolean;
  readonly style: YamlStyle;
}

type Quotes = "plain" | "single" | "double";

function isPrintable(char: string, allowUnicode: boolean): boolean {
  if (char >= " " && char <= "~") return true;
  return (
    allowUnicode &&
    char.length === 1 &&
    ((char >= "\xa0" && char <= "\ud7ff") || (char >= "\ue000" && char <= "\ufffd")) &&
    char !== "\ufeff"
  );
}

function styleOf(text: string, { isFlow, isKey, style: { allowUnicode } }: Place): Quotes {
  const isSpecial = [...text].some((char) => char !== "\n" && !isPrintable(char, allowUnicode));
  const isMultiline = text.includes("\n");
  if (isSpecial || / \n|\n /.test(text) || (isKey && isMultiline)) return "double";
  const isPlain =
    !isMultiline &&
    !isAmbiguous(text) &&
    !STARTS_SPECIAL.test(text) &&
    !/^ | $|:(?: |$)| #/.test(text) &&
    !(isFlow && /[,?[\]{}:]/.test(text));
  return isPlain ? "plain" : "single";
}

/** Fold a text: single blanks become line breaks where a line is too long, and line breaks are doubled. */
function folded(text: string, start: number, { indent, isKey, style: { width } }: Place): string {
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
  { column: start, indent, isKey, style: { width, allowUnicode } }: Place,
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

/** Write a value that is neither a list nor a dict. */
function scalarText(value: unknown, place: Place): string {
  if (value === null) return "null";
  if (typeof value === "boolean") return String(value);
  if (typeof value === "number" || typeof value === "bigint" || value instanceof Float) {
    const text = numberText(value);
    if (text.includes("n")) return text.replace(/inf|nan/, ".$&");
    // YAML 1.1 wants a fraction before an exponent.
    return text.replace(/^(-?\d+)e/, "$1.0e");
  }
  if (typeof value !== "string") return place.style.other(value);
  switch (styleOf(value, place)) {
    case "plain":
      return folded(value, place.column, place);
    case "single":
      return `'${folded(value.replaceAll("'", "''"), place.column + 1, place)}'`;
    case "double":
      return doubleQuoted(value, place);
  }
}
