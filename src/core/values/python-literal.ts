import { type Float, float, integer, isDict, makeDict } from "./value.ts";

/** The values that {@link readPythonLiteral} makes of Python's names, tuples and sets. */
export interface LiteralOptions {
  /** The values of names. Default: `True`, `False` and `None`. */
  readonly names?: ReadonlyMap<string, unknown>;
  /** Return the value of a tuple or set; undefined refuses it. Default: a list. */
  readonly collection?: (kind: "tuple" | "set", items: unknown[]) => unknown;
}

/** Python's names of values. */
export const PYTHON_NAMES: ReadonlyMap<string, unknown> = new Map<string, unknown>([
  ["True", true],
  ["False", false],
  ["None", null],
]);

const BLANK = /(?:\s|#[^\n]*)*/y;
const TOKEN =
  /([[\](){},:])|('''(?:[^\\]|\\[\s\S])*?'''|"""(?:[^\\]|\\[\s\S])*?"""|'(?:[^'\\\n]|\\[\s\S])*'|"(?:[^"\\\n]|\\[\s\S])*")|([^\s[\](){},:'"#]+)/y;
const NUMBER =
  /^(?:0[xX]_?[0-9a-fA-F][0-9a-fA-F_]*|0[oO]_?[0-7][0-7_]*|0[bB]_?[01][01_]*|\d[\d_]*|((?:\d[\d_]*\.[\d_]*|\.\d[\d_]*)(?:[eE][-+]?\d[\d_]*)?|\d[\d_]*[eE][-+]?\d[\d_]*))$/;
/** The nesting of brackets at which Python's own parser gave up for long. */
const MAX_DEPTH = 100;

class NotLiteral extends Error {}

/**
 * Return the value that a text has as a Python literal, such as `8`, `True`, `[1, 'a']` or `{'a': 1}`; undefined where
 * it is none. Items of a list at the top may stand without brackets: `1, 2`.
 */
export function readPythonLiteral(text: string, options: LiteralOptions = {}): unknown {
  const { names = PYTHON_NAMES, collection = (_kind, items) => items } = options;
  let at = 0;
  let depth = 0;

  const fail = (): never => {
    throw new NotLiteral();
  };
  const peek = (): string => {
    BLANK.lastIndex = at;
    BLANK.exec(text);
    at = BLANK.lastIndex;
    return text[at] ?? "";
  };
  const token = (): RegExpExecArray => {
    peek();
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(text) ?? fail();
    at = TOKEN.lastIndex;
    return match;
  };
  const collect = (kind: "tuple" | "set", items: unknown[]): unknown => collection(kind, items) ?? fail();

  /** Read what stands between commas, up to a closing bracket or, without one, the end. */
  const itemsUntil = (close: string, read: () => void): { readonly hasComma: boolean } => {
    let hasComma = false;
    while (peek() !== close) {
      read();
      if (peek() !== ",") break;
      token();
      hasComma = true;
    }
    if (peek() !== close) fail();
    at += close.length;
    return { hasComma };
  };
  const sequence = (close: string): { readonly items: unknown[]; readonly hasComma: boolean } => {
    const items: unknown[] = [];
    const { hasComma } = itemsUntil(close, () => items.push(value()));
    return { items, hasComma };
  };
  const tupleUntil = (close: string): unknown => {
    const { items, hasComma } = sequence(close);
    return items.length === 1 && !hasComma ? items[0] : collect("tuple", items);
  };
  const braces = (): unknown => {
    const keys: unknown[] = [];
    const values: unknown[] = [];
    itemsUntil("}", () => {
      keys.push(value());
      if (peek() !== ":") return;
      token();
      values.push(value());
    });
    if (keys.length > 0 && values.length === 0) return collect("set", keys);
    // Python has no list, set or dict as a key, and Volley no tuple.
    if (keys.length !== values.length || keys.some((key) => Array.isArray(key) || isDict(key))) fail();
    return makeDict(keys.map((key, index) => [key, values[index]]));
  };
  const strings = (first: string): string => {
    let whole = unquote(first, fail);
    while (/['"]/.test(peek())) whole += unquote(token()[2] ?? fail(), fail);
    return whole;
  };
  const value = (): unknown => {
    if (++depth > MAX_DEPTH) fail();
    const read = valueHere();
    depth--;
    return read;
  };
  const valueHere = (): unknown => {
    const [, symbol, quoted, word = ""] = token();
    if (quoted !== undefined) return strings(quoted);
    switch (symbol) {
      case "[":
        return sequence("]").items;
      case "(":
        return tupleUntil(")");
      case "{":
        return braces();
      case undefined:
        break;
      default:
        return fail();
    }
    if (names.has(word)) return names.get(word);
    const [sign, digits] = /^[-+]/.test(word) ? [word.charAt(0), word.slice(1)] : ["", word];
    return readNumber(sign === "-", digits === "" ? (token()[3] ?? fail()) : digits) ?? fail();
  };

  try {
    return peek() === "" ? undefined : tupleUntil("");
  } catch (thrown) {
    if (thrown instanceof NotLiteral) return undefined;
    throw thrown;
  }
}

function readNumber(isNegative: boolean, word: string): number | bigint | Float | undefined {
  const match = NUMBER.exec(word);
  // An underscore stands between digits, and no whole number begins with a zero.
  if (match === null || /__|_$|_[.eE]|\._|[eE][-+]?_|^0[0-9_]*[1-9][0-9_]*$/.test(word)) return undefined;
  const bare = word.replaceAll("_", "");
  if (match[1] !== undefined) return float(isNegative ? -Number(bare) : Number(bare));
  return integer(isNegative ? -BigInt(bare) : BigInt(bare));
}

function unquote(quoted: string, fail: () => never): string {
  const size = /^(?:'''|""")/.test(quoted) ? 3 : 1;
  return unescapePython(quoted.slice(size, -size), fail);
}

const ESCAPES: Readonly<Record<string, string>> = {
  n: "\n",
  t: "\t",
  r: "\r",
  a: "\x07",
  b: "\b",
  f: "\f",
  v: "\v",
  "\\": "\\",
  "'": "'",
  '"': '"',
  "\n": "",
};

/**
 * Replace the escapes in the body of a Python string literal. An unknown escape such as `\d` keeps its backslash, as in
 * Python; so does a malformed one such as `\xg`, unless `malformed` says otherwise.
 */
export function unescapePython(
  body: string,
  malformed: (written: string) => string = (written) => written,
): string {
  return body.replace(
    /\\(?:x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|([0-7]{1,3})|([\s\S]))/g,
    (whole, x?: string, u?: string, long?: string, octal?: string, other = "") => {
      const hex = x ?? u ?? long;
      const code = hex === undefined ? Number.parseInt(octal ?? "", 8) : Number.parseInt(hex, 16);
      if (!Number.isNaN(code)) return code > 0x10ffff ? malformed(whole) : String.fromCodePoint(code);
      return /[xuUN]/.test(other) ? malformed(whole) : (ESCAPES[other] ?? whole);
    },
  );
}
