import { quote } from "./code.ts";

// Conditions of Ansible's YAML as TypeScript, where they are plain: facts, results of tasks and the role's own vars,
// compared with literals. All others stay Jinja, evaluated when the role runs.

/** The names that a plain condition may have. */
export interface PlainNames {
  /** Code for a fact that is a text: `facts.os_family`. */
  fact(name: string): string | undefined;
  /** Code for a var of the role whose value is known to be its own, with its type. */
  roleVar(name: string): PlainValue | undefined;
  /** The handle of a task's result that is in sight, and whether it is that of a command. */
  result(
    name: string,
  ): { readonly code: string; readonly isCommand: boolean; readonly isStat: boolean } | undefined;
}

/** Code of a plain value. */
export interface PlainValue {
  readonly code: string;
  /** Called where the code is used. */
  readonly use?: () => void;
  readonly type: "string" | "number" | "boolean";
}

/** Return a condition as TypeScript; undefined for one that is not plain. */
export function plainCondition(condition: unknown, names: PlainNames): string | undefined {
  if (typeof condition === "boolean") return String(condition);
  if (typeof condition !== "string") return undefined;
  const tokens = tokenize(condition);
  if (tokens === undefined || tokens.length === 0) return undefined;
  const parser = new Parser(tokens, names);
  try {
    const parsed = parser.or();
    return parser.isAtEnd && parsed.type === "boolean" ? parsed.code : undefined;
  } catch (thrown) {
    if (thrown instanceof NotPlain) return undefined;
    throw thrown;
  }
}

class NotPlain extends Error {}

interface Token {
  readonly kind: "name" | "string" | "number" | "sign";
  readonly text: string;
}

const TOKEN = /\s*(?:([A-Za-z_]\w*)|'([^'\\]*)'|"([^"\\]*)"|(\d+(?:\.\d+)?)|(==|!=|<=|>=|[<>().,[\]|]))/y;

function tokenize(text: string): readonly Token[] | undefined {
  const tokens: Token[] = [];
  const source = text.trim();
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < source.length) {
    const found = TOKEN.exec(source);
    if (found === null) return undefined;
    const [, name, single, double, number, sign] = found;
    if (name !== undefined) tokens.push({ kind: "name", text: name });
    else if (number !== undefined) tokens.push({ kind: "number", text: number });
    else if (sign !== undefined) tokens.push({ kind: "sign", text: sign });
    else tokens.push({ kind: "string", text: single ?? double ?? "" });
  }
  return tokens;
}

/** A part of a condition: how tightly it binds decides on parentheses. */
interface Part {
  readonly code: string;
  readonly type: PlainValue["type"] | "list";
  readonly binds: "or" | "and" | "compare" | "value";
}

const STATES: Readonly<Record<string, string>> = {
  changed: "changed",
  change: "changed",
  failed: "failed",
  failure: "failed",
  skipped: "skipped",
  skip: "skipped",
};

class Parser {
  readonly #tokens: readonly Token[];
  readonly #names: PlainNames;
  #at = 0;

  constructor(tokens: readonly Token[], names: PlainNames) {
    this.#tokens = tokens;
    this.#names = names;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#tokens.length;
  }

  or(): Part {
    return this.#chain("or", "||", () => this.#and());
  }

  #and(): Part {
    return this.#chain("and", "&&", () => this.#not());
  }

  #chain(word: "or" | "and", sign: string, next: () => Part): Part {
    const parts = [next()];
    while (this.#takes("name", word)) parts.push(next());
    if (parts.length === 1) return parts[0]!;
    const codes = parts.map((part) => {
      if (part.type !== "boolean") throw new NotPlain();
      return part.binds === "or" && word === "and" ? `(${part.code})` : part.code;
    });
    return { code: codes.join(` ${sign} `), type: "boolean", binds: word };
  }

  #not(): Part {
    if (!this.#takes("name", "not")) return this.#compare();
    const inner = this.#not();
    if (inner.type !== "boolean") throw new NotPlain();
    return { code: negate(inner), type: "boolean", binds: inner.binds === "compare" ? "compare" : "value" };
  }

  #compare(): Part {
    const left = this.#value();
    const sign = this.#tokens[this.#at];
    if (sign?.kind === "sign" && /^(?:==|!=|[<>]=?)$/.test(sign.text)) {
      this.#at++;
      const right = this.#value();
      if (left.type !== right.type || left.type === "list") throw new NotPlain();
      if (left.type !== "number" && !/=$/.test(sign.text)) throw new NotPlain();
      const operator = sign.text === "==" ? "===" : sign.text === "!=" ? "!==" : sign.text;
      return { code: `${left.code} ${operator} ${right.code}`, type: "boolean", binds: "compare" };
    }
    const isNot = this.#peek(0, "name", "not") && this.#peek(1, "name", "in");
    if (isNot) this.#at++;
    if (this.#takes("name", "in")) {
      const right = this.#value();
      if (right.type !== "list" || left.type !== "string") throw new NotPlain();
      return {
        code: `${isNot ? "!" : ""}${right.code}.includes(${left.code})`,
        type: "boolean",
        binds: "value",
      };
    }
    return left;
  }

  #value(): Part {
    const token = this.#tokens[this.#at++];
    if (token === undefined) throw new NotPlain();
    if (token.kind === "string") return { code: quote(token.text), type: "string", binds: "value" };
    if (token.kind === "number") return { code: token.text, type: "number", binds: "value" };
    if (token.kind === "sign") {
      if (token.text === "(") {
        const inner = this.or();
        this.#expect(")");
        return inner;
      }
      if (token.text === "[") return this.#list();
      throw new NotPlain();
    }
    if (/^(?:true|false)$/i.test(token.text))
      return { code: token.text.toLowerCase(), type: "boolean", binds: "value" };
    return this.#named(token.text);
  }

  #list(): Part {
    const items: string[] = [];
    while (!this.#takes("sign", "]")) {
      const token = this.#tokens[this.#at++];
      if (token?.kind !== "string") throw new NotPlain();
      items.push(quote(token.text));
      if (!this.#takes("sign", ",") && !this.#peek(0, "sign", "]")) throw new NotPlain();
    }
    return { code: `[${items.join(", ")}]`, type: "list", binds: "value" };
  }

  #named(name: string): Part {
    const path = [name];
    for (;;) {
      if (this.#takes("sign", ".")) {
        const token = this.#tokens[this.#at++];
        if (token?.kind !== "name") throw new NotPlain();
        path.push(token.text);
      } else if (this.#peek(0, "sign", "[") && this.#tokens[this.#at + 1]?.kind === "string") {
        path.push(this.#tokens[this.#at + 1]!.text);
        this.#at += 2;
        this.#expect("]");
      } else break;
    }
    const value = this.#valueAt(path);
    if (value === undefined) throw new NotPlain();
    // A bool stays one.
    if (this.#peek(0, "sign", "|")) {
      if (value.type !== "boolean" || !this.#peek(1, "name", "bool")) throw new NotPlain();
      this.#at += 2;
    }
    return { ...value, binds: "value" };
  }

  #valueAt(path: readonly string[]): PlainValue | undefined {
    const [first = "", second, third] = path;
    const { fact, roleVar, result } = this.#names;
    const factName =
      first === "ansible_facts" && path.length === 2
        ? second!.replace(/^ansible_/, "")
        : path.length === 1 && first.startsWith("ansible_")
          ? first.slice("ansible_".length)
          : undefined;
    if (factName !== undefined) {
      if (factName === "check_mode") return { code: "check", type: "boolean" };
      const code = fact(factName);
      return code === undefined ? undefined : { code, type: "string" };
    }
    if (path.length === 1) {
      const known = result(first);
      if (known === undefined) return roleVar(first);
      return this.#stateOf(known.code);
    }
    const known = result(first);
    if (known === undefined) return undefined;
    const { code, isCommand, isStat } = known;
    if (path.length === 2 && second! in STATES)
      return { code: `${code}.${STATES[second!]}`, type: "boolean" };
    if (path.length === 2 && isCommand && second === "rc") return { code: `${code}.data.rc`, type: "number" };
    if (path.length === 2 && isCommand && /^(?:stdout|stderr)$/.test(second!))
      return { code: `${code}.data.${second}`, type: "string" };
    if (path.length === 3 && isStat && second === "stat" && third === "exists")
      return { code: `${code}.data.stat.exists`, type: "boolean" };
    return undefined;
  }

  /** `is changed`, `is not failed`, `is succeeded` behind a task's result. */
  #stateOf(code: string): PlainValue | undefined {
    if (!this.#takes("name", "is")) return undefined;
    const isNot = this.#takes("name", "not");
    const word = this.#tokens[this.#at++]?.text ?? "";
    if (/^succe(?:ss|eded|ss?ful)$/.test(word))
      return { code: `${isNot ? "" : "!"}${code}.failed`, type: "boolean" };
    const state = STATES[word];
    return state === undefined ? undefined : { code: `${isNot ? "!" : ""}${code}.${state}`, type: "boolean" };
  }

  #peek(ahead: number, kind: Token["kind"], text: string): boolean {
    const token = this.#tokens[this.#at + ahead];
    return token?.kind === kind && token.text === text;
  }

  #takes(kind: Token["kind"], text: string): boolean {
    const is = this.#peek(0, kind, text);
    if (is) this.#at++;
    return is;
  }

  #expect(sign: string): void {
    if (!this.#takes("sign", sign)) throw new NotPlain();
  }
}

function negate({ code, binds }: Part): string {
  if (binds === "compare") {
    const [, left, sign, right] = /^(.*) (===|!==) (.*)$/s.exec(code) ?? [];
    if (sign !== undefined) return `${left} ${sign === "===" ? "!==" : "==="} ${right}`;
    return `!(${code})`;
  }
  if (binds !== "value") return `!(${code})`;
  return code.startsWith("!") ? code.slice(1) : `!${code}`;
}
