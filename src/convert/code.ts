// TypeScript as text, laid out as Biome lays it out: what fits on a line stands on one, and the rest is broken up.

/** An expression. A text is code that is never broken up. */
export type Code = string | ObjectCode | ListCode | CallCode | ArrowCode | AroundCode | AllCode;

interface ObjectCode {
  readonly kind: "object";
  readonly entries: readonly (readonly [key: string, value: Code])[];
  /** Comments above entries, by key. */
  readonly comments?: Readonly<Record<string, readonly string[]>>;
}

interface ListCode {
  readonly kind: "list";
  readonly items: readonly Code[];
}

interface CallCode {
  readonly kind: "call";
  readonly callee: string;
  readonly args: readonly Code[];
}

interface ArrowCode {
  readonly kind: "arrow";
  readonly parameters: string;
  readonly body: Code;
}

/** Conditions of which all must hold. */
interface AllCode {
  readonly kind: "all";
  readonly parts: readonly Code[];
}

interface AroundCode {
  readonly kind: "around";
  readonly before: string;
  readonly inner: Code;
  readonly after: string;
}

/** The longest line, in columns. */
const WIDTH = 110;

export const object = (entries: ObjectCode["entries"], comments?: ObjectCode["comments"]): Code => ({
  kind: "object",
  entries,
  ...(comments === undefined ? {} : { comments }),
});
export const list = (items: readonly Code[]): Code => ({ kind: "list", items });
export const call = (callee: string, ...args: readonly Code[]): Code => ({ kind: "call", callee, args });
export const arrow = (parameters: string, body: Code): Code => ({ kind: "arrow", parameters, body });
export const all = (parts: readonly Code[]): Code =>
  parts.length === 1 ? parts[0]! : { kind: "all", parts };
export const around = (before: string, inner: Code, after = ""): Code => ({
  kind: "around",
  before,
  inner,
  after,
});

/** Write a text as a literal, with the quotes that need fewer escapes; a text of several lines as a template literal. */
export function quote(text: string): string {
  if (/\n.[\s\S]*\n./.test(text) && text.length > 40 && !text.includes("\r"))
    return `\`${text.replace(/[\\`]|\$\{/g, (each) => `\\${each}`)}\``;
  const json = JSON.stringify(text).replaceAll("\u2028", "\\u2028").replaceAll("\u2029", "\\u2029");
  const count = (character: string): number => text.split(character).length - 1;
  if (count('"') <= count("'")) return json;
  return `'${json.slice(1, -1).replaceAll('\\"', '"').replaceAll("'", "\\'")}'`;
}

/** Write a property's name, quoted where it must be. */
export function keyText(name: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(name) ? name : JSON.stringify(name);
}

/** Write an expression that begins at a column of a line with this indentation, and has `after` columns behind it. */
export function print(code: Code, indent: string, column: number, after = 0): string {
  const flat = flatten(code);
  const isOneLine = flat !== undefined && !flat.includes("\n");
  if (isOneLine && column + flat.length + after <= WIDTH) return flat;
  if (typeof code === "string") return code;
  const inner = `${indent}  `;
  switch (code.kind) {
    case "object": {
      if (code.entries.length === 0) return "{}";
      const lines = code.entries.map(([key, value]) => {
        const comments = (code.comments?.[key] ?? []).map((comment) => `${inner}${comment}\n`).join("");
        const name = `${key}: `;
        const isShort = isShorthand(key, value);
        const text = isShort ? key : `${name}${printValue(key, value, inner)}`.replace(/ \n/, "\n");
        return `${comments}${inner}${text},\n`;
      });
      return `{\n${lines.join("")}${indent}}`;
    }
    case "list": {
      if (code.items.length === 0) return "[]";
      const lines = code.items.map((item) => `${inner}${print(item, inner, inner.length, 1)},\n`);
      return `[\n${lines.join("")}${indent}]`;
    }
    case "call":
      return printCall(code, indent, column, after);
    case "arrow": {
      const head = `${code.parameters} =>`;
      const body = bodyOf(code.body);
      if (isOpen(body)) return `${head} ${print(body, indent, column + head.length + 1, after)}`;
      return `${head}\n${inner}${print(body, inner, inner.length, after)}`;
    }
    case "all": {
      const lines = code.parts.map((part) => print(part, indent, indent.length, 3));
      return lines.join(` &&\n${indent}`);
    }
    case "around": {
      const { before, inner: within, after: behind } = code;
      if (before.endsWith("(") && typeof within !== "string" && within.kind === "all")
        return `${before}\n${inner}${print(within, inner, inner.length)}\n${indent}${behind}`;
      return `${before}${print(within, indent, column + before.length, after + behind.length)}${behind}`;
    }
  }
}

/** True for a property that is its name alone. */
function isShorthand(key: string, value: Code | undefined): boolean {
  return key === value && !key.startsWith('"');
}

/** The value of a property. A text that does not fit stands on a line of its own, if that gains three columns. */
function printValue(key: string, value: Code, indent: string): string {
  const column = indent.length + key.length + 2;
  const isText = typeof value === "string" && /^["']/.test(value);
  if (isText && key.length >= 5 && column + value.length + 1 > WIDTH) return `\n${indent}  ${value}`;
  return print(value, indent, column, 1);
}

/** True for a body that stands on the line of its arrow, and is broken up within. */
function isOpen(body: Code): boolean {
  return typeof body !== "string" && (body.kind === "around" || body.kind === "list");
}

/** The body of an arrow function; that of an object needs parentheses. */
function bodyOf(body: Code): Code {
  return typeof body !== "string" && body.kind === "object" ? around("(", body, ")") : body;
}

/** Arguments: the last alone broken up, where the others fit; else one a line. */
function printCall({ callee, args }: CallCode, indent: string, column: number, after: number): string {
  const last = args.at(-1);
  const others = args.slice(0, -1).map(flatten);
  const isLike = typeof last === "object" && kindOf(args.at(-2)) === last.kind;
  if (typeof last === "object" && isHuggable(last) && !isLike && !others.includes(undefined)) {
    const head = `${callee}(${others.map((other) => `${other}, `).join("")}`;
    if (last.kind === "arrow" && !isOpen(last.body)) {
      const inside = `${indent}  `;
      const opening = `${head}${last.parameters} =>`;
      if (column + opening.length <= WIDTH)
        return `${opening}\n${inside}${print(last.body, inside, inside.length, 1)},\n${indent})`;
    }
    const text = print(last, indent, column + head.length, after + 1);
    const first = `${head}${text}`.split("\n")[0]!;
    if (text.includes("\n") && !head.includes("\n") && column + first.length <= WIDTH)
      return `${head}${text})`;
  }
  if (args.length === 1 && typeof last === "string" && last.startsWith("`")) return `${callee}(${last})`;
  const inner = `${indent}  `;
  const lines = args.map((each) => `${inner}${print(each, inner, inner.length, 1)},\n`);
  return `${callee}(\n${lines.join("")}${indent})`;
}

function kindOf(code: Code | undefined): string | undefined {
  return typeof code === "object" ? code.kind : undefined;
}

function isHuggable(code: Exclude<Code, string>): boolean {
  switch (code.kind) {
    case "object":
      return code.entries.length > 0;
    case "list":
      return code.items.length > 0;
    case "arrow":
      return true;
    case "call":
    case "around":
    case "all":
      return false;
  }
}

/** The code on one line; undefined for code that never stands on one. */
function flatten(code: Code): string | undefined {
  if (typeof code === "string") return code;
  const each = (codes: readonly Code[]): readonly string[] | undefined => {
    const texts = codes.map(flatten);
    return texts.includes(undefined) ? undefined : (texts as readonly string[]);
  };
  switch (code.kind) {
    case "object": {
      if (code.comments !== undefined && Object.keys(code.comments).length > 0) return undefined;
      if (code.entries.length === 0) return "{}";
      const values = each(code.entries.map(([, value]) => value));
      if (values === undefined) return undefined;
      const parts = code.entries.map(([key], index) =>
        isShorthand(key, values[index]) ? key : `${key}: ${values[index]}`,
      );
      return `{ ${parts.join(", ")} }`;
    }
    case "list": {
      const isTable =
        code.items.length > 1 &&
        (code.items.every((item) => sizeOf(item, "object") > 1) ||
          code.items.every((item) => sizeOf(item, "list") > 1));
      const items = isTable ? undefined : each(code.items);
      return items === undefined ? undefined : `[${items.join(", ")}]`;
    }
    case "call": {
      const args = each(code.args);
      return args === undefined ? undefined : `${code.callee}(${args.join(", ")})`;
    }
    case "arrow": {
      const body = flatten(bodyOf(code.body));
      return body === undefined ? undefined : `${code.parameters} => ${body}`;
    }
    case "all": {
      const parts = each(code.parts);
      return parts?.join(" && ");
    }
    case "around": {
      const inner = flatten(code.inner);
      return inner === undefined ? undefined : `${code.before}${inner}${code.after}`;
    }
  }
}

function sizeOf(code: Code, kind: "object" | "list"): number {
  if (typeof code === "string" || code.kind !== kind) return 0;
  return code.kind === "object" ? code.entries.length : code.kind === "list" ? code.items.length : 0;
}

/** A statement, or a comment: lines of code within a function. */
export type Statement =
  | { readonly kind: "line"; readonly code: Code }
  | { readonly kind: "comment"; readonly text: string }
  | { readonly kind: "blank" }
  /** `head {` body `}`, and what goes on behind: `} catch {`. */
  | {
      readonly kind: "block";
      readonly parts: readonly { readonly head: Code; readonly body: readonly Statement[] }[];
    };

/** Return the statements of a block that holds nothing but a block of its own without a head. */
export function withinBraces(body: readonly Statement[]): readonly Statement[] {
  const [only] = body;
  return body.length === 1 && only?.kind === "block" && only.parts[0]?.head === ""
    ? only.parts[0].body
    : body;
}

/** Write statements with this indentation. */
export function printStatements(statements: readonly Statement[], indent: string): string {
  let text = "";
  const isBlank = (at: number): boolean => statements[at]?.kind === "blank";
  for (const [at, statement] of statements.entries()) {
    switch (statement.kind) {
      case "blank":
        if (at > 0 && at < statements.length - 1 && !isBlank(at - 1)) text += "\n";
        break;
      case "comment":
        text += `${indent}// ${statement.text}\n`;
        break;
      case "line":
        text += `${indent}${print(statement.code, indent, indent.length, 1)};\n`;
        break;
      case "block":
        for (const [part, { head, body }] of statement.parts.entries()) {
          const before = part === 0 ? indent : " ";
          const written = print(head, indent, part === 0 ? indent.length : indent.length + 2, 2);
          const inside = printStatements(withinBraces(body), `${indent}  `);
          text += `${before}${written}${written === "" ? "" : " "}{\n${inside}${indent}}`;
        }
        text += "\n";
        break;
    }
  }
  return text;
}
