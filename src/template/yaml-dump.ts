import { order } from "./operators.ts";
import { dictEntries, isDict, isList } from "./values.ts";
import { scalarText } from "./yaml-scalar.ts";

/** How {@link dumpYaml} writes; the names are those of PyYAML's `dump`. */
export interface YamlOptions {
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
