import { fail } from "../errors.ts";
import { escapeHtml } from "../filters/text.ts";
import { splitLines } from "../methods.ts";
import {
  asNumber,
  type Callable,
  callable,
  defined,
  dictEntries,
  intArgument,
  isDict,
  str,
  text as textOf,
  truth,
  typeName,
  Undefined,
} from "../values.ts";

const ordinary = (body: (text: string) => unknown): Callable =>
  callable(["value"], (value: unknown) => body(str(value)));

/** Jinja's filters of text that are seldom used. */
export const textFilters: Readonly<Record<string, Callable>> = {
  wordwrap: callable(
    ["value", "width", "break_long_words", "wrapstring", "break_on_hyphens"],
    (value: unknown, width: unknown, long: unknown = true, joiner: unknown = "\n", hyphens: unknown = true) =>
      splitLines(textOf(value))
        .map((line) => wrapText(line, intArgument(width, 79), truth(long), truth(hyphens)).join(str(joiner)))
        .join(str(joiner)),
  ),
  xmlattr: callable(["value", "autospace"], (value: unknown, space: unknown = true) =>
    xmlAttributes(value, truth(space)),
  ),
  urlize: ordinary((text) =>
    text.replace(/\bhttps?:\/\/[^\s<>]+/g, (url) => `<a href="${url}" rel="noopener">${url}</a>`),
  ),
  filesizeformat: callable(["value", "binary"], (value: unknown, binary: unknown = false) =>
    fileSize(asNumber(value) ?? Number(value), truth(binary)),
  ),
};

function xmlAttributes(value: unknown, space: boolean): string {
  if (!isDict(value)) return fail(`xmlattr needs a dict, got ${typeName(defined(value))}`);
  const text = dictEntries(value)
    .filter(([, item]) => item !== null && !(item instanceof Undefined))
    .map(([key, item]) => `${escapeHtml(str(key))}="${escapeHtml(str(item))}"`)
    .join(" ");
  return space && text !== "" ? ` ${text}` : text;
}

function fileSize(size: number, binary: boolean): string {
  const base = binary ? 1024 : 1000;
  const units = binary
    ? ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"]
    : ["kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"];
  if (size === 1) return "1 Byte";
  if (size < base) return `${Math.trunc(size)} Bytes`;
  const power = Math.min(units.length, Math.floor(Math.log(size) / Math.log(base)));
  return `${(size / base ** power).toFixed(1)} ${units[power - 1]}`;
}

/** Split one line into lines of at most `width` columns: at blanks, after hyphens and, if need be, inside words. */
function wrapText(line: string, width: number, breakLongWords: boolean, breakOnHyphens: boolean): string[] {
  const pattern = breakOnHyphens
    ? /\s+|[^\s-]*\p{L}-(?=\p{L}{2})|\S+?(?=\s|$|(?<=\p{L}-)\p{L}{2})/gu
    : /\s+|\S+/gu;
  const chunks = line.match(pattern) ?? [];
  const lines: string[] = [];
  let current = "";
  const flush = (): void => {
    if (current.trimEnd() !== "") lines.push(current.trimEnd());
    current = "";
  };
  for (let chunk of chunks) {
    if (current === "" && lines.length > 0 && chunk.trim() === "") continue;
    if (current.length + chunk.length > width) {
      if (chunk.trim() === "") {
        flush();
        continue;
      }
      if (chunk.length <= width || !breakLongWords) flush();
      while (breakLongWords && current.length + chunk.length > width) {
        const room = Math.max(1, width - current.length);
        current += chunk.slice(0, room);
        chunk = chunk.slice(room);
        flush();
      }
    }
    current += chunk;
  }
  flush();
  return lines;
}
