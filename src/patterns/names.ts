import * as net from "node:net";
import { printable, type SourceLocation, VolleyError } from "../core/errors.ts";

// Names of hosts and groups: ranges in them, rules for them, and node sets.

/** The names that mean this machine where the inventory does not have them. */
export const MACHINE_NAMES: readonly string[] = ["localhost", "127.0.0.1", "::1"];

const BRACKETS = /\[([^[\]]*)\]/;
const ALL_BRACKETS = /\[([^[\]]*)\]/g;
const RANGE = /^(\d*|[A-Za-z]):(\d+|[A-Za-z])(?::(\d+))?$/;
/** The limit for the names of one range, and of one name with several ranges. */
const MAX_NAMES = 65_536;
/** The limit for ranges in one name. */
const MAX_RANGES = 32;

/** A piece of ClusterShell's ranges between commas: a number, or two, with a step. */
const PIECE = /^(\d+)(?:-(\d+)(?:\/(\d+))?)?$/;
/** Two pieces, or one piece that is more than a number. */
const PIECES = /^\d+(?:-\d+(?:\/\d+)?|,)[\d,/-]*$/;

/**
 * Tell whether a name in a pattern holds a range: `[01:20]`, or ClusterShell's `[01-17,19]`. Brackets around single
 * digits, `[1-3]`, are a glob's character class, which stands for the same names.
 */
export function hasRange(text: string): boolean {
  return [...text.matchAll(ALL_BRACKETS)].some(
    ([, inner = ""]) => RANGE.test(inner) || (PIECES.test(inner) && /\d\d|\//.test(inner)),
  );
}

function numbers(from: string, to: string, step: number, fail: (problem: string) => never): string[] {
  const padded = from.length > 1 && from.startsWith("0");
  if (padded && from.length !== to.length) {
    fail(`both ends of [${from}:${to}] must have as many digits, because the first begins with 0`);
  }
  const first = Number(from);
  const last = Number(to);
  if (first > last) fail(`[${from}:${to}] runs backwards`);
  if ((last - first) / step >= MAX_NAMES) fail(`[${from}:${to}] is more than ${MAX_NAMES} hosts`);
  const names: string[] = [];
  for (let value = first; value <= last; value += step) {
    names.push(padded ? String(value).padStart(from.length, "0") : String(value));
  }
  return names;
}

function letters(from: string, to: string, step: number, fail: (problem: string) => never): string[] {
  const upper = (letter: string): boolean => letter === letter.toUpperCase();
  if (upper(from) !== upper(to)) fail(`[${from}:${to}] mixes upper and lower case`);
  if (from > to) fail(`[${from}:${to}] runs backwards`);
  const names: string[] = [];
  for (let code = from.charCodeAt(0); code <= to.charCodeAt(0); code += step)
    names.push(String.fromCharCode(code));
  return names;
}

function ansibleRange(inner: string, fail: (problem: string) => never): string[] {
  const range = RANGE.exec(inner);
  if (range === null) return fail(`[${inner}] is no range; ranges are written [01:20], [a:f] or [1:9:2]`);
  const [, written, to, stepText] = range;
  const from = written === "" ? "0" : written!;
  const step = stepText === undefined ? 1 : Number(stepText);
  if (step === 0) fail(`the step of [${inner}] is 0`);
  const numeric = /^\d+$/.test(from);
  if (numeric !== /^\d+$/.test(to!)) fail(`[${inner}] mixes digits and letters`);
  return (numeric ? numbers : letters)(from, to!, step, fail);
}

function pieces(inner: string, fail: (problem: string) => never): string[] {
  const names = inner.split(",").flatMap((piece) => {
    const [, from, to = from, step = "1"] = PIECE.exec(piece) ?? [];
    if (from === undefined)
      return fail(`"${piece}" in [${inner}] is neither a number nor a range such as 01-17`);
    if (Number(step) === 0) return fail(`the step of [${inner}] is 0`);
    return numbers(from, to!, Number(step), (problem) => fail(problem.replace(/(\d):(\d)/, "$1-$2")));
  });
  return [...new Set(names)];
}

/**
 * Expand the ranges in a name, as Ansible's inventories write them (`web[01:20]`, `db-[a:c]`, `[1:9:2]`) and as
 * ClusterShell does (`web[01-17,19]`, `[0-8/2]`); several ranges multiply. `fail` gets the fault, and must throw.
 */
export function expandRanges(text: string, fail: (problem: string) => never): readonly string[] {
  return expand(text, fail, 0);
}

function expand(text: string, fail: (problem: string) => never, ranges: number): readonly string[] {
  const match = BRACKETS.exec(text);
  if (match === null) return [text];
  if (ranges === MAX_RANGES) fail(`it holds more than ${MAX_RANGES} ranges`);
  const middles = PIECES.test(match[1]!) ? pieces(match[1]!, fail) : ansibleRange(match[1]!, fail);
  const head = text.slice(0, match.index);
  const tails = expand(text.slice(match.index + match[0].length), fail, ranges + 1);
  if (middles.length * tails.length > MAX_NAMES) fail(`it stands for more than ${MAX_NAMES} hosts`);
  return middles.flatMap((middle) => tails.map((tail) => `${head}${middle}${tail}`));
}

const NAME = /^[\p{L}\p{N}_][\p{L}\p{N}_.+-]*$/u;
/** The longest name of a host or group: that of a name in the DNS (RFC 1035) and of a file in host_vars. */
const MAX_NAME = 255;

/** True for an IPv6 address. Node's own test takes milliseconds to be made ready, which names without a colon need not. */
export function isIPv6(text: string): boolean {
  return text.includes(":") && net.isIPv6(text);
}

function splitPort(text: string): readonly [name: string, port: string | undefined] {
  if (isIPv6(text)) return [text, undefined];
  const bracketed = /^\[([^\]]+)\](?::(\d+))?$/.exec(text);
  if (bracketed !== null && isIPv6(bracketed[1]!)) return [bracketed[1]!, bracketed[2]];
  // A colon inside brackets belongs to a range.
  const match = /^((?:[^:[\]]|\[[^\]]*\])+):(\d+)$/.exec(text);
  return match === null ? [text, undefined] : [match[1]!, match[2]];
}

/** Say what is wrong with a name. Without a line it stands in a list on the command line, which has no place for vars. */
function describeProblem(name: string, { line }: SourceLocation): string {
  if (name.includes("@"))
    return `it holds a user; ${line === undefined ? "give the user with -u" : "set ansible_user instead"}`;
  if (/\s/.test(name)) return "it holds a space";
  if (name.includes("/")) return "it holds a slash";
  if (name.includes("=")) return "it looks like a var; vars of a group stand in [group:vars]";
  if (name === "") return "it is empty";
  if (name.length > MAX_NAME) return `it is longer than ${MAX_NAME} characters`;
  return "a name is letters, digits, dots, dashes and underscores, and begins with a letter or digit";
}

/**
 * Return the hosts that a written name stands for: `web1`, `web1:2222`, `web[01:20]`, `2001:db8::1`,
 * `[2001:db8::1]:22`; and the port written behind it. Fail with `INVENTORY_INVALID`.
 */
export function parseHostName(
  text: string,
  location: SourceLocation,
): { readonly names: readonly string[]; readonly port: number | undefined } {
  const fail = (problem: string): never => {
    throw new VolleyError(
      "INVENTORY_INVALID",
      `"${printable(text, MAX_NAME)}" is not a host name: ${printable(problem)}`,
      { location },
    );
  };
  const [written, portText] = splitPort(text);
  const names = isIPv6(written) ? [written] : expandRanges(written, fail);
  for (const name of names)
    if (name.length > MAX_NAME || (!NAME.test(name) && !isIPv6(name))) fail(describeProblem(name, location));
  const port = portText === undefined ? undefined : Number(portText);
  if (port !== undefined && (port < 1 || port > 65_535)) fail(`port ${port} is not between 1 and 65535`);
  return { names, port };
}

/** Refuse a group name that no pattern could name. Fail with `INVENTORY_INVALID`. */
export function checkGroupName(name: string, location: SourceLocation): void {
  if (NAME.test(name) && name.length <= MAX_NAME) return;
  throw new VolleyError(
    "INVENTORY_INVALID",
    `"${printable(name, MAX_NAME)}" is not a group name: ${name.length > MAX_NAME ? `it is longer than ${MAX_NAME} characters` : "it must be letters, digits, dots, dashes and underscores, and begin with a letter or digit"}`,
    { location },
  );
}

/** A run of digits that is exact as a number; longer runs are text. */
const NUMBER = /\d{1,15}/g;
/** The limit for the names of one set. */
const MAX_SET_NAMES = 1_000_000;
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
    if (set.some((name) => name.length > MAX_NAME)) fail(`a name is longer than ${MAX_NAME} characters`);
    total += set.length;
    if (total > MAX_SET_NAMES) fail(`with what stands before it, it is more than ${MAX_SET_NAMES} names`);
    names = combine(names, set, operator);
  }
  return [...names];
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
    case "&": {
      const kept = new Set(set);
      return new Set([...names].filter((name) => kept.has(name)));
    }
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
