/** A piece of a glob: any characters (`*`), or a test of one character. */
export type GlobPiece = "*" | ((character: string) => boolean);

/** Split a pattern that has `*` and `?` as its only special characters. */
export function globPieces(glob: string): readonly GlobPiece[] {
  return [...glob].map((written): GlobPiece => {
    if (written === "*") return "*";
    return written === "?" ? () => true : (character) => character === written;
  });
}

/**
 * Split a pattern that has sets such as `[abc]`, `[a-c]` and `[!abc]` besides: by Python's fnmatch, or by glob(7), where
 * `^` negates a set as well and a backslash makes the next character ordinary.
 */
export function setGlobPieces(glob: string, rules: "fnmatch" | "glob"): readonly GlobPiece[] {
  const pieces: GlobPiece[] = [];
  const characters = [...glob];
  for (let at = 0; at < characters.length; at++) {
    const written = characters[at]!;
    if (written === "*") pieces.push("*");
    else if (written === "?") pieces.push(() => true);
    else if (written === "[") {
      const negates = (rules === "glob" ? "!^" : "!").includes(characters[at + 1] ?? " ");
      const first = negates ? at + 2 : at + 1;
      // A `]` in the first place belongs to the set.
      const end = characters.indexOf("]", first + 1);
      if (end < 0) pieces.push((character) => character === "[");
      else {
        pieces.push(setPiece(characters.slice(first, end), negates));
        at = end;
      }
    } else {
      const isEscape = written === "\\" && rules === "glob";
      const literal = isEscape ? (characters[++at] ?? written) : written;
      pieces.push((character) => character === literal);
    }
  }
  return pieces;
}

function setPiece(set: readonly string[], negates: boolean): GlobPiece {
  const ranges: (readonly [string, string])[] = [];
  for (let at = 0; at < set.length; at++) {
    const isRange = set[at + 1] === "-" && at + 2 < set.length;
    ranges.push([set[at]!, isRange ? set[at + 2]! : set[at]!]);
    if (isRange) at += 2;
  }
  return (character) => ranges.some(([from, to]) => from <= character && character <= to) !== negates;
}

/**
 * True when a text fits a glob. Takes time proportional to the product of the lengths at most; as a regular expression
 * `*a*a*a*a*b` could take for ever.
 */
export function matchesGlob(pieces: readonly GlobPiece[], text: string): boolean {
  const characters = [...text];
  let piece = 0;
  let at = 0;
  /** The position of the last `*`, and the end of the text it covers so far. */
  let star = -1;
  let reach = 0;
  while (at < characters.length) {
    const wanted = pieces[piece];
    if (wanted === "*") {
      star = piece++;
      reach = at;
    } else if (wanted?.(characters[at]!)) {
      piece++;
      at++;
    } else if (star >= 0) {
      piece = star + 1;
      at = ++reach;
    } else return false;
  }
  while (pieces[piece] === "*") piece++;
  return piece === pieces.length;
}
