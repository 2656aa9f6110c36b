import { VolleyError } from "../core/errors.ts";
import { quote } from "../core/shell-quote.ts";

/** A word for a shell that reads one line: newlines come from a variable, which createShells sets. */
export function lineWord(text: string): string {
  if (text.includes("\0")) throw new VolleyError("PROCESS_FAILED", "a command cannot hold a NUL");
  if (!text.includes("\n")) return quote(text);
  return text
    .split("\n")
    .map((line) => (line === "" ? "" : quote(line)))
    .join('"$volley_n"');
}
