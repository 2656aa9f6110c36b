import { type Float, float, integer, isDict, makeDict } from "../core/value.ts";

const SYNTAX = /\s*(?:([[\](){},:])|('''|"""|'|")|([^\s[\](){},:'"]+))/y;
const NUMBER =
  /^[-+]?(?:0[xX]_?[0-9a-fA-F][0-9a-fA-F_]*|0[oO]_?[0-7][0-7_]*|0[bB]_?[01][01_]*|\d[\d_]*|((?:\d[\d_]*\.[\d_]*|\.\d[\d_]*)(?:[eE][-+]?\d[\d_]*)?|\d[\d_]*[eE][-+]?\d[\d_]*))$/;
const CODED = /x([\da-fA-F]{2})|u([\da-fA-F]{4})|U([\da-fA-F]{8})|([0-7]{1,3})/y;
const ESCAPES: Readonly<Record<string, string>> = {
  n: "\n",
  t: "\t",
  r: "\r",
  a: "\x07",
  b: "\b",
  f: "\f",
  v: "\v",
  "\n": "",
};

/** How deep Python nests brackets at most is of that order, too. */
const MAX_DEPTH = 100;

class NotLiteral extends Error {}

function number(word: string): number | bigint | Float {
  const match = NUMBER.exec(word);
  // An underscore stands between digits, and no whole number begins with a zero.
  if (match === null || /__|_$|_[.eE]|\._|[eE][-+]?_|^[-+]?0[0-9_]*[1-9][0-9_]*$/.test(word))
    throw new NotLiteral();
  const bare = word.replaceAll("_", "").replace(/^[-+]/, "");
  const isNegative = word.startsWith("-");
  if (match[1] === undefined) {
    const value = BigInt(bare);
    return integer(isNegative ? -value : value);
  }
  return float(isNegative ? -Number(bare) : Number(bare));
}

class Parser {
  readonly #text: string;
  #at = 0;
  #depth = 0;

  constructor(text: string) {
    this.#text = text;
  }

  #token(): RegExpExecArray {
    SYNTAX.lastIndex = this.#at;
    const match = SYNTAX.exec(this.#text);
    if (match === null) throw new NotLiteral();
    this.#at = SYNTAX.lastIndex;
    return match;
  }

  #peek(): string {
    return /\S/.exec(this.#text.slice(this.#at))?.[0] ?? "";
  }

  whole(): unknown {
    const first = this.value();
    if (this.#peek() !== ",") return this.#end(first);
    const items = [first];
    while (this.#peek() === ",") {
      this.#token();
      if (this.#peek() === "" || this.#peek() === "#") break;
      items.push(this.value());
    }
    return this.#end(items);
  }

  #end<T>(value: T): T {
    const rest = this.#peek();
    if (rest !== "" && rest !== "#") throw new NotLiteral();
    return value;
  }

  value(): unknown {
    if (this.#depth >= MAX_DEPTH) throw new NotLiteral();
    this.#depth++;
    const value = this.#valueHere();
    this.#depth--;
    return value;
  }

  #valueHere(): unknown {
    const [, symbol, quote, word] = this.#token();
    if (quote !== undefined) {
      let text = this.#string(quote);
      while (/^['"]$/.test(this.#peek())) text += this.#string(this.#token()[2]!);
      return text;
    }
    switch (symbol) {
      case "[":
        return this.#items("]").items;
      case "(": {
        const { items, commas } = this.#items(")");
        return items.length === 1 && commas === 0 ? items[0] : items;
      }
      case "{":
        return this.#braces();
      case undefined:
        break;
      default:
        throw new NotLiteral();
    }
    if (word === "True") return true;
    if (word === "False") return false;
    if (word === "None") return null;
    return number(word!);
  }

  #items(close: string): { items: unknown[]; commas: number } {
    const items: unknown[] = [];
    let commas = 0;
    while (this.#peek() !== close) {
      items.push(this.value());
      if (this.#peek() === ",") {
        commas++;
        this.#token();
      } else if (this.#peek() !== close) throw new NotLiteral();
    }
    this.#token();
    return { items, commas };
  }

  #braces(): unknown {
    const keys: unknown[] = [];
    const values: unknown[] = [];
    while (this.#peek() !== "}") {
      keys.push(this.value());
      if (this.#peek() === ":") {
        this.#token();
        values.push(this.value());
      }
      if (this.#peek() === ",") this.#token();
      else if (this.#peek() !== "}") throw new NotLiteral();
    }
    this.#token();
    if (keys.length > 0 && values.length === 0) return keys;
    if (keys.length !== values.length) throw new NotLiteral();
    // Python has no list or dictionary as a key, and a tuple is none here.
    if (keys.some((key) => Array.isArray(key) || isDict(key))) throw new NotLiteral();
    return makeDict(keys.map((key, index) => [key, values[index]]));
  }

  /** A character given by its number, behind a backslash: `\xe9`, `\u00e9`, `\U000000e9`, `\351`. */
  #coded(): string | undefined {
    CODED.lastIndex = this.#at;
    const match = CODED.exec(this.#text);
    if (match === null) {
      if (/[xuUN]/.test(this.#text[this.#at] ?? "")) throw new NotLiteral();
      return undefined;
    }
    const [all, hex2, hex4, hex8, octal] = match;
    const hex = hex2 ?? hex4 ?? hex8;
    const code = hex === undefined ? Number.parseInt(octal!, 8) : Number.parseInt(hex, 16);
    if (code > 0x10ffff) throw new NotLiteral();
    this.#at += all.length;
    return String.fromCodePoint(code);
  }

  #string(quote: string): string {
    let text = "";
    for (;;) {
      const character = this.#text[this.#at];
      if (character === undefined) throw new NotLiteral();
      if (this.#text.startsWith(quote, this.#at)) {
        this.#at += quote.length;
        return text;
      }
      this.#at++;
      if (character !== "\\") {
        text += character;
        continue;
      }
      const coded = this.#coded();
      if (coded !== undefined) {
        text += coded;
        continue;
      }
      const escaped = this.#text[this.#at++] ?? "";
      text += ESCAPES[escaped] ?? (/['"\\]/.test(escaped) ? escaped : `\\${escaped}`);
    }
  }
}

/**
 * A value of an INI inventory, which Ansible reads as a Python literal where it is one (`8`, `True`, `[1, 2]`,
 * `{'a': 1}`) and as text where it is not (`true`, `0644`, `/srv/www`).
 */
export function parsePythonLiteral(text: string): unknown {
  try {
    return new Parser(text).whole();
  } catch (thrown) {
    if (thrown instanceof NotLiteral) return text;
    throw thrown;
  }
}
