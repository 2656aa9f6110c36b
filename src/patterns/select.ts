import { didYouMean, isVolleyError, printable, VolleyError } from "../core/errors.ts";
import { matchesGlob, setGlobPieces } from "../core/unix/shell.ts";
import { pythonRegex } from "../core/values/python-regex.ts";
import { within } from "../system/endable.ts";
import { expandRanges, hasRange, isIPv6, MACHINE_NAMES } from "./names.ts";

// Patterns: the names that a pattern selects, and the parts of a pattern.

/** The names of an inventory's hosts, and the hosts of its groups, `all` included. */
export interface Names {
  readonly hosts: ReadonlyMap<string, unknown>;
  readonly groups: ReadonlyMap<string, { readonly name: string; readonly hosts: readonly string[] }>;
  /** The sources that lack here, each with the reason. */
  readonly passedOver?: readonly string[];
}

function matchParts(
  inventory: Names,
  pattern: string,
  parts: readonly PatternPart[],
  onUnknown: SelectOptions["onUnknown"],
): ReadonlyMap<string, ReadonlySet<string>> {
  const matches = new Map<string, ReadonlySet<string>>();
  for (const { text } of parts) {
    try {
      const implicit =
        MACHINE_NAMES.includes(text) && !inventory.hosts.has(text) && !inventory.groups.has(text);
      matches.set(text, new Set(implicit ? [text] : matchPart(inventory, text)));
    } catch (thrown) {
      if (isVolleyError(thrown) && onUnknown !== undefined) {
        onUnknown(thrown.message);
        matches.set(text, new Set());
        continue;
      }
      if (!isVolleyError(thrown) || parts.length === 1) throw thrown;
      const { code, message, cause, hint } = thrown;
      throw new VolleyError(code, `in the pattern "${printable(pattern, 300)}": ${message}`, {
        cause,
        ...(hint === undefined ? {} : { hint }),
      });
    }
  }
  return matches;
}

/** Options of selecting hosts. */
export interface SelectOptions {
  /** Called for a part of a pattern that names nothing, which is then passed over as in Ansible. Default: it is refused. */
  readonly onUnknown?: ((problem: string) => void) | undefined;
}

/**
 * Return the names of the hosts that a pattern stands for: names, groups, `all`, globs, `~regex`, ranges, `a:b` and
 * `a,b` for both, `:&c` for those also in c, `:!d` for those not in d. As in Ansible they come in the pattern's order,
 * and hosts of a group in the group's. `localhost` is known even if the inventory lacks it. A group without hosts gives
 * none. Fail with `PATTERN_UNKNOWN` for a part that names nothing.
 */
export function selectNames(
  inventory: Names,
  pattern: string,
  { onUnknown }: SelectOptions = {},
): readonly string[] {
  const parts = parsePattern(pattern);
  if (parts.length === 0)
    throw new VolleyError("PATTERN_UNKNOWN", "the pattern is empty", { hint: "Every host is `all`." });
  const matches = matchParts(inventory, pattern, parts, onUnknown);
  const setsOf = (operation: PatternPart["operation"]): readonly ReadonlySet<string>[] =>
    parts.filter((part) => part.operation === operation).map(({ text }) => matches.get(text)!);
  const [adds, keeps, drops] = [setsOf("add"), setsOf("keep"), setsOf("drop")];
  const first = adds.length === 0 ? [inventory.groups.get("all")?.hosts ?? []] : adds;
  const wanted = new Set(first.flatMap((names) => [...names]));
  return [...wanted].filter(
    (name) => keeps.every((names) => names.has(name)) && !drops.some((names) => names.has(name)),
  );
}

// A position has no leading zero: web[01:20] names hosts even if web is a group.
const SUBSCRIPT = /^(.+)\[(?:(-?(?:0|[1-9]\d*))|(0|[1-9]\d*):(0|[1-9]\d*|))\]$/;
const MAX_GROUPS_NAMED = 12;
/** The part of a pattern that an error shows, in characters. */
const MAX_SHOWN = 300;
/** The longest part of a pattern, in characters: V8 finds a regular expression too large only as it uses it. */
const MAX_LENGTH = 4_000;
/** The time that a regular expression has for one name, in milliseconds. */
const REGEX_MS = 3_000;

function describeGroups(inventory: Names): string {
  const names = [...inventory.groups.values()].filter(
    ({ name, hosts }) => name !== "ungrouped" || hosts.length > 0,
  );
  const shown = names.slice(0, MAX_GROUPS_NAMED).map(({ name }) => name);
  const more = names.length - shown.length;
  return `Groups: ${shown.join(", ")}${more > 0 ? ` and ${more} more` : ""}.`;
}

function unknown(inventory: Names, text: string, verb: "is called" | "matches"): VolleyError {
  const names = [...inventory.groups.keys(), ...inventory.hosts.keys()];
  const suggestion = verb === "is called" ? didYouMean(text, names) : "";
  const { passedOver = [] } = inventory;
  const empty = passedOver.length > 0 ? [] : ["The inventory is empty; name one with -i."];
  const held = inventory.hosts.size === 0 ? empty : [describeGroups(inventory)];
  const hint = [...held, ...passedOver].join(" ");
  return new VolleyError(
    "PATTERN_UNKNOWN",
    `no host or group ${verb} "${printable(text, MAX_SHOWN)}"${suggestion}`,
    { hint },
  );
}

type Matcher = (name: string) => boolean;

function globMatcher(glob: string): Matcher {
  const pieces = setGlobPieces(glob, "fnmatch");
  return (name) => matchesGlob(pieces, name);
}

function compile(text: string): Matcher {
  if (!text.startsWith("~")) return globMatcher(text);
  try {
    // Ansible matches from a name's first character on.
    const regex = pythonRegex(text.slice(1), { anchored: "start", unicode: true });
    const late = (): VolleyError =>
      new VolleyError("PATTERN_UNKNOWN", `"${printable(text, MAX_SHOWN)}" takes too long to match a name`, {
        hint: "an expression such as (a+)+ tries every way to split a name: write it so that there is only one",
      });
    return (name) => within(REGEX_MS, late, () => regex.test(name));
  } catch (cause) {
    const reason = String((cause as Error).message).replace(/^.* cannot be used: /s, "");
    throw new VolleyError(
      "PATTERN_UNKNOWN",
      `"${printable(text, MAX_SHOWN)}" is not a valid regular expression: ${printable(reason)}`,
      { cause },
    );
  }
}

/** Return the hosts of matching groups, then matching hosts. As in Ansible a host may occur twice, and a position counts it twice. */
function matchAll(inventory: Names, text: string): readonly string[] {
  const fits = compile(text);
  const groups = [...inventory.groups.values()].filter(({ name }) => fits(name));
  const hosts = [...inventory.hosts.keys()].filter(fits);
  if (groups.length === 0 && hosts.length === 0) throw unknown(inventory, text, "matches");
  return [...groups.flatMap((group) => group.hosts), ...hosts];
}

/** Return the hosts that a position counts: those of a group or a glob, or a host itself; undefined for any other text. */
function counted(inventory: Names, text: string): readonly string[] | undefined {
  const group = inventory.groups.get(text);
  if (group !== undefined) return group.hosts;
  if (inventory.hosts.has(text)) return [text];
  return /[*?]/.test(text) ? matchAll(inventory, text) : undefined;
}

/** Pick hosts by position, counted from 0 or, if negative, from the end; `[0:2]` includes both ends. */
function subscript(
  hosts: readonly string[],
  index: string | undefined,
  from: string,
  to: string,
): readonly string[] {
  if (index === undefined) return hosts.slice(Number(from), to === "" ? undefined : Number(to) + 1);
  const host = hosts.at(Number(index));
  return host === undefined ? [] : [host];
}

function matchRange(inventory: Names, text: string): readonly string[] {
  const names = expandRanges(text, (problem) => {
    throw new VolleyError(
      "PATTERN_UNKNOWN",
      `"${printable(text, MAX_SHOWN)}" is not a pattern: ${printable(problem)}`,
    );
  });
  const found = names.flatMap((name) => {
    if (!/[*?]/.test(name))
      return inventory.groups.get(name)?.hosts ?? (inventory.hosts.has(name) ? [name] : []);
    return [...inventory.hosts.keys()].filter(globMatcher(name));
  });
  if (found.length === 0) throw unknown(inventory, text, "matches");
  return found;
}

/**
 * Return the names of the hosts that one part of a pattern stands for, in order. `web[0]` and `web[0:2]` pick from the
 * hosts of `web` if that is a group, a host or a glob and the position has no leading zero. Otherwise `web[01:20]` is a
 * range of names, and `web[12]` a glob. Fail with `PATTERN_UNKNOWN` for a part that names nothing.
 */
function matchPart(inventory: Names, written: string): readonly string[] {
  const address = /^\[(.+)\]$/.exec(written)?.[1];
  const text = address !== undefined && isIPv6(address) ? address : written;
  if (text.length > MAX_LENGTH) {
    throw new VolleyError(
      "PATTERN_UNKNOWN",
      `a pattern with a part of more than ${MAX_LENGTH} characters: "${printable(text, 60)}"`,
    );
  }
  // In Ansible a group wins over a host of the same name.
  const group = inventory.groups.get(text);
  if (group !== undefined) return group.hosts;
  if (inventory.hosts.has(text)) return [text];
  if (text.startsWith("~")) return matchAll(inventory, text);
  const [, base, index, from, to] = SUBSCRIPT.exec(text) ?? [];
  const indexed = base === undefined ? undefined : counted(inventory, base);
  if (indexed !== undefined) return subscript(indexed, index, from ?? "0", to ?? "");
  if (hasRange(text)) return matchRange(inventory, text);
  if (/[*?[]/.test(text)) return matchAll(inventory, text);
  throw unknown(inventory, text, "is called");
}

/** A part of a pattern: `web`, `&prod`, `!db`. */
interface PatternPart {
  /** Add hosts, keep only these, or drop these. */
  readonly operation: "add" | "keep" | "drop";
  /** The part without its sign. */
  readonly text: string;
}

const SIGNS = { "&": "keep", "!": "drop" } as const;
const OPENING = "([{";
const CLOSING = ")]}";

/** Cut at separators outside brackets: ranges, subscripts and regular expressions have colons and commas of their own. */
function cut(pattern: string, isSeparator: (character: string) => boolean): readonly string[] {
  const parts: string[] = [];
  let part = "";
  let depth = 0;
  let regex = false;
  for (let index = 0; index < pattern.length; index++) {
    const character = pattern[index]!;
    if (depth === 0 && isSeparator(character)) {
      parts.push(part);
      part = "";
      regex = false;
      continue;
    }
    if (character === "~" && /^[&!]?$/.test(part)) regex = true;
    if (regex && character === "\\") {
      part += character + (pattern[++index] ?? "");
      continue;
    }
    const brackets = regex ? [OPENING, CLOSING] : ["[", "]"];
    if (brackets[0]!.includes(character)) depth++;
    else if (brackets[1]!.includes(character)) depth = Math.max(0, depth - 1);
    part += character;
  }
  return [...parts, part];
}

function isAddress(text: string): boolean {
  return isIPv6(text.replace(/^[&!]/, ""));
}

/**
 * Take a pattern apart at `,` and `:`, leaving IPv6 addresses whole. As in Ansible the order of the parts does not
 * matter: hosts are added first, then kept, then dropped. A pattern that adds nothing begins with all hosts.
 */
function parsePattern(pattern: string): readonly PatternPart[] {
  return cut(pattern, (character) => character === "," || /\s/.test(character))
    .flatMap((piece) => (isAddress(piece) ? [piece] : cut(piece, (character) => character === ":")))
    .filter((piece) => piece !== "")
    .map((piece) => {
      const operation = SIGNS[piece[0] as keyof typeof SIGNS];
      return operation === undefined
        ? { operation: "add", text: piece }
        : { operation, text: piece.slice(1) };
    });
}
