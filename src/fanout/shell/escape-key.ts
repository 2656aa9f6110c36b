import { VolleyError } from "../../core/errors.ts";

/** The key that reaches the shell's own commands. */
export interface EscapeKey {
  readonly byte: number;
  /** As it is shown: `Ctrl-]`. */
  readonly label: string;
}

/** Telnet's, which editors and shells leave alone. */
export const DEFAULT_ESCAPE = "ctrl-]";

/** Control characters that a terminal cannot do without, by what they are. */
const NEEDED: Readonly<Record<string, string>> = { I: "Tab", J: "line feed", M: "Enter", "[": "Escape" };

/** Reads `ctrl-]`, `^]` or `C-]`: Ctrl and a letter or one of `@ \ ] ^ _`. Fails with `USAGE`. */
export function parseEscapeKey(text: string): EscapeKey {
  const key = /^(?:\^|ctrl[-+]|c-)(.)$/i.exec(text.trim())?.[1]?.toUpperCase();
  if (key === undefined || !/[@-_]/.test(key)) {
    throw new VolleyError("USAGE", `"${text}" is no escape key`, {
      hint: "write Ctrl and a letter or one of @ \\ ] ^ _: ctrl-], ^a",
    });
  }
  const needed = NEEDED[key];
  if (needed !== undefined)
    throw new VolleyError("USAGE", `"${text}" cannot be the escape key: it is what ${needed} sends`);
  return { byte: key.charCodeAt(0) & 0x1f, label: `Ctrl-${key}` };
}
