import type xterm from "@xterm/headless";
import type { WidthOf } from "./cells.ts";

const VERSION = "volley";
const FIRST_UNUSUAL = 0x300;

/** Has a terminal measure characters with `widthOf`: xterm by itself knows widths as of Unicode 6, when emoji were narrow. */
export function registerWidths(terminal: xterm.Terminal, widthOf: WidthOf): void {
  const known = new Map<number, 0 | 1 | 2>();
  const wcwidth = (codePoint: number): 0 | 1 | 2 => {
    if (codePoint < FIRST_UNUSUAL) return 1;
    const width =
      known.get(codePoint) ?? (Math.min(2, widthOf(String.fromCodePoint(codePoint))) as 0 | 1 | 2);
    known.set(codePoint, width);
    return width;
  };
  terminal.unicode.register({
    version: VERSION,
    wcwidth,
    // xterm keeps a character's properties as one number: bit 0 joins it to the one before, bits 1 and 2 are the width.
    charProperties: (codePoint, preceding) => {
      const width = wcwidth(codePoint);
      const before = (preceding >> 1) & 3;
      const isJoined = width === 0 && preceding !== 0 && before !== 0;
      return ((isJoined ? before : width) << 1) | (isJoined ? 1 : 0);
    },
  });
  terminal.unicode.activeVersion = VERSION;
}
