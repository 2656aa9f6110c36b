import { printable, VolleyError } from "../core/errors.ts";

import { expandRanges } from "./names.ts";

/** A run of digits that is exact as a number; longer runs are text. */
const NUMBER = /\d{1,15}/g;
/** The limit of inventories. */
const MAX_NAME_LENGTH = 255;
/** The limit for the names of one set. */
const MAX_NAMES = 1_000_000;
const OPERATORS = [",", "!", "&", "^"] as const;
type Operator = (typeof OPERATORS)[number];

/**
 * Return the names that a node set of ClusterShell stands for, each once: `web[01-17,19],db[1-3]`, `rack[1-2]n[1-4]`,
 * blanks or commas between sets. From left to right, `a!b` is a without b, `a&b` the names in both, `a^b` the names in
 * one of them. Fail with `PATTERN_UNKNOWN`.
 */
export function parseNodeSet(text: string): readonly string[] {
  let names = new Set<string>();
  let total = 0;
  for (const { operator, term } of cut(text)) {
    const fail = (problem: string): never => {
      throw new VolleyError(
        "PATTERN_UNKNOWN",
        `"${printable(term, 300)}" is not a node set: ${printable(problem)}`,
      );
    };
    // A single number needs no brackets, but may have them.
    const set = expandRanges(term.replace(/\[(\d+)\]/g, "$1"), fail);
    if (set.some((name) => name.length > MAX_NAME_LENGTH))
      fail(`a name is longer than ${MAX_NAME_LENGTH} characters`);
    total += set.length;
    if (total > MAX_NAMES) fail(`with what stands before it, it is more than ${MAX_NAMES} names`);
    names = combine(names, set, operator);
  }
  return [...names];
}

/** Return the names of both, each once. */
export function unionOf(one: readonly string[], other: readonly string[]): readonly string[] {
  return [...new Set([...one, ...other])];
}

/** Return the names of the first that the second lacks. */
export function differenceOf(one: readonly string[], other: readonly string[]): readonly string[] {
  const dropped = new Set(other);
  return one.filter((name) => !dropped.has(name));
}

/** Return the names of the first that the second has too. */
export function intersectionOf(one: readonly string[], other: readonly string[]): readonly string[] {
  const kept = new Set(other);
  return one.filter((name) => kept.has(name));
}

/** Apply an operator; change `names` where possible, because a set may have a term for every name. */
function combine(names: Set<string>, set: readonly string[], operator: Operator): Set<string> {
  switch (operator) {
    case ",":
      for (const name of set) names.add(name);
      return names;
    case "!":
      for (const name of set) names.delete(name);
      return names;
    case "&":
      return new Set(intersectionOf([...names], set));
    case "^":
      for (const name of new Set(set)) if (!names.delete(name)) names.add(name);
      return names;
  }
}

function cut(text: string): readonly { readonly operator: Operator; readonly term: string }[] {
  const terms: { operator: Operator; term: string }[] = [];
  let operator: Operator = ",";
  let term = "";
  let depth = 0;
  const finish = (): void => {
    if (term !== "") terms.push({ operator, term });
    if (term !== "") operator = ",";
    term = "";
  };
  for (const character of text) {
    if (character === "[") depth++;
    if (character === "]") depth--;
    const separator = depth === 0 && (/\s/.test(character) || OPERATORS.some((each) => each === character));
    if (!separator) {
      term += character;
      continue;
    }
    finish();
    // Blanks around an operator belong to it.
    if (!/\s/.test(character)) operator = character as Operator;
  }
  finish();
  return terms;
}

/** A number of a name, as it is written. */
interface Digits {
  readonly value: number;
  readonly text: string;
}

/** Names that differ in their numbers alone: for each place, its numbers. */
type Block = readonly (readonly Digits[])[];

/** Write names as the shortest node set found: `web[01-17,19],db[1-3]`. A set takes the place of its first name. */
export function formatNodeSet(names: readonly string[]): string {
  return foldNodeSet(names).join(",");
}

/** Return the sets of {@link formatNodeSet} one by one. */
export function foldNodeSet(names: readonly string[]): readonly string[] {
  const skeletons = new Map<string, Digits[][]>();
  for (const name of new Set(names)) {
    const digits = [...name.matchAll(NUMBER)].map(([text]) => ({ value: Number(text), text }));
    // No host's name holds a NUL.
    const skeleton = name.replace(NUMBER, "\0");
    const group = skeletons.get(skeleton);
    if (group === undefined) skeletons.set(skeleton, [digits]);
    else group.push(digits);
  }
  return [...skeletons].flatMap(([skeleton, group]) => {
    const places = skeleton.split("\0");
    return samePadding(group).flatMap((padded) => mergeBlocks(padded).map((block) => print(places, block)));
  });
}

/** In a place with leading zeros, only numbers of the same length share a range. */
function samePadding(group: readonly (readonly Digits[])[]): readonly (readonly (readonly Digits[])[])[] {
  const places = group[0]!.length;
  const padded = Array.from({ length: places }, (_, place) =>
    group.some((digits) => digits[place]!.text.length > 1 && digits[place]!.text.startsWith("0")),
  );
  if (!padded.includes(true)) return [group];
  const classes = new Map<string, (readonly Digits[])[]>();
  for (const digits of group) {
    const key = digits.map(({ text }, place) => (padded[place] ? text.length : 0)).join();
    const members = classes.get(key);
    if (members === undefined) classes.set(key, [digits]);
    else members.push(digits);
  }
  return [...classes.values()];
}

/** Join names that differ in one place only, the last place first, then the joined blocks. */
function mergeBlocks(group: readonly (readonly Digits[])[]): readonly Block[] {
  let blocks: readonly Block[] = group.map((digits) => digits.map((each) => [each]));
  for (let place = group[0]!.length - 1; place >= 0; place--) {
    const merged = new Map<string, { readonly block: Block; readonly numbers: Digits[] }>();
    for (const block of blocks) {
      const key = block.map((numbers, index) => (index === place ? "" : numbersKey(numbers))).join(";");
      const same = merged.get(key);
      if (same === undefined) merged.set(key, { block, numbers: [...block[place]!] });
      else for (const number of block[place]!) same.numbers.push(number);
    }
    blocks = [...merged.values()].map(({ block, numbers }) => block.with(place, sorted(numbers)));
  }
  return blocks;
}

function sorted(numbers: readonly Digits[]): readonly Digits[] {
  return [...numbers].sort((one, other) => one.value - other.value);
}

function numbersKey(numbers: readonly Digits[]): string {
  return numbers.map(({ text }) => text).join();
}

function print(places: readonly string[], block: Block): string {
  return places
    .map((text, place) => text + (block[place] === undefined ? "" : printNumbers(block[place])))
    .join("");
}

function printNumbers(numbers: readonly Digits[]): string {
  if (numbers.length === 1) return numbers[0]!.text;
  const ranges: { from: string; to: string; last: number }[] = [];
  for (const { value, text } of numbers) {
    const range = ranges.at(-1);
    if (range !== undefined && value === range.last + 1) {
      range.to = text;
      range.last = value;
    } else ranges.push({ from: text, to: text, last: value });
  }
  return `[${ranges.map(({ from, to }) => (from === to ? from : `${from}-${to}`)).join(",")}]`;
}
