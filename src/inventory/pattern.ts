import { isIpv6 } from "./ip-address.ts";

/** One part of a pattern: `web`, `&prod`, `!db`. */
export interface PatternPart {
  /** `add` hosts, `keep` only these, or `drop` these. */
  readonly operation: "add" | "keep" | "drop";
  /** Without the sign. */
  readonly text: string;
}

const SIGNS = { "&": "keep", "!": "drop" } as const;
const OPENING = "([{";
const CLOSING = ")]}";

/** Cuts at separators that stand outside brackets: a range, a subscript and a regex hold colons and commas of their own. */
function cut(pattern: string, isSeparator: (character: string) => boolean): readonly string[] {
  const parts: string[] = [];
  let part = "";
  let depth = 0;
  let regex = false;
  for (let index = 0; index < pattern.length; index++) {
    const character = pattern[index]!;
    if (depth === 0 && isSeparator(character)) {
      parts.push(part);
      part = "";
      regex = false;
      continue;
    }
    if (character === "~" && /^[&!]?$/.test(part)) regex = true;
    if (regex && character === "\\") {
      part += character + (pattern[++index] ?? "");
      continue;
    }
    const brackets = regex ? [OPENING, CLOSING] : ["[", "]"];
    if (brackets[0]!.includes(character)) depth++;
    else if (brackets[1]!.includes(character)) depth = Math.max(0, depth - 1);
    part += character;
  }
  return [...parts, part];
}

function isAddress(text: string): boolean {
  return isIpv6(text.replace(/^[&!]/, ""));
}

/**
 * Takes a pattern apart at `,` and `:`, leaving IPv6 addresses whole. As in Ansible the order of the parts does not
 * matter: first what is added, then what is kept, then what is dropped. A pattern that adds nothing is about all hosts.
 */
export function parsePattern(pattern: string): readonly PatternPart[] {
  return cut(pattern, (character) => character === "," || /\s/.test(character))
    .flatMap((piece) => (isAddress(piece) ? [piece] : cut(piece, (character) => character === ":")))
    .filter((piece) => piece !== "")
    .map((piece) => {
      const operation = SIGNS[piece[0] as keyof typeof SIGNS];
      return operation === undefined
        ? { operation: "add", text: piece }
        : { operation, text: piece.slice(1) };
    });
}
