import { fail } from "./errors.ts";
import { str } from "./repr.ts";

/** Flags of Python's `re`, as Ansible's filters and tests take them. */
export interface RegexFlags {
  readonly ignoreCase: boolean;
  readonly multiLine: boolean;
}

const INLINE_FLAGS: Readonly<Record<string, string>> = { i: "i", m: "m", s: "s", x: "", u: "", a: "", L: "" };
// Python's \w, \d and \b know all of Unicode; JavaScript's only ASCII.
const WORD = "\\p{L}\\p{N}_";
const UNICODE: Readonly<Record<string, string>> = {
  "\\w": `[${WORD}]`,
  "\\W": `[^${WORD}]`,
  "\\d": "\\p{Nd}",
  "\\D": "\\P{Nd}",
  "\\b": `(?:(?<=[${WORD}])(?![${WORD}])|(?<![${WORD}])(?=[${WORD}]))`,
  "\\B": `(?:(?<=[${WORD}])(?=[${WORD}])|(?<![${WORD}])(?![${WORD}]))`,
  "\\A": "(?<![^])",
  "\\Z": "(?![^])",
  "\\a": "\\x07",
};

function stripVerbose(pattern: string): string {
  return pattern.replace(/\\[\s\S]|\[(?:\\[\s\S]|[^\]])*\]|#.*$|\s+/gm, (part) =>
    /^[\\[]/.test(part) ? part : "",
  );
}

/** Rewrites what Python's syntax says otherwise than JavaScript's: named groups, anchors, what counts as a letter. */
function translate(pattern: string): string {
  const token =
    /\\[\s\S]|\(\?P<(\w+)>|\(\?P=(\w+)\)|\(\?#[^)]*\)|\(\?[imsxuaL]*-?[imsx]*:|\[\^?\]?(?:\\[\s\S]|[^\]])*\]|\$|\{,(\d+)\}|\{\d+(?:,\d*)?\}|[{}\]]/g;
  return pattern.replace(token, (part, name?: string, reference?: string, most?: string) => {
    if (name !== undefined) return `(?<${name}>`;
    if (reference !== undefined) return `\\k<${reference}>`;
    if (most !== undefined) return `{0,${most}}`;
    if (part.startsWith("(?#")) return "";
    if (part.startsWith("(?")) return "(?:";
    const unicode = UNICODE[part];
    if (unicode !== undefined) return unicode;
    if (/^\\[^a-zA-Z0-9]$/.test(part) && !/[$()*+./?[\\\]^{|}-]/.test(part.charAt(1))) return part.charAt(1);
    if (/^\\-$/.test(part)) return "-";
    if (part.startsWith("[")) return translateClass(part);
    // `$` also matches before a newline at the very end of the text.
    return part === "$" ? "(?=\\n?(?![^]))" : part.length === 1 ? `\\${part}` : part;
  });
}

function translateClass(text: string): string {
  const [, start = "[", body = ""] = /^(\[\^?)([\s\S]*)\]$/.exec(text) ?? [];
  return `${start}${body.replace(/\\[\s\S]|[[\]]|&&|--/g, (part) => {
    if (part.length === 1) return `\\${part}`;
    if (part === "\\w") return WORD;
    if (part === "\\d") return "\\p{Nd}";
    if (part === "&&" || part === "--") return `${part.charAt(0)}\\${part.charAt(1)}`;
    return /^\\[^a-zA-Z0-9]$/.test(part) && !/[$()*+./?[\\\]^{|}-]/.test(part.charAt(1))
      ? part.charAt(1)
      : part;
  })}]`;
}

/** A JavaScript expression (global, Unicode) for one in the syntax of Python's `re`; fails on what JavaScript cannot express. */
export function compileRegex(source: unknown, { ignoreCase, multiLine }: RegexFlags): RegExp {
  let pattern = str(source);
  const flags = new Set(["g", "u", ...(ignoreCase ? ["i"] : []), ...(multiLine ? ["m"] : [])]);
  const inline = /^\(\?([imsxuaL]+)\)/.exec(pattern);
  if (inline !== null) {
    pattern = pattern.slice(inline[0].length);
    for (const letter of inline[1] ?? "") {
      const flag = INLINE_FLAGS[letter];
      if (flag) flags.add(flag);
    }
    if (inline[1]?.includes("x")) pattern = stripVerbose(pattern);
  }
  const scoped = /\(\?([ims]+):/.exec(pattern);
  for (const letter of scoped?.[1] ?? "") flags.add(letter);
  const body = translate(pattern);
  try {
    return new RegExp(flags.has("m") ? body.replaceAll("(?=\\n?(?![^]))", "$") : body, [...flags].join(""));
  } catch (error) {
    return fail(
      `bad regular expression '${pattern}': ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

/** What Python's replacement text (`\1`, `\g<name>`) stands for in one match. */
export function expandReplacement(template: string, match: RegExpExecArray | RegExpMatchArray): string {
  return template.replace(
    /\\(?:g<(\w+)>|([1-9]\d?)|([\s\S]))/g,
    (whole, reference?: string, digits?: string, other?: string) => {
      const key = reference ?? digits;
      if (key !== undefined) {
        const isNumber = /^\d+$/.test(key);
        if (isNumber ? Number(key) >= match.length : !(key in (match.groups ?? {})))
          fail(`the replacement names a group that does not exist: ${key}`);
        return (isNumber ? match[Number(key)] : match.groups?.[key]) ?? "";
      }
      return { n: "\n", t: "\t", r: "\r", "\\": "\\" }[other ?? ""] ?? whole;
    },
  );
}
