import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** The project's directory, with a slash at its end. */
export const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** A fenced block. */
export interface Block {
  readonly language: string;
  readonly code: string;
  /** The file it is the content of, when the line before it begins with that file's name and ends in a colon. */
  readonly file: string | undefined;
  /** The reason why the block is only compiled, from a comment before it that begins with `not run:`. */
  readonly notRun: string | undefined;
}

/** The parts of a Markdown file that tests look at. */
export interface Document {
  readonly name: string;
  readonly blocks: readonly Block[];
  /** Text between backticks, outside of blocks. */
  readonly codes: readonly string[];
  /** Targets of links and images. */
  readonly links: readonly string[];
  /** The names of the headings in links. */
  readonly anchors: readonly string[];
  /** The cells of the rows of each table, heads left out. */
  readonly tables: readonly (readonly (readonly string[])[])[];
}

const FENCE = /^```(\w*)[^\n]*\n([\s\S]*?)^```$/gm;
const NOT_RUN_BEFORE = /<!-- not run: (.+) -->\n$/;
const FILE_BEFORE = /(?:^|\n)`([\w./-]+)`[^\n]*:\n\n$/;

/** Reads a Markdown file of the project. */
export function readDocument(name: string): Document {
  const text = readFileSync(`${ROOT}${name}`, "utf8");
  const blocks = [...text.matchAll(FENCE)].map(({ index, 1: language = "", 2: code = "" }): Block => {
    const before = text.slice(0, index);
    return { language, code, file: FILE_BEFORE.exec(before)?.[1], notRun: NOT_RUN_BEFORE.exec(before)?.[1] };
  });
  const prose = text.replaceAll(FENCE, "");
  const all = (pattern: RegExp): readonly string[] =>
    [...prose.matchAll(pattern)].map(([, found = ""]) => found);
  return {
    name,
    blocks,
    codes: all(/`([^`\n]+)`/g),
    links: all(/\]\(([^)\s]+)\)/g),
    anchors: all(/^#+ (.+)$/gm).map(anchorOf),
    tables: prose.split(/\n{2,}/).flatMap((part) => (part.startsWith("| ") ? [rowsOf(part)] : [])),
  };
}

/** As GitHub makes it: lower case, without punctuation, with a hyphen for each space. */
function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replace(/[^\p{L}\p{N} _-]/gu, "")
    .replaceAll(" ", "-");
}

function rowsOf(table: string): readonly (readonly string[])[] {
  const rows = table.trim().split("\n").slice(2);
  return rows.map((row) =>
    row
      .slice(1, -1)
      .split(/(?<!\\)\|/)
      .map((cell) => cell.trim()),
  );
}
