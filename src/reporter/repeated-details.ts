import { DIM, line, type Row, rowText } from "./rows/row.ts";
import { safeLine } from "./rows/sanitize.ts";

/** Shorter details are repeated rather than referred to. */
const MIN_FOLDED_ROWS = 3;
const MAX_REMEMBERED = 500;

/** What is told of a host, or that another has just been told the same of. */
export type DetailsFold = (host: string, details: readonly Row[]) => readonly Row[];

/** Starts remembering: a diff or an error that many hosts have in common is told once, then by the first host's name. */
export function createDetailsFold(): DetailsFold {
  const told = new Map<string, string>();
  return (host, details) => {
    if (details.length < MIN_FOLDED_ROWS) return details;
    const key = details.map(rowText).join("\n");
    const before = told.get(key);
    if (before !== undefined)
      return [line(`(${details.length} lines, the same as on ${safeLine(before)})`, DIM)];
    if (told.size >= MAX_REMEMBERED) told.clear();
    told.set(key, host);
    return details;
  };
}
