import { globPieces, matchesGlob } from "../../core/glob.ts";

/** Whether a name fits a pattern with `*` and `?` (ssh_config(5), PATTERNS). */
export function matchesPattern(pattern: string, name: string): boolean {
  if (!/[*?]/.test(pattern)) return pattern === name;
  return matchesGlob(globPieces(pattern), name);
}

/** Whether a name fits one of the patterns and none that begins with `!`. */
export function matchesPatterns(patterns: readonly string[], name: string): boolean {
  let matched = false;
  for (const pattern of patterns) {
    if (pattern.startsWith("!")) {
      if (matchesPattern(pattern.slice(1), name)) return false;
    } else if (matchesPattern(pattern, name)) matched = true;
  }
  return matched;
}
