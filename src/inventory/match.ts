import { didYouMean, VolleyError } from "../core/errors.ts";
import type { Inventory } from "../core/inventory.ts";
import { type GlobPiece, matchesGlob, printable } from "../core/text.ts";

import { within } from "../system/endable.ts";
import { isIpv6 } from "./ip-address.ts";
import { expandRanges, hasRange } from "./range.ts";

// A position has no leading zero: web[01:20] are names even where web is a group.
const SUBSCRIPT = /^(.+)\[(?:(-?(?:0|[1-9]\d*))|(0|[1-9]\d*):(0|[1-9]\d*|))\]$/;
const MAX_GROUPS_NAMED = 12;
/** How much of a pattern an error shows, in characters. */
const MAX_SHOWN = 300;
/** The longest part of a pattern, in characters: that a regular expression is too large one hears only as it is used. */
const MAX_LENGTH = 4_000;
/** What a regular expression may take with one name, in milliseconds. */
const REGEX_MS = 3_000;

function describeGroups(inventory: Inventory): string {
  const names = [...inventory.groups.values()].filter(
    ({ name, hosts }) => name !== "ungrouped" || hosts.length > 0,
  );
  const shown = names.slice(0, MAX_GROUPS_NAMED).map(({ name }) => name);
  const more = names.length - shown.length;
  return `Groups: ${shown.join(", ")}${more > 0 ? ` and ${more} more` : ""}.`;
}

function unknown(inventory: Inventory, text: string, verb: "is called" | "matches"): VolleyError {
  const names = [...inventory.groups.keys(), ...inventory.hosts.keys()];
  const suggestion = verb === "is called" ? didYouMean(text, names) : "";
  const hint =
    inventory.hosts.size === 0 ? "The inventory is empty; name one with -i." : describeGroups(inventory);
  return new VolleyError(
    "PATTERN_UNKNOWN",
    `no host or group ${verb} "${printable(text, MAX_SHOWN)}"${suggestion}`,
    { hint },
  );
}

type Matcher = (name: string) => boolean;

/** `*`, `?`, and `[abc]`, `[a-c]`, `[!abc]` (glob(7)). */
function globMatcher(glob: string): Matcher {
  const pieces = (glob.match(/\[!?[^\]]+\]|[\s\S]/gu) ?? []).map((piece): GlobPiece => {
    if (piece === "*") return "*";
    if (piece === "?") return () => true;
    if (!/^\[.+\]$/su.test(piece)) return (character) => character === piece;
    const source = piece
      .replace(/[\\^[]/g, "\\$&")
      .replace(/^\\\[!?/, (start) => (start.endsWith("!") ? "[^" : "["));
    let regex: RegExp;
    try {
      regex = new RegExp(source, "u");
    } catch {
      // A range that runs backwards holds nothing.
      return () => false;
    }
    return (character) => regex.test(character);
  });
  return (name) => matchesGlob(pieces, name);
}

function compile(text: string): Matcher {
  if (!text.startsWith("~")) return globMatcher(text);
  try {
    // Python's spelling of named groups; matching begins at the name's first character, as in Ansible.
    const regex = new RegExp(`^(?:${text.slice(1).replaceAll("(?P<", "(?<")})`, "u");
    const late = (): VolleyError =>
      new VolleyError("PATTERN_UNKNOWN", `"${printable(text, MAX_SHOWN)}" takes too long to match a name`, {
        hint: "an expression such as (a+)+ tries every way to split a name: write it so that there is only one",
      });
    return (name) => within(REGEX_MS, late, () => regex.test(name));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.replace(/^.*: /, "").toLowerCase() : String(cause);
    throw new VolleyError(
      "PATTERN_UNKNOWN",
      `"${printable(text, MAX_SHOWN)}" is not a valid regular expression: ${printable(reason)}`,
      { cause },
    );
  }
}

/** The hosts of the groups that match, and then the hosts that do: as in Ansible a host may be there twice, and a position counts it so. */
function matchAll(inventory: Inventory, text: string): readonly string[] {
  const fits = compile(text);
  const groups = [...inventory.groups.values()].filter(({ name }) => fits(name));
  const hosts = [...inventory.hosts.keys()].filter(fits);
  if (groups.length === 0 && hosts.length === 0) throw unknown(inventory, text, "matches");
  return [...groups.flatMap((group) => group.hosts), ...hosts];
}

/** The hosts a position counts: of a group, of a glob, or a host itself; undefined where the text is none of these. */
function counted(inventory: Inventory, text: string): readonly string[] | undefined {
  const group = inventory.groups.get(text);
  if (group !== undefined) return group.hosts;
  if (inventory.hosts.has(text)) return [text];
  return /[*?]/.test(text) ? matchAll(inventory, text) : undefined;
}

/** Hosts of a group by position, counted from 0 or, when negative, from the end; `[0:2]` includes both ends. */
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

function matchRange(inventory: Inventory, text: string): readonly string[] {
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
 * The names of the hosts one part of a pattern stands for, in their order. `web[0]` and `web[0:2]` pick from what `web` stands for where
 * it is a group, a host or a glob and the position has no leading zero; else `web[01:20]` is a range of names, and
 * `web[12]` a glob. Fails with `PATTERN_UNKNOWN` when nothing is called that.
 */
export function matchPart(inventory: Inventory, written: string): readonly string[] {
  const address = /^\[(.+)\]$/.exec(written)?.[1];
  const text = address !== undefined && isIpv6(address) ? address : written;
  if (text.length > MAX_LENGTH) {
    throw new VolleyError(
      "PATTERN_UNKNOWN",
      `a pattern with a part of more than ${MAX_LENGTH} characters: "${printable(text, 60)}"`,
    );
  }
  // As in Ansible a group goes before a host of the same name.
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
