import { structuredPatch } from "diff";
import type { Diff } from "../core/result.ts";
import { dictEntries, isDict, isRecord, keyText, numeric, writeJson } from "../core/values/value.ts";
import type { Environment } from "./reporter.ts";
import { textWidth } from "./rows/layout.ts";
import { safeWhole } from "./rows/sanitize.ts";

// The texts of Ansible's default output: banners, JSON, items, diffs and colours.

/** The colours of Ansible's output, by what they stand for. */
export const COLORS = {
  ok: "0;32",
  changed: "0;33",
  skipped: "0;36",
  failed: "0;31",
  unreachable: "1;31",
  warning: "1;35",
} as const;

/** The name of a colour. */
export type ColorName = keyof typeof COLORS;

/** Paint every line of a text. */
export function paint(text: string, color: ColorName | undefined, colors: boolean): string {
  if (!colors || color === undefined) return text;
  return text
    .split("\n")
    .map((each) => `\x1b[${COLORS[color]}m${each}\x1b[0m`)
    .join("\n");
}

/** Return whether Ansible would colour a stream: when it is forced to, and on terminals. */
export function ansibleColors(stream: { readonly isTTY?: boolean | undefined }, env: Environment): boolean {
  if (isSet(env.ANSIBLE_FORCE_COLOR, false)) return true;
  if (isSet(env.ANSIBLE_NOCOLOR, false) || isSet(env.NO_COLOR, false)) return false;
  return stream.isTTY === true && env.TERM !== "dumb";
}

/** Read a variable that turns something on or off. */
export function isSet(value: string | undefined, standard: boolean): boolean {
  if (value === undefined || value === "") return standard;
  return !/^(?:0|n|no|off|f|false)$/i.test(value);
}

/** Return a title filled up with stars; `columns` is one less than the terminal's width. */
export function banner(title: string, columns: number): string {
  const shown = safeText(title.trim());
  return `\n${shown} ${"*".repeat(Math.max(3, columns - textWidth(shown)))}\n`;
}

/** Make foreign text safe to show, and keep its lines and tabs as they are. */
export function safeText(text: string): string {
  return text.replace(/[^\n\t]+/g, safeWhole);
}

function compareKeys(a: unknown, b: unknown): number {
  const [one, other] = [String(a), String(b)];
  return one < other ? -1 : one > other ? 1 : 0;
}

/** Write a value as JSON with sorted keys, in one line or over several. */
export function sortedJson(value: unknown, isLong: boolean): string {
  return writeJson(value, isLong ? { compareKeys, indent: "    " } : { compareKeys });
}

/** Write an item as Python prints it. */
export function itemText(value: unknown): string {
  return typeof value === "string" ? value : pythonText(value);
}

function pythonText(value: unknown): string {
  if (value === null || value === undefined) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "string") {
    const mark = value.includes("'") && !value.includes('"') ? '"' : "'";
    const body = value
      .replaceAll("\\", "\\\\")
      .replaceAll("\n", "\\n")
      .replaceAll("\r", "\\r")
      .replaceAll("\t", "\\t");
    return `${mark}${mark === "'" ? body.replaceAll("'", "\\'") : body}${mark}`;
  }
  if (Array.isArray(value)) return `[${value.map(pythonText).join(", ")}]`;
  if (isDict(value)) {
    const entries = dictEntries(value).map(([key, each]) => {
      const name = numeric(key) === undefined ? pythonText(keyText(key)) : keyText(key);
      return `${name}: ${pythonText(each)}`;
    });
    return `{${entries.join(", ")}}`;
  }
  return writeJson(value);
}

/** Fold a text into lines of at most `columns`, at its blanks. */
export function foldText(text: string, columns: number): string {
  const lines: string[] = [];
  let last = "";
  for (const word of text.split(/\s+/).filter((each) => each !== "")) {
    const longer = last === "" ? word : `${last} ${word}`;
    if (last !== "" && textWidth(longer) > columns) {
      lines.push(last);
      last = word;
    } else last = longer;
  }
  return [...lines, last].join("\n");
}

/** One side of a difference, with the header that names it. */
interface Side {
  readonly header: string | undefined;
  readonly text: string;
}

/** Comparing longer texts takes too long. */
const MAX_COMPARED = 512 * 1024;
const MAX_COMPARE_MS = 500;

/** Return the differences of a register (`diff`: one or a list) as a unified diff each, and one empty line; "" for none. */
export function diffText(given: unknown, colors: boolean): string {
  const texts = [given]
    .flat()
    .filter(isRecord)
    .map((each) => oneDiff(each, colors));
  return texts.every((text) => text === "") ? "" : `${texts.join("")}\n`;
}

function oneDiff(diff: Readonly<Record<string, unknown>>, colors: boolean): string {
  const { prepared } = diff;
  if (typeof prepared === "string") return `${safeText(prepared)}\n`;
  if (!("before" in diff) && !("after" in diff)) return "";
  const [before, after] = [sideOf(diff, "before"), sideOf(diff, "after")];
  if (before.text === after.text) return "";
  if (before.text.length + after.text.length > MAX_COMPARED)
    return "diff skipped: the texts are too long to compare\n";
  const patch = structuredPatch("", "", before.text, after.text, undefined, undefined, {
    context: 3,
    timeout: MAX_COMPARE_MS,
  });
  if (patch === undefined) return "diff skipped: comparing the texts takes too long\n";
  const header = (sign: string, name: string, side: Side): string =>
    `${sign} ${name}${side.header === undefined ? "" : `: ${side.header}`}`;
  const lines = [header("---", "before", before), header("+++", "after", after)];
  for (const { oldStart, oldLines, newStart, newLines, lines: own } of patch.hunks)
    lines.push(`@@ -${range(oldStart, oldLines)} +${range(newStart, newLines)} @@`, ...own);
  return lines.map((each) => `${paint(safeText(each), colorOf(each), colors)}\n`).join("");
}

function colorOf(line: string): ColorName | undefined {
  if (line.startsWith("+")) return "ok";
  if (line.startsWith("-")) return "failed";
  return line.startsWith("@@") ? "skipped" : undefined;
}

/** An empty range starts at the line before it, and a range of one line tells no length. */
function range(start: number, lines: number): string {
  if (lines === 1) return String(start);
  return `${lines === 0 ? start - 1 : start},${lines}`;
}

function sideOf(diff: Readonly<Record<string, unknown>>, name: "before" | "after"): Side {
  const value = diff[name];
  const text =
    value === undefined || value === null
      ? ""
      : typeof value === "string"
        ? value
        : `${sortedJson(value, true)}\n`;
  const header = diff[`${name}_header`];
  // A file that is not there has no name.
  return { text, header: typeof header === "string" && text !== "" ? header : undefined };
}

/** Return a difference of an action as a register has it. */
export function registerDiff({ path, before, after, attributes, binary }: Diff): Record<string, unknown> {
  if (before !== undefined || after !== undefined)
    return { before_header: path, after_header: path, before: before ?? "", after: after ?? "" };
  if (binary === true) return { prepared: `diff skipped: ${path} is no text, or too long to show` };
  const side = (index: 0 | 1): Record<string, unknown> => ({
    path,
    ...Object.fromEntries(Object.entries(attributes ?? {}).map(([name, values]) => [name, values[index]])),
  });
  return { before: side(0), after: side(1) };
}
