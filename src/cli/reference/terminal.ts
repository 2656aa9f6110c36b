import { type FormatOptions, paint } from "../../inventory/format.ts";
import {
  actions,
  callText,
  constraintsOf,
  findAction,
  type Parameter,
  parametersOf,
  summaryOf,
} from "./actions.ts";
import { taskOptions } from "./words.ts";

const PLAIN: FormatOptions = { color: false, columns: 80 };
const MAX_COLUMNS = 100;

/** List every action with its summary, for a terminal; or those that a word is about, "" where there are none. */
export function listActions(options: FormatOptions = PLAIN, word = ""): string {
  const { bold, dim } = paint(options.color);
  const columns = Math.min(options.columns, MAX_COLUMNS);
  const width = Math.max(...[...actions.keys()].map((name) => name.length));
  const wanted = word.toLowerCase();
  const isAbout = (text: string): boolean => text.toLowerCase().includes(wanted);
  const listed = [...actions.values()].filter(({ name, doc }) => isAbout(name) || isAbout(summaryOf(doc)));
  if (listed.length === 0) return "";
  const rows = listed.map(({ name, doc }) => {
    const text = paragraph(summaryOf(doc), " ".repeat(width + 4), { ...options, columns });
    return `  ${bold(name)}${text.slice(name.length + 2)}`;
  });
  return `${rows.join("")}\n${dim("`volley doc ACTION` shows one with its parameters and examples.")}\n`;
}

/**
 * Show an action's description, parameters and examples, for a terminal. Fails with `USAGE` when there is no such
 * action.
 */
export function documentAction(name: string, options: FormatOptions = PLAIN): string {
  const action = findAction(name);
  const { bold, dim } = paint(options.color);
  const layout = { ...options, columns: Math.min(options.columns, MAX_COLUMNS) };
  const constraints = constraintsOf(action.params);
  const parameters = parametersOf(action.params);
  const sections = [
    `${bold(action.name)}\n${renderMarkdown(action.doc, "  ", layout)}`,
    parameters.length === 0
      ? `${bold("Parameters")}\n  none\n`
      : `${bold("Parameters")}\n${parameters.map((parameter) => renderParameter(parameter, layout)).join("")}`,
    constraints.length === 0
      ? ""
      : `${bold("Constraints")}\n${constraints.map((text) => paragraph(text, "  - ", layout)).join("")}`,
    action.examples.length === 0
      ? ""
      : `${bold("Examples")}\n${action.examples.map((example) => renderExample(action.name, example, layout)).join("")}`,
    wrap(
      `Every task also takes ${Object.keys(taskOptions).join(", ")}; REFERENCE.md has them.`,
      layout.columns,
    )
      .map((line) => `${dim(line)}\n`)
      .join(""),
  ];
  return sections.filter((section) => section !== "").join("\n");
}

function renderParameter(
  { name, type, required, initial, description }: Parameter,
  options: FormatOptions,
): string {
  const { bold, dim } = paint(options.color);
  const about = `${type}${required ? ", required" : ""}${initial === undefined ? "" : `, default ${initial}`}`;
  const lines = wrap(`${name}: ${about}`, options.columns - 6);
  const head = lines.map((line, index) =>
    index === 0 ? `  ${bold(name)}${dim(line.slice(name.length))}\n` : `    ${dim(line)}\n`,
  );
  return `${head.join("")}${paragraph(description, "      ", options)}`;
}

function renderExample(name: string, example: unknown, { columns }: FormatOptions): string {
  return `${callText(name, example, columns - 2).replaceAll(/^/gm, "  ")}\n`;
}

// Text between backticks stays on one line, so that it can be coloured line by line.
const WORD = /(?:`[^`\n]*`|[^\s`])+|\S+/g;

/** Break text into lines of at most `columns` characters; longer words stay whole. */
export function wrap(text: string, columns: number): readonly string[] {
  const lines: string[] = [];
  let line = "";
  for (const [word] of text.matchAll(WORD)) {
    if (line !== "" && line.length + 1 + word.length > columns) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return line === "" ? lines : [...lines, line];
}

/** Wrap text with `first` before its first line and blanks of that width before the others; code in colour. */
export function paragraph(text: string, first: string, { color, columns }: FormatOptions): string {
  const { cyan } = paint(color);
  const colored = (line: string): string =>
    color ? line.replaceAll(/`([^`]+)`/g, (_, code: string) => cyan(code)) : line;
  const lines = wrap(text, Math.max(20, columns - first.length));
  return lines
    .map((line, index) => `${index === 0 ? first : " ".repeat(first.length)}${colored(line)}\n`)
    .join("");
}

const LIST_ITEM = /^(?:[-*]|\d+\.) /;

/** Format Markdown for a terminal: paragraphs and lists are wrapped, code blocks kept. */
export function renderMarkdown(markdown: string, indent: string, options: FormatOptions): string {
  const out: string[] = [];
  for (const block of markdown.trim().split(/\n{2,}/)) {
    const [first = ""] = block.split("\n");
    if (first.startsWith("```"))
      out.push(
        block
          .replaceAll(/^```.*\n?/gm, "")
          .trimEnd()
          .replaceAll(/^/gm, `${indent}  `)
          .concat("\n"),
      );
    else
      out.push(
        block
          .split(/\n(?=(?:[-*]|\d+\.) )/)
          .map((item) => renderItem(item, indent, options))
          .join(""),
      );
  }
  return out.join("\n");
}

function renderItem(item: string, indent: string, options: FormatOptions): string {
  const bullet = LIST_ITEM.exec(item)?.[0] ?? "";
  return paragraph(item.slice(bullet.length), `${indent}${bullet}`, options);
}
