import { fail } from "./errors.ts";
import { formatFields } from "./format.ts";
import { equals, order } from "./operators.ts";
import {
  type Callable,
  callable,
  type Dict,
  defined,
  dictDelete,
  dictEntries,
  dictGet,
  dictKeys,
  dictSet,
  Float,
  hashable,
  intArgument,
  isDict,
  isInt,
  isList,
  iterate,
  type Keywords,
  repr,
  str,
  truth,
  tuple,
  typeName,
  Undefined,
} from "./values.ts";

const SPACE = /\s+/u;

/** Split as Python's `split` does: at runs of blanks without a separator. */
export function splitText(text: string, separator: unknown = null, limit: unknown = -1): string[] {
  const most = intArgument(limit, -1);
  if (separator === null) {
    let rest = text.trimStart();
    const parts: string[] = [];
    while (rest !== "" && (most < 0 || parts.length < most)) {
      const [word = ""] = rest.split(SPACE, 1);
      parts.push(word);
      rest = rest.slice(word.length).trimStart();
    }
    return rest === "" ? parts : [...parts, rest];
  }
  const by = str(separator);
  if (by === "") return fail("empty separator");
  const parts = text.split(by);
  return most < 0 || parts.length <= most + 1 ? parts : [...parts.slice(0, most), parts.slice(most).join(by)];
}

function splitFromRight(text: string, separator: unknown = null, limit: unknown = -1): string[] {
  const most = intArgument(limit, -1);
  if (most < 0) return splitText(text, separator);
  if (separator === null) {
    const reversed = splitText([...text].reverse().join(""), null, most);
    return reversed.map((part) => [...part].reverse().join("")).reverse();
  }
  const parts = text.split(str(separator));
  const head = parts.length - most;
  return head <= 1 ? parts : [parts.slice(0, head).join(str(separator)), ...parts.slice(head)];
}

function stripSet(chars: unknown): (char: string) => boolean {
  if (chars === undefined || chars === null) return (char) => /\s/u.test(char);
  const set = new Set(str(chars));
  return (char) => set.has(char);
}

/** Strip as Python's `strip`, `lstrip` and `rstrip` do: the characters are a set. */
export function strip(text: string, chars: unknown, sides: "both" | "left" | "right" = "both"): string {
  const drop = stripSet(chars);
  const items = [...text];
  let [start, end] = [0, items.length];
  if (sides !== "right") while (start < end && drop(items[start] ?? "")) start++;
  if (sides !== "left") while (end > start && drop(items[end - 1] ?? "")) end--;
  return items.slice(start, end).join("");
}

// The characters at which Python's splitlines ends a line.
const LINE_BREAKS = "\\n\\r\\v\\f\\x1c-\\x1e\\x85\\u2028\\u2029";
const LINE = new RegExp(`[^${LINE_BREAKS}]*(?:\\r\\n|[${LINE_BREAKS}])|[^${LINE_BREAKS}]+$`, "g");
const LINE_END = new RegExp(`(?:\\r\\n|[${LINE_BREAKS}])$`);

/** Split as Python's `splitlines` does. */
export function splitLines(text: string, keepEnds: unknown = false): string[] {
  const lines = text.match(LINE) ?? [];
  return truth(keepEnds) ? [...lines] : lines.map((line) => line.replace(LINE_END, ""));
}

/** Write the first letter large and the others small, as Python's `capitalize` does. */
export function capitalize(text: string): string {
  const [first = "", ...rest] = text;
  return first.toUpperCase() + rest.join("").toLowerCase();
}

function affix(test: (text: string, part: string) => boolean) {
  return (self: string, part: unknown): boolean => {
    if (typeof part === "string") return test(self, part);
    return isList(part)
      ? part.some((one) => test(self, str(one)))
      : fail(`expected a string or tuple, got ${typeName(defined(part))}`);
  };
}

function window(self: string, start: unknown, end: unknown): { text: string; offset: number } {
  const offset = intArgument(start, 0);
  return {
    text: self.slice(offset, end === undefined ? undefined : intArgument(end, 0)),
    offset: offset < 0 ? Math.max(0, self.length + offset) : offset,
  };
}

function find(self: string, part: unknown, start?: unknown, end?: unknown): number {
  const { text, offset } = window(self, start, end);
  const index = text.indexOf(str(part));
  return index < 0 ? -1 : [...self.slice(0, index + offset)].length;
}

function pad(self: string, width: unknown, fill: unknown, share: (missing: number) => number): string {
  const missing = Math.max(0, intArgument(width, 0) - [...self].length);
  const char = fill === undefined ? " " : str(fill);
  const left = share(missing);
  return char.repeat(left) + self + char.repeat(missing - left);
}

function replace(self: string, old: unknown, by: unknown, count: unknown = -1): string {
  const most = intArgument(count, -1);
  if (most < 0) return self.replaceAll(str(old), () => str(by));
  let left = most;
  return self.replaceAll(str(old), (found) => (left-- > 0 ? str(by) : found));
}

function partition(self: string, separator: unknown, fromRight: boolean): unknown {
  const by = str(separator);
  const index = fromRight ? self.lastIndexOf(by) : self.indexOf(by);
  if (index < 0) return fromRight ? tuple("", "", self) : tuple(self, "", "");
  return tuple(self.slice(0, index), by, self.slice(index + by.length));
}

/** Return the value at a dotted path of another. */
type PathOf = (value: unknown, path: string) => unknown;

function fieldValue(pathOf: PathOf, args: readonly unknown[], named: unknown, field: string): unknown {
  const [head = "", ...path] = field.replace(/\[([^\]]*)\]/g, ".$1").split(".");
  const value = /^\d+$/.test(head) ? args[Number(head)] : isDict(named) ? dictGet(named, head) : undefined;
  const root = value === undefined ? new Undefined(`the format string needs a value for '${head}'`) : value;
  return path.length === 0 ? root : pathOf(root, path.join("."));
}

const all = (pattern: RegExp) => callable(["self"], (self: string) => pattern.test(self));
const self = (body: (text: string) => unknown) => callable(["self"], body);

/** Python's methods of str; the first argument is the text. `pathOf` finds the values of a format's fields. */
export const stringMethods = (pathOf: PathOf): Readonly<Record<string, Callable>> => ({
  split: callable(["self", "sep", "maxsplit"], splitText),
  rsplit: callable(["self", "sep", "maxsplit"], splitFromRight),
  splitlines: callable(["self", "keepends"], splitLines),
  join: callable(["self", "items"], (text: string, items: unknown) =>
    iterate(items)
      .map((item) =>
        typeof defined(item) === "string" ? item : fail(`expected str instance, ${typeName(item)} found`),
      )
      .join(text),
  ),
  strip: callable(["self", "chars"], (text: string, chars: unknown) => strip(text, chars)),
  lstrip: callable(["self", "chars"], (text: string, chars: unknown) => strip(text, chars, "left")),
  rstrip: callable(["self", "chars"], (text: string, chars: unknown) => strip(text, chars, "right")),
  replace: callable(["self", "old", "new", "count"], replace),
  upper: self((text) => text.toUpperCase()),
  lower: self((text) => text.toLowerCase()),
  casefold: self((text) => text.toLowerCase().replaceAll("ß", "ss")),
  capitalize: self(capitalize),
  title: self((text) => text.replace(/\p{L}+/gu, capitalize)),
  swapcase: self((text) =>
    text.replace(/\p{L}/gu, (char) =>
      char === char.toUpperCase() ? char.toLowerCase() : char.toUpperCase(),
    ),
  ),
  startswith: callable(
    ["self", "prefix"],
    affix((text, part) => text.startsWith(part)),
  ),
  endswith: callable(
    ["self", "suffix"],
    affix((text, part) => text.endsWith(part)),
  ),
  removeprefix: callable(["self", "prefix"], (text: string, part: string) =>
    text.startsWith(part) ? text.slice(part.length) : text,
  ),
  removesuffix: callable(["self", "suffix"], (text: string, part: string) =>
    part !== "" && text.endsWith(part) ? text.slice(0, -part.length) : text,
  ),
  find: callable(["self", "sub", "start", "end"], find),
  rfind: callable(["self", "sub"], (text: string, part: unknown) => text.lastIndexOf(str(part))),
  index: callable(
    ["self", "sub", "start", "end"],
    (text: string, part: unknown, start: unknown, end: unknown) => {
      const found = find(text, part, start, end);
      return found < 0 ? fail("substring not found") : found;
    },
  ),
  count: callable(["self", "sub"], (text: string, part: unknown) =>
    part === "" ? [...text].length + 1 : text.split(str(part)).length - 1,
  ),
  center: callable(["self", "width", "fillchar"], (text: string, width: unknown, fill: unknown) =>
    pad(text, width, fill, (missing) => (missing >> 1) + (missing & intArgument(width, 0) & 1)),
  ),
  ljust: callable(["self", "width", "fillchar"], (text: string, width: unknown, fill: unknown) =>
    pad(text, width, fill, () => 0),
  ),
  rjust: callable(["self", "width", "fillchar"], (text: string, width: unknown, fill: unknown) =>
    pad(text, width, fill, (missing) => missing),
  ),
  zfill: callable(["self", "width"], (text: string, width: unknown) => {
    const [, sign = "", digits = ""] = /^([-+]?)([\s\S]*)$/.exec(text) ?? [];
    return sign + digits.padStart(intArgument(width, 0) - sign.length, "0");
  }),
  expandtabs: callable(["self", "tabsize"], (text: string, size: unknown) => {
    const every = intArgument(size, 8);
    let column = 0;
    return text.replace(/[\s\S]/gu, (char) => {
      if (char !== "\t") {
        column = char === "\n" ? 0 : column + 1;
        return char;
      }
      const blanks = every - (column % every);
      column += blanks;
      return " ".repeat(blanks);
    });
  }),
  partition: callable(["self", "sep"], (text: string, by: unknown) => partition(text, by, false)),
  rpartition: callable(["self", "sep"], (text: string, by: unknown) => partition(text, by, true)),
  format: ([text, ...args], named) =>
    formatFields(text as string, (field) => fieldValue(pathOf, args, named, field)),
  format_map: callable(["self", "mapping"], (text: string, mapping: unknown) =>
    formatFields(text, (field) => fieldValue(pathOf, [], mapping, field)),
  ),
  encode: callable(["self", "encoding", "errors"], (text: string) => text),
  decode: callable(["self", "encoding", "errors"], (text: string) => text),
  translate: callable(["self", "table"], (text: string, table: unknown) =>
    [...text]
      .map((char) => {
        const to = isDict(table) ? dictGet(table, char.codePointAt(0)) : undefined;
        return to === undefined
          ? char
          : to === null
            ? ""
            : isInt(to)
              ? String.fromCodePoint(Number(to))
              : str(to);
      })
      .join(""),
  ),
  isdigit: all(/^\p{Nd}+$/u),
  isdecimal: all(/^\p{Nd}+$/u),
  isnumeric: all(/^\p{N}+$/u),
  isalpha: all(/^\p{L}+$/u),
  isalnum: all(/^[\p{L}\p{N}]+$/u),
  isspace: all(/^\s+$/u),
  isupper: self((text) => /\p{Lu}/u.test(text) && !/\p{Ll}/u.test(text)),
  islower: self((text) => /\p{Ll}/u.test(text) && !/\p{Lu}/u.test(text)),
  istitle: self((text) => /\p{L}/u.test(text) && text === text.replace(/\p{L}+/gu, capitalize)),
  isidentifier: all(/^[\p{L}_][\p{L}\p{N}_]*$/u),
});

function position(list: readonly unknown[], value: unknown, start: unknown): number {
  const from = intArgument(start, 0);
  const index = list.findIndex((item, at) => at >= from && equals(item, value));
  return index < 0 ? fail(`${repr(value)} is not in list`) : index;
}

/** Python's methods of list (and, where they do not change it, of tuple); the first argument is the list. */
export const listMethods: Readonly<Record<string, Callable>> = {
  append: callable(["self", "value"], (self: unknown[], value: unknown) => {
    self.push(value);
    return null;
  }),
  extend: callable(["self", "values"], (self: unknown[], values: unknown) => {
    self.push(...iterate(values));
    return null;
  }),
  insert: callable(["self", "index", "value"], (self: unknown[], index: unknown, value: unknown) => {
    self.splice(intArgument(index, 0), 0, value);
    return null;
  }),
  remove: callable(["self", "value"], (self: unknown[], value: unknown) => {
    self.splice(position(self, value, 0), 1);
    return null;
  }),
  pop: callable(["self", "index"], (self: unknown[], index: unknown) => {
    const at = intArgument(index, -1);
    if (self.length === 0) return fail("pop from empty list");
    const found = at < 0 ? self.length + at : at;
    return found in self ? self.splice(found, 1)[0] : fail("pop index out of range");
  }),
  clear: callable(["self"], (self: unknown[]) => {
    self.length = 0;
    return null;
  }),
  copy: callable(["self"], (self: unknown[]) => [...self]),
  count: callable(
    ["self", "value"],
    (self: unknown[], value: unknown) => self.filter((item) => equals(item, value)).length,
  ),
  index: callable(["self", "value", "start"], position),
  reverse: callable(["self"], (self: unknown[]) => {
    self.reverse();
    return null;
  }),
  sort: callable(["self", "reverse"], (self: unknown[], reverse: unknown = false) => {
    const direction = truth(reverse) ? -1 : 1;
    self.sort((a, b) => direction * order(a, b));
    return null;
  }),
};

function update(target: Dict, other: unknown, keywords: Keywords): null {
  if (other !== undefined) {
    const pairs = isDict(other)
      ? dictEntries(other)
      : iterate(other).map((pair) => iterate(pair) as [unknown, unknown]);
    for (const [key, value] of pairs) dictSet(target, key, value);
  }
  for (const [key, value] of Object.entries(keywords)) dictSet(target, key, value);
  return null;
}

function take(dict: Dict, key: unknown, fallback: unknown): unknown {
  const value = dictGet(dict, key);
  dictDelete(dict, key);
  return (
    value ??
    (value === null
      ? null
      : (fallback ?? (fallback === null ? null : fail(`the dict has no key ${repr(key)}`))))
  );
}

/** Python's methods of dict; the first argument is the dict. */
export const dictMethods: Readonly<Record<string, Callable>> = {
  keys: callable(["self"], (self: Dict) => dictKeys(self)),
  values: callable(["self"], (self: Dict) => dictEntries(self).map(([, value]) => value)),
  items: callable(["self"], (self: Dict) => dictEntries(self).map(([key, value]) => tuple(key, value))),
  get: callable(["self", "key", "default"], (self: Dict, key: unknown, fallback: unknown = null) => {
    const value = dictGet(self, hashable(key));
    return value === undefined ? fallback : value;
  }),
  update: ([self, other], keywords) => update(self as Dict, other, keywords),
  copy: callable(["self"], (self: Dict) => new Map(dictEntries(self))),
  pop: callable(["self", "key", "default"], take),
  popitem: callable(["self"], (self: Dict) => {
    const [key, value] = dictEntries(self).at(-1) ?? fail("popitem(): the dict is empty");
    dictDelete(self, key);
    return tuple(key, value);
  }),
  setdefault: callable(["self", "key", "default"], (self: Dict, key: unknown, fallback: unknown = null) => {
    if (dictGet(self, key) === undefined) dictSet(self, key, fallback);
    return dictGet(self, key);
  }),
  clear: callable(["self"], (self: Dict) => {
    for (const key of dictKeys(self)) dictDelete(self, key);
    return null;
  }),
};

/** Python's methods of int and float that templates use; the first argument is the number. */
export const numberMethods: Readonly<Record<string, Callable>> = {
  is_integer: callable(["self"], (self: unknown) => isInt(self) || self instanceof Float),
  bit_length: callable(["self"], (self: unknown) =>
    isInt(self) && Number(self) !== 0 ? BigInt(self).toString(2).replace("-", "").length : 0,
  ),
};
