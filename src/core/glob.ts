/** A piece of a glob: any characters, or one that fits. */
export type GlobPiece = "*" | ((character: string) => boolean);

/** The pieces of a pattern with `*` and `?` and nothing else. */
export function globPieces(glob: string): readonly GlobPiece[] {
  return [...glob].map((written): GlobPiece => {
    if (written === "*") return "*";
    return written === "?" ? () => true : (character) => character === written;
  });
}

/**
 * Whether a text fits a glob, in time that grows with their lengths' product at most: as a regular expression
 * `*a*a*a*a*b` could take for ever.
 */
export function matchesGlob(pieces: readonly GlobPiece[], text: string): boolean {
  const characters = [...text];
  let piece = 0;
  let at = 0;
  /** Where the last `*` stands, and how far it reaches so far. */
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
