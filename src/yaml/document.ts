import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  Lexer,
  LineCounter,
  type Node,
  type Pair,
  parseAllDocuments,
  parseDocument,
  type Scalar,
  visit,
  type YAMLError,
} from "yaml";
import { type ErrorCode, printable, type SourceLocation, VolleyError } from "../core/errors.ts";
import { keyOf, makeDict } from "../core/values/value.ts";
import { type IndentedText, indentBrackets, indentQuoted } from "./loose-lines.ts";
import { parseTimestamp, resolveScalar, resolveTagged } from "./scalar.ts";

/** A node of a YAML document. Only the reader that made it can look inside. */
export type YamlNode = object;

/** A `key: value` of a mapping. */
export interface YamlEntry {
  /** The key as it is written. */
  readonly key: string;
  /** The key's value where it differs from the text: `20` is a number. */
  readonly typed?: unknown;
  readonly value: YamlNode | null;
  /** The position of the key. */
  readonly location: SourceLocation;
}

/** A YAML document, with the position of every node. */
export interface YamlReader {
  /** Null for an empty document. */
  readonly root: YamlNode | null;
  locate(node: YamlNode | null): SourceLocation;
  /** Return the entries of a mapping, aliases followed and `<<` merged; null for any other node. */
  entries(node: YamlNode | null): readonly YamlEntry[] | null;
  /** Return the items of a list, aliases followed; null for any other node. */
  items(node: YamlNode | null): readonly (YamlNode | null)[] | null;
  /** Return a node's value, as `core/values/value.ts` models values. */
  value(node: YamlNode | null): unknown;
}

/** A node with a tag that YAML itself does not define the value of. */
export interface TaggedNode {
  /** Such as `!vault` or `!!binary`. */
  readonly tag: string;
  /** The text of a scalar; undefined for a list or mapping. */
  readonly text: string | undefined;
  readonly isKey: boolean;
  readonly location: SourceLocation;
  /** Return the value that the node would have without its tag. */
  value(): unknown;
}

/** The differences between the kinds of YAML text that Volley reads. */
export interface YamlDialect {
  /** The code of every error. */
  readonly code: ErrorCode;
  /** A repeated key takes its last value, as in PyYAML. Default: it is an error. */
  readonly lastWins?: boolean;
  /** Told of each repeated key of a mapping that is looked at, where the last one wins. */
  repeated?(key: string, location: SourceLocation, first: SourceLocation): void;
  /** Return the value of a tagged node; undefined refuses the tag. */
  tagged(node: TaggedNode): unknown;
  /** Return the value of a timestamp, which is in UTC. Default: its text. */
  timestamp?(time: Date, hasClock: boolean): unknown;
  /** Replace a scalar's value. Default: the value stays. */
  scalar?(value: unknown, location: SourceLocation): unknown;
}

/**
 * Parse one document of YAML 1.1; JSON is YAML too. Fail with the dialect's code, with line and column in `file`. Only
 * values that are asked for are looked at, so an unknown tag fails late.
 */
export function parseYamlDocument(text: string, file: string, dialect: YamlDialect): YamlReader {
  return parse(text, file, dialect, (given, options) => [parseDocument(given, options)])[0]!;
}

/** Parse every document of a YAML stream, as {@link parseYamlDocument} does. */
export function parseYamlStream(text: string, file: string, dialect: YamlDialect): readonly YamlReader[] {
  return parse(
    text,
    file,
    dialect,
    (given, options) => [...parseAllDocuments(given, options)] as Document.Parsed[],
  );
}

/** Calls the parser. */
type Work = (text: string, options: Parameters<typeof parseDocument>[1]) => readonly Document.Parsed[];

function parse(given: string, file: string, dialect: YamlDialect, work: Work): readonly YamlReader[] {
  const { code } = dialect;
  // Some editors put a byte order mark in front of a text.
  const text = given.replace(/^\ufeff/, "");
  if (isTooDeep(text)) throw new VolleyError(code, "it is nested too deeply", { location: { file } });
  const { documents, locate } = parseLoosely(text, file, code, work);
  return documents.map((document) => new DocumentReader(document, file, locate, dialect));
}

/** What the parser made of a text. */
interface Parsed {
  readonly documents: readonly Document.Parsed[];
  readonly problem: YAMLError | undefined;
  readonly lines: LineCounter;
}

function parseOnce(text: string, file: string, code: ErrorCode, work: Work): Parsed {
  const lines = new LineCounter();
  try {
    // The failsafe schema leaves scalars as text, for resolveScalar to read as YAML 1.1.
    const documents = work(text, {
      schema: "failsafe",
      version: "1.1",
      uniqueKeys: false,
      prettyErrors: false,
      logLevel: "error",
      lineCounter: lines,
    });
    if (!/[\n\r]$/.test(text)) endBlockText(documents.at(-1)?.contents, text.length);
    return { documents, problem: documents.flatMap(({ errors }) => errors)[0], lines };
  } catch (cause) {
    throw new VolleyError(code, invalid(file, String(cause)), { location: { file }, cause });
  }
}

/** Say why a text is no document. JSON is YAML, but people who wrote JSON look for its name. */
function invalid(file: string, why: string): string {
  return `not valid YAML${file.toLowerCase().endsWith(".json") ? " or JSON" : ""}: ${printable(why)}`;
}

/** Take the line end off a block text whose last line ends with the file, at `end`: PyYAML gives it none, `|+` or not. */
function endBlockText(node: unknown, end: number): void {
  if (isMap(node)) endBlockText(node.items.at(-1)?.value, end);
  else if (isSeq(node)) endBlockText(node.items.at(-1), end);
  else if (isScalar<string>(node) && node.type?.startsWith("BLOCK") === true && node.range?.[1] === end)
    node.value = node.value.replace(/\n$/, "");
}

/** The parser's words for a quoted text, and for a list or mapping in brackets, that ends too early. */
const LOST_QUOTE = /^Missing closing (["'])quote/;
const LOST_BRACKETS = /^Flow (?:map|sequence) in block collection must be sufficiently indented/;

/** Move the lines in that made the parser lose a quoted text or brackets; undefined where that is not the problem. */
function moveIn(text: string, { message, pos: [offset] }: YAMLError): IndentedText | undefined {
  const [, quote] = LOST_QUOTE.exec(message) ?? [];
  if (quote !== undefined) return indentQuoted(text, offset, quote);
  return LOST_BRACKETS.test(message) ? indentBrackets(text, offset) : undefined;
}

/** Parse a text, and move lines of quoted texts and brackets in where the parser needs that. */
function parseLoosely(
  text: string,
  file: string,
  code: ErrorCode,
  work: Work,
): { readonly documents: readonly Document.Parsed[]; locate(offset: number): SourceLocation } {
  const added = new Map<number, number>();
  let current = text;
  let parsed = parseOnce(text, file, code, work);
  const locate = (offset: number): SourceLocation => {
    const { line, col } = parsed.lines.linePos(offset);
    return { file, line, column: Math.max(1, col - (added.get(line) ?? 0)) };
  };
  while (parsed.problem !== undefined) {
    const { problem } = parsed;
    const moved = moveIn(current, problem);
    const next = moved && parseOnce(moved.text, file, code, work);
    const isHelp =
      next !== undefined &&
      (next.problem === undefined || next.lines.linePos(next.problem.pos[0]).line > moved!.lastLine);
    if (!isHelp) {
      throw new VolleyError(code, invalid(file, describeProblem(problem, current)), {
        location: locate(problem.pos[0]),
        cause: problem,
      });
    }
    for (const [line, blanks] of moved!.added) added.set(line, (added.get(line) ?? 0) + blanks);
    current = moved!.text;
    parsed = next;
  }
  return { documents: parsed.documents, locate };
}

/** The limit for nested aliases and merged mappings; collections in the text itself have {@link MAX_LEVELS}. */
const MAX_DEPTH = 64;
/** The limit for nodes read from one document: with aliases a few lines can stand for billions. */
const MAX_READS = 5_000_000;

class DocumentReader implements YamlReader {
  readonly root: Node | null;
  readonly #document: Document.Parsed;
  readonly #file: string;
  readonly #locate: (offset: number) => SourceLocation;
  readonly #dialect: YamlDialect;
  #targets: ReadonlyMap<Node, Node> | undefined;
  #reads = 0;

  constructor(
    document: Document.Parsed,
    file: string,
    locate: (offset: number) => SourceLocation,
    dialect: YamlDialect,
  ) {
    this.#document = document;
    this.#file = file;
    this.#locate = locate;
    this.#dialect = dialect;
    const root = document.contents;
    const isEmpty = isScalar(root) && root.type === "PLAIN" && root.source === "" && !root.tag;
    this.root = isEmpty ? null : root;
  }

  locate(node: YamlNode | null): SourceLocation {
    const offset = (node as Node | null)?.range?.[0];
    return offset === undefined ? { file: this.#file } : this.#locate(offset);
  }

  entries(node: YamlNode | null, depth = 0): readonly YamlEntry[] | null {
    this.#count(node);
    if (depth > MAX_DEPTH) this.#fail("mappings are merged too deeply, or one is merged with itself", node);
    const map = this.#follow(node);
    if (!isMap<Node, Node | null>(map)) return null;
    const own = new Map<unknown, YamlEntry>();
    // PyYAML puts merged entries first, wherever `<<` stands, and a key keeps its first place.
    const all = new Map<unknown, YamlEntry>();
    for (const pair of map.items) {
      const { key, typed } = this.#key(pair);
      if (key === "<<" && (pair.key as Scalar).type === "PLAIN") {
        this.#merge(pair.value, all, depth + 1);
        continue;
      }
      const location = this.locate(pair.key);
      const same = keyOf(own, typed);
      const first = own.get(same);
      if (first !== undefined && this.#dialect.lastWins === true) {
        this.#dialect.repeated?.(key, location, first.location);
        own.set(same, { ...first, value: pair.value });
        continue;
      }
      if (first !== undefined)
        this.#fail(
          `"${key}" is written twice, on line ${first.location.line} and on line ${location.line}`,
          pair.key,
        );
      own.set(same, { key, typed, value: pair.value, location });
    }
    for (const entry of own.values()) all.set(keyOf(all, entry.typed), entry);
    return [...all.values()];
  }

  items(node: YamlNode | null): readonly (YamlNode | null)[] | null {
    const list = this.#follow(node);
    return isSeq<Node>(list) ? list.items : null;
  }

  /** Add the entries of a mapping, or of a list of mappings, the first of which wins. */
  #merge(node: YamlNode | null, into: Map<unknown, YamlEntry>, depth: number): void {
    const source = this.#follow(node);
    for (const map of isSeq<Node>(source) ? source.items.toReversed() : [source]) {
      const entries = this.entries(map, depth);
      if (entries === null) this.#fail("<< must be given a mapping, or a list of mappings", node);
      for (const entry of entries) into.set(keyOf(into, entry.typed), entry);
    }
  }

  #key(pair: Pair<Node, Node | null>): { readonly key: string; readonly typed: unknown } {
    const key = this.#follow(pair.key);
    if (!isScalar(key)) {
      const hint = isMap(key) ? "; a value that begins with {{ must be in quotes" : "";
      return this.#fail(`a key must be text${hint}`, pair.key);
    }
    return { key: String(key.value), typed: this.#resolve(key, true) };
  }

  value(node: YamlNode | null, depth = 0): unknown {
    this.#count(node);
    if (depth > MAX_DEPTH) this.#fail("this is nested too deeply, or an alias holds itself", node);
    const target = this.#follow(node);
    if (target === null) return null;
    if (isScalar(target)) {
      const value = this.#resolve(target);
      return this.#dialect.scalar?.(value, this.locate(target)) ?? value;
    }
    const collection = (): unknown => this.#collection(target, depth);
    const tag = shortTag(target);
    return tag === "" || tag === "!!map" || tag === "!!seq"
      ? collection()
      : this.#tagged(target, { tag, text: undefined, isKey: false, value: collection });
  }

  #collection(node: Node, depth: number): unknown {
    if (isSeq<Node>(node)) return node.items.map((item) => this.value(item, depth + 1));
    const entries = this.entries(node);
    if (entries === null) return this.#fail("this is no value", node);
    return makeDict(entries.map(({ key, typed = key, value }) => [typed, this.value(value, depth + 1)]));
  }

  #resolve(node: Scalar, isKey = false): unknown {
    const text = String(node.value);
    const timestamp = (): unknown => {
      const parsed = this.#dialect.timestamp && parseTimestamp(text);
      return parsed ? this.#dialect.timestamp?.(parsed.time, parsed.hasClock) : undefined;
    };
    const untagged = (): unknown => (node.type === "PLAIN" ? (timestamp() ?? resolveScalar(text)) : text);
    const tag = shortTag(node);
    switch (tag) {
      case "":
        return untagged();
      case "!":
      case "!!str":
        return text;
      case "!!int":
      case "!!float":
      case "!!bool":
      case "!!null": {
        const value = resolveTagged(tag, text);
        return value === undefined ? this.#fail(`"${text}" is no ${tag}`, node) : value;
      }
      default: {
        const value = tag === "!!timestamp" ? timestamp() : undefined;
        return value ?? this.#tagged(node, { tag, text, isKey, value: untagged });
      }
    }
  }

  #tagged(node: Node, tagged: Omit<TaggedNode, "location">): unknown {
    const found = this.#dialect.tagged({ ...tagged, location: this.locate(node) });
    return found === undefined ? this.#fail(`the tag ${tagged.tag} is not supported`, node) : found;
  }

  #follow(written: YamlNode | null): Node | null {
    const node = written as Node | null;
    if (!isAlias(node)) return node;
    this.#targets ??= targetsOf(this.#document);
    return this.#targets.get(node) ?? this.#fail(`the alias *${node.source} stands for nothing`, node);
  }

  #count(node: YamlNode | null): void {
    if (++this.#reads > MAX_READS)
      this.#fail("it holds too much, aliases counted as often as they stand there", node);
  }

  #fail(message: string, node: YamlNode | null): never {
    throw new VolleyError(this.#dialect.code, printable(message), { location: this.locate(node) });
  }
}

/** A node's tag as YAML texts write it, such as `!!int`; empty without a tag. */
function shortTag({ tag = "" }: { tag?: string }): string {
  return tag.replace("tag:yaml.org,2002:", "!!");
}

/** Return the node that each alias stands for. The parser's own way looks through the whole text for each alias. */
function targetsOf(document: Document.Parsed): ReadonlyMap<Node, Node> {
  const anchors = new Map<string, Node>();
  const targets = new Map<Node, Node>();
  visit(document, (_key, node) => {
    if (isAlias(node)) {
      const target = anchors.get(node.source);
      if (target !== undefined) targets.set(node, target);
    } else if (isNode(node)) {
      const { anchor } = node as { readonly anchor?: string };
      if (anchor !== undefined) anchors.set(anchor, node);
    }
  });
  return targets;
}

/** The parser recurses into each level; this is deeper than any text people write, and far from the stack's end. */
const MAX_LEVELS = 500;
/** The lexer's mark before a scalar. */
const SCALAR = "\u001f";

/**
 * Tell whether a text is nested too deeply for the parser. The parser cannot be left to find out: V8 ends the whole
 * process where the stack ends within the compilation of a regular expression, and nothing can be caught.
 */
function isTooDeep(text: string): boolean {
  return indicators(text) > MAX_LEVELS || (brackets(text) > MAX_LEVELS && flowDepth(text) > MAX_LEVELS);
}

/** Count the levels that blanks and `- `, `? ` and `: ` open on one line; return the most. */
function indicators(text: string): number {
  let most = 0;
  let levels = 0;
  let counts = true;
  for (let at = 0; at < text.length; at++) {
    const character = text[at]!;
    if (character === " " || character === "\t") {
      if (counts) levels++;
    } else if ("-?:".includes(character) && /\s/.test(text[at + 1] ?? "")) {
      levels++;
      counts = true;
    } else {
      levels = 0;
      counts = character === "\n";
    }
    if (levels > most) most = levels;
  }
  // A level takes two characters, or is a line's indentation.
  return Math.ceil(most / 2);
}

/** Return the most brackets that are open anywhere, brackets in texts and comments included. */
function brackets(text: string): number {
  return deepest(only(text, /[[\]{}]/g));
}

function* only(text: string, pattern: RegExp): Iterable<string> {
  for (const [match] of text.matchAll(pattern)) yield match;
}

function flowDepth(text: string): number {
  return deepest(syntax(text));
}

/** The lexemes of a text that are no scalars. */
function* syntax(text: string): Iterable<string> {
  let isScalar = false;
  for (const lexeme of new Lexer().lex(text)) {
    if (!isScalar) yield lexeme;
    isScalar = !isScalar && lexeme === SCALAR;
  }
}

function deepest(lexemes: Iterable<string>): number {
  let most = 0;
  let open = 0;
  for (const lexeme of lexemes) {
    if (lexeme === "[" || lexeme === "{") most = Math.max(most, ++open);
    else if (lexeme === "]" || lexeme === "}") open = Math.max(0, open - 1);
  }
  return most;
}

/** Words by the parser's code, and part of its message where a code stands for several faults. */
const WORDS: readonly (readonly [code: string, said: RegExp, words: string])[] = [
  ["MULTIPLE_DOCS", /./, "a second document begins here (---); a file holds one"],
  ["BLOCK_AS_IMPLICIT_KEY", /./, 'text with ": " in it must be in quotes'],
  ["MULTILINE_IMPLICIT_KEY", /./, "a key must stand on one line, and at the column of its neighbours"],
  ["MISSING_CHAR", /map values/, 'this line has no ":" behind a key'],
  ["MISSING_CHAR", /'quote/, "the quote ' is not closed"],
  ["MISSING_CHAR", /"quote/, 'the quote " is not closed'],
  ["MISSING_CHAR", /directives-end/, "a line with --- must follow the lines that begin with %"],
  ["UNEXPECTED_TOKEN", /map-end|seq-end/, "this bracket closes none"],
  [
    "UNEXPECTED_TOKEN",
    /scalar (?:at node end|token)/,
    "text stands here that belongs to nothing; look at the indentation, or put the whole value in quotes",
  ],
];

/** Say what is wrong, for the author of the text: the parser's messages speak of its functions and tokens. */
function describeProblem({ code, message, pos: [offset] }: YAMLError, text: string): string {
  const line = text.slice(text.lastIndexOf("\n", offset - 1) + 1);
  if (/^ *\t/.test(line)) return "a tab indents this line; YAML wants spaces";
  const found = WORDS.find(([known, said]) => known === code && said.test(message));
  return found?.[2] ?? message.replace(/^[A-Z]/, (letter) => letter.toLowerCase());
}
