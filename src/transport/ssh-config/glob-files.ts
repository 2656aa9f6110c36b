import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { type GlobPiece, matchesGlob } from "../../core/text.ts";

/** No path is longer (PATH_MAX of Linux). */
const MAX_PATH = 4_096;

/** The files an absolute path with `*`, `?` and `[…]` in it stands for, sorted; none when there are none (glob(7)). */
export function globFiles(pattern: string): readonly string[] {
  if (pattern.length > MAX_PATH) return [];
  let found = ["/"];
  for (const part of pattern.split("/").filter((name) => name !== "")) {
    found = found.flatMap((directory) => {
      if (!/[*?[\\]/.test(part)) return [join(directory, part)].filter((path) => existsSync(path));
      const pieces = piecesOf(part);
      return listDirectory(directory)
        .filter((name) => (part.startsWith(".") || !name.startsWith(".")) && matchesGlob(pieces, name))
        .sort()
        .map((name) => join(directory, name));
    });
  }
  return found.filter((path) => !isDirectory(path));
}

function piecesOf(part: string): readonly GlobPiece[] {
  const pieces: GlobPiece[] = [];
  const characters = [...part];
  for (let at = 0; at < characters.length; at++) {
    const written = characters[at]!;
    if (written === "*") pieces.push("*");
    else if (written === "?") pieces.push(() => true);
    else if (written === "[") {
      // A `]` that comes first is one of the set.
      const first = /[!^]/.test(characters[at + 1] ?? "") ? at + 2 : at + 1;
      const end = characters.indexOf("]", first + 1);
      if (end < 0) pieces.push((character) => character === "[");
      else {
        pieces.push(setPiece(characters.slice(first, end), first === at + 2));
        at = end;
      }
    } else {
      const literal = written === "\\" ? (characters[++at] ?? "\\") : written;
      pieces.push((character) => character === literal);
    }
  }
  return pieces;
}

function setPiece(set: readonly string[], negated: boolean): GlobPiece {
  const ranges: (readonly [string, string])[] = [];
  for (let at = 0; at < set.length; at++) {
    const isRange = set[at + 1] === "-" && at + 2 < set.length;
    ranges.push([set[at]!, isRange ? set[at + 2]! : set[at]!]);
    if (isRange) at += 2;
  }
  return (character) => ranges.some(([from, to]) => from <= character && character <= to) !== negated;
}

function listDirectory(path: string): readonly string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}
