import { pythonRegex } from "../../core/python-regex.ts";
import { findMatches } from "../../system/endable.ts";
import { withNewline } from "./text.ts";

/** Where something new goes in a file. */
export interface Place {
  /** `EOF`, or a Python regular expression: after the line it matches. */
  readonly insertafter?: string | undefined;
  /** `BOF`, or a Python regular expression: before the line it matches. */
  readonly insertbefore?: string | undefined;
  /** The first line that matches instead of the last. */
  readonly firstmatch?: boolean | undefined;
}

/** The index something new gets among lines (with their endings); at the end when no line matches. */
export async function insertionIndex(
  lines: readonly string[],
  { insertafter, insertbefore, firstmatch }: Place,
  signal: AbortSignal,
): Promise<number> {
  if (insertbefore === "BOF" || insertafter === "BOF") return 0;
  const pattern = insertbefore ?? insertafter;
  if (pattern === undefined || pattern === "EOF") return lines.length;
  const found = await findMatches(pythonRegex(pattern), lines.map(withNewline), signal);
  const isMatch = (matches: readonly unknown[]): boolean => matches.length > 0;
  const index = firstmatch === true ? found.findIndex(isMatch) : found.findLastIndex(isMatch);
  if (index === -1) return lines.length;
  return insertbefore === undefined ? index + 1 : index;
}
