import { type GlobPiece, globPieces, matchesGlob } from "../../core/values/glob.ts";

/** Return whether a name matches a pattern with `*` and `?` (ssh_config(5), PATTERNS). */
export function matchesPattern(pattern: string, name: string): boolean {
  if (!/[*?]/.test(pattern)) return pattern === name;
  let pieces = compiled.get(pattern);
  if (pieces === undefined) {
    pieces = globPieces(pattern);
    compiled.set(pattern, pieces);
  }
  return matchesGlob(pieces, name);
}

/** Parsed patterns: all hosts of a fleet are matched with the same few. */
const compiled = new Map<string, readonly GlobPiece[]>();

/**
 * Return whether a name matches a pattern-list: comma-separated patterns of which one must match, and none of those with
 * `!` in front (ssh_config(5), PATTERNS).
 */
export function matchesPatternList(list: string, name: string): boolean {
  return matchesHostLine(list.split(","), name);
}

/** Match a host's name with a pattern-list, ignoring case. */
export function matchesHostList(list: string, name: string): boolean {
  return matchesPatternList(lowerAscii(list), lowerAscii(name));
}

/** Match a name with the patterns of a Host line: one must match, and none of those with `!`. Case counts. */
export function matchesHostLine(patterns: readonly string[], name: string): boolean {
  let matched = false;
  for (const pattern of patterns) {
    if (pattern.startsWith("!")) {
      if (matchesPattern(pattern.slice(1), name)) return false;
    } else if (matchesPattern(pattern, name)) matched = true;
  }
  return matched;
}

/** Lower the ASCII letters only, as `ssh` does. */
export function lowerAscii(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}
