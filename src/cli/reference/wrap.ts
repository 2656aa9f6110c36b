import { type FormatOptions, paint } from "../../inventory/format.ts";

// What is between backticks stays on one line, so that it can be coloured line by line.
const WORD = /(?:`[^`\n]*`|[^\s`])+|\S+/g;

/** Breaks text into lines of at most `columns` characters; what is longer than a line stays whole. */
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

/** Wrapped text: `first` before its first line, blanks as wide before the others; code in colour where there is any. */
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

/** Markdown for a terminal: paragraphs and lists are wrapped, code blocks kept as they are. */
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
