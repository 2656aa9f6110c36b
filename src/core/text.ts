// biome-ignore lint/suspicious/noControlCharactersInRegex: finding control characters is its purpose
const CONTROL = /[\x00-\x1f\x7f-\x9f\u2028\u2029]/g;

/** Return a foreign text for the one line of an error: control characters become `\u001b`, and the text is cut at `max` characters (default 1,000). */
export function printable(text: string, max = 1_000): string {
  const shown = text
    .slice(0, max)
    .replace(CONTROL, (control) => `\\u${control.charCodeAt(0).toString(16).padStart(4, "0")}`);
  return text.length > max || shown.length > max ? `${shown.slice(0, max)}…` : shown;
}

const LINE_FEED = 0x0a;

/**
 * Decode UTF-8. For bytes that are not UTF-8 return the line of the first such byte, counted from 1, because text with
 * replaced characters would be taken for the file's own.
 */
export function decodeUtf8(bytes: Uint8Array): { readonly text: string } | { readonly line: number } {
  try {
    return { text: new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes) };
  } catch {
    // U+FFFD stands for a byte that is no text, and has three bytes of its own.
    const replaced = new TextEncoder().encode(new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes));
    const before = bytes.subarray(
      0,
      bytes.findIndex((byte, index) => byte !== replaced[index]),
    );
    return { line: before.reduce((line, byte) => line + (byte === LINE_FEED ? 1 : 0), 1) };
  }
}

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
