import type { Key as InkKey } from "ink";
import type { Key } from "./keys.ts";

/** What ink made of a piece of input, as our keys; text typed or pasted in one go becomes one key a character. */
export function keysOf(input: string, key: InkKey): readonly Key[] {
  if (key.ctrl) return input === "c" ? ["ctrl-c"] : [];
  if (key.upArrow) return ["up"];
  if (key.downArrow) return ["down"];
  if (key.leftArrow) return ["left"];
  if (key.rightArrow) return ["right"];
  if (key.pageUp) return ["pageUp"];
  if (key.pageDown) return ["pageDown"];
  if (key.home) return ["home"];
  if (key.end) return ["end"];
  if (key.return) return ["enter"];
  if (key.escape) return ["escape"];
  // Terminals send DEL for the backspace key, which ink calls delete.
  if (key.backspace || key.delete) return ["backspace"];
  if (key.tab || key.meta) return [];
  return [...input].flatMap((text): readonly Key[] => {
    if (text === "\x03") return ["ctrl-c"];
    if (text === "\r" || text === "\n") return ["enter"];
    if (text === "\x7f" || text === "\b") return ["backspace"];
    return text < " " ? [] : [{ text }];
  });
}
