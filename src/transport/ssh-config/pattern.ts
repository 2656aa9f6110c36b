import { type GlobPiece, globPieces, matchesGlob } from "../../core/text.ts";

/** Whether a name fits a pattern with `*` and `?` (ssh_config(5), PATTERNS). */
export function matchesPattern(pattern: string, name: string): boolean {
  if (!/[*?]/.test(pattern)) return pattern === name;
  let pieces = compiled.get(pattern);
  if (pieces === undefined) {
    pieces = globPieces(pattern);
    compiled.set(pattern, pieces);
  }
  return matchesGlob(pieces, name);
}

/** A fleet's hosts are all matched with the same few patterns. */
const compiled = new Map<string, readonly GlobPiece[]>();

/**
 * Whether a name fits a pattern-list: patterns with commas between, of which one must fit, and none that begins with `!`
 * (ssh_config(5), PATTERNS).
 */
export function matchesPatternList(list: string, name: string): boolean {
  let matched = false;
  for (const pattern of list.split(",")) {
    if (pattern.startsWith("!")) {
      if (matchesPattern(pattern.slice(1), name)) return false;
    } else if (matchesPattern(pattern, name)) matched = true;
  }
  return matched;
}

/** The same for names of hosts, which have no case. */
export function matchesHostList(list: string, name: string): boolean {
  return matchesPatternList(lowerAscii(list), lowerAscii(name));
}

/** Whether a name fits the patterns of a Host line: one of them, and none that begins with `!`. Case counts. */
export function matchesHostLine(patterns: readonly string[], name: string): boolean {
  let matched = false;
  for (const pattern of patterns) {
    if (pattern.startsWith("!")) {
      if (matchesPattern(pattern.slice(1), name)) return false;
    } else if (matchesPattern(pattern, name)) matched = true;
  }
  return matched;
}

/** Letters outside of ASCII stay as they are, as they do for `ssh`. */
export function lowerAscii(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}
