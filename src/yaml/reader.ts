import type { Node, Pair, Scalar, YAMLMap, YAMLParseError } from "yaml";
import { type SourceLocation, VolleyError } from "../core/errors.ts";
import { isSecret, makeSecret, parseSecret, type Secret, type SecretValue } from "../core/secret.ts";
import { printable } from "../core/text.ts";
import { Data, keyOf, makeDict, mapLeaves } from "../core/value.ts";
import type { YamlEntry, YamlNode, YamlReader } from "./node.ts";
import { resolveScalar, resolveTagged } from "./scalar.ts";
import { readSimpleYaml } from "./simple.ts";

type Yaml = typeof import("yaml");

const MAX_ALIAS_DEPTH = 64;
/** How many values and mappings are read of a file: with aliases a few lines can stand for billions. */
const MAX_READS = 5_000_000;

class ParsedYaml implements YamlReader {
  readonly root: Node | null;
  readonly #yaml: Yaml;
  readonly #file: string;
  readonly #secretFrom: string | undefined;
  readonly #lines: InstanceType<Yaml["LineCounter"]>;
  readonly #document: ReturnType<Yaml["parseDocument"]>;
  #targets: ReadonlyMap<Node, Node> | undefined;
  #reads = 0;

  constructor(yaml: Yaml, file: string, text: string, secretFrom: string | undefined) {
    this.#yaml = yaml;
    this.#file = file;
    this.#secretFrom = secretFrom;
    this.#lines = new yaml.LineCounter();
    this.#document = this.#parse(text);
    const error = this.#document.errors[0];
    if (error !== undefined) {
      throw new VolleyError("INVENTORY_INVALID", `not valid YAML: ${printable(describeYamlProblem(error))}`, {
        location: this.#place(error.pos[0]),
        cause: error,
      });
    }
    const root = this.#document.contents;
    this.root = this.#isEmpty(root) ? null : root;
  }

  #parse(text: string): ReturnType<Yaml["parseDocument"]> {
    if (isTooDeep(this.#yaml, text)) {
      throw new VolleyError("INVENTORY_INVALID", "it is nested too deeply", {
        location: { file: this.#file },
      });
    }
    try {
      // The failsafe schema leaves scalars as text, for resolveScalar to read as YAML 1.1.
      return this.#yaml.parseDocument(text, {
        schema: "failsafe",
        version: "1.1",
        uniqueKeys: false,
        prettyErrors: false,
        logLevel: "error",
        lineCounter: this.#lines,
      });
    } catch (cause) {
      throw new VolleyError("INVENTORY_INVALID", `not valid YAML: ${printable(String(cause))}`, {
        location: { file: this.#file },
        cause,
      });
    }
  }

  #place(offset: number): SourceLocation {
    const { line, col } = this.#lines.linePos(offset);
    return { file: this.#file, line, column: col };
  }

  #isEmpty(node: Node | null): boolean {
    return (
      node === null || (this.#yaml.isScalar(node) && node.type === "PLAIN" && node.source === "" && !node.tag)
    );
  }

  #follow(written: YamlNode | null): Node | null {
    const node = written as Node | null;
    if (!this.#yaml.isAlias(node)) return node;
    this.#targets ??= this.#findTargets();
    const target = this.#targets.get(node);
    if (target === undefined) this.#fail(`the alias *${node.source} stands for nothing`, node);
    return target ?? null;
  }

  /** What each alias stands for. The parser would look through the whole file for every one. */
  #findTargets(): ReadonlyMap<Node, Node> {
    const anchors = new Map<string, Node>();
    const targets = new Map<Node, Node>();
    this.#yaml.visit(this.#document, (_key, node) => {
      if (this.#yaml.isAlias(node)) {
        const target = anchors.get(node.source);
        if (target !== undefined) targets.set(node, target);
      } else if (this.#yaml.isNode(node)) {
        const { anchor } = node as { readonly anchor?: string };
        if (anchor !== undefined) anchors.set(anchor, node);
      }
    });
    return targets;
  }

  #count(node: YamlNode | null): void {
    if (++this.#reads > MAX_READS)
      this.#fail("it holds too much, aliases counted as often as they stand there", node);
  }

  #fail(message: string, node: YamlNode | null): never {
    throw new VolleyError("INVENTORY_INVALID", printable(message), { location: this.locate(node) });
  }

  locate(node: YamlNode | null): SourceLocation {
    const offset = (node as Node | null)?.range?.[0];
    return offset === undefined ? { file: this.#file } : this.#place(offset);
  }

  entries(node: YamlNode | null, depth = 0): readonly YamlEntry[] | null {
    this.#count(node);
    if (depth > MAX_ALIAS_DEPTH)
      this.#fail("mappings are merged too deeply, or one is merged with itself", node);
    const map = this.#follow(node);
    if (!this.#yaml.isMap(map)) return null;
    const own = new Map<unknown, YamlEntry>();
    // As in PyYAML what is merged comes first, whatever the order it is written in; a key keeps its first place.
    const found = new Map<unknown, YamlEntry>();
    for (const pair of (map as YAMLMap<Node, Node | null>).items) {
      const { key, typed } = this.#key(pair);
      if (key === "<<" && (pair.key as Scalar).type === "PLAIN") {
        this.#merge(pair.value, found, depth + 1);
        continue;
      }
      const location = this.locate(pair.key);
      const same = keyOf(own, typed);
      const first = own.get(same);
      if (first !== undefined) {
        const message = `"${key}" is written twice, on line ${first.location.line} and on line ${location.line}`;
        throw new VolleyError("INVENTORY_INVALID", printable(message), { location });
      }
      own.set(same, { key, typed, value: pair.value, location });
    }
    if (found.size === 0) return [...own.values()];
    for (const entry of own.values()) found.set(keyOf(found, entry.typed), entry);
    return [...found.values()];
  }

  /** Adds the entries of a mapping, or of a list of them of which earlier ones win. */
  #merge(node: YamlNode | null, into: Map<unknown, YamlEntry>, depth: number): void {
    const source = this.#follow(node);
    const maps = this.#yaml.isSeq(source) ? (source.items as Node[]).toReversed() : [source];
    for (const map of maps) {
      const entries = this.entries(map, depth);
      if (entries === null) this.#fail("<< must be given a mapping, or a list of mappings", node);
      for (const entry of entries) into.set(keyOf(into, entry.typed), entry);
    }
  }

  #key(pair: Pair<Node, Node | null>): { readonly key: string; readonly typed: unknown } {
    const key = this.#follow(pair.key);
    if (this.#yaml.isScalar(key)) {
      const typed = this.#resolve(key);
      if (typeof typed === "object" && isSecret(typed)) this.#fail("a key cannot be a secret", pair.key);
      return { key: String(key.value), typed: typed instanceof Data ? typed.text : typed };
    }
    const template = this.#yaml.isMap(key) ? "; a value that begins with {{ must be in quotes" : "";
    return this.#fail(`a key must be text${template}`, pair.key);
  }

  value(node: YamlNode | null, depth = 0): unknown {
    this.#count(node);
    if (depth > MAX_ALIAS_DEPTH) this.#fail("this is nested too deeply, or an alias holds itself", node);
    const target = this.#follow(node);
    if (target === null) return null;
    if (this.#yaml.isScalar(target)) return this.#scalar(target);
    if (target.tag === "!secret") return this.#secret(target);
    this.#checkTag(target);
    const value = this.#collection(target, depth);
    return target.tag === "!unsafe" ? mapLeaves(value, asData) : value;
  }

  #collection(node: Node, depth: number): unknown {
    if (this.#yaml.isSeq(node)) return node.items.map((item) => this.value(item as Node | null, depth + 1));
    const entries = this.entries(node);
    if (entries === null) return this.#fail("this is no value", node);
    return makeDict(entries.map(({ typed, value }) => [typed, this.value(value, depth + 1)]));
  }

  #checkTag(node: Node): void {
    const tag = (node as { tag?: string }).tag;
    if (tag === undefined || ["!unsafe", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"].includes(tag))
      return;
    this.#fail(`the tag ${tag.replace("tag:yaml.org,2002:", "!!")} is not supported`, node);
  }

  #secret(node: Node): unknown {
    const entries = this.entries(node)?.map(({ key, value }) => [key, this.value(value)] as const);
    return parseSecret(entries === undefined ? null : Object.fromEntries(entries), this.locate(node));
  }

  /** What stands in a file that was encrypted as a whole is a secret: texts, and numbers, that say something. */
  #scalar(node: Scalar): unknown {
    const value = this.#resolve(node);
    const from = this.#secretFrom;
    if (from === undefined || value === null || value === "" || typeof value === "boolean" || isSecret(value))
      return value;
    return makeSecret({ kind: "opened", from, value }, { location: this.locate(node) });
  }

  #resolve(node: Scalar): SecretValue | Data | Secret | boolean | null {
    const text = String(node.value);
    const plain = node.type === "PLAIN";
    switch (node.tag) {
      case undefined:
      case "":
        return plain ? resolveScalar(text) : text;
      case "!":
      case "tag:yaml.org,2002:str":
        return text;
      case "!unsafe":
        return new Data(text);
      case "tag:yaml.org,2002:int":
      case "tag:yaml.org,2002:float":
      case "tag:yaml.org,2002:bool":
      case "tag:yaml.org,2002:null": {
        const kind = node.tag.replace("tag:yaml.org,2002:", "");
        const value = resolveTagged(kind, text);
        return value === undefined ? this.#fail(`"${text}" is no !!${kind}`, node) : value;
      }
      case "!vault":
      case "!vault-encrypted":
        return makeSecret({ kind: "vault", text }, { location: this.locate(node) });
      case "!secret":
        return parseSecret(text, this.locate(node));
      default:
        return this.#fail(`the tag ${node.tag?.replace("tag:yaml.org,2002:", "!!")} is not supported`, node);
    }
  }
}

function asData(leaf: unknown): unknown {
  return typeof leaf === "string" ? new Data(leaf) : leaf;
}

/**
 * Parses any YAML (JSON is YAML too). Loads the parser when first called. `secretFrom`: what the file was decrypted
 * from; every value in it is then a secret. Fails with `INVENTORY_INVALID` and the line.
 */
export async function parseYaml(file: string, text: string, secretFrom?: string): Promise<YamlReader> {
  return new ParsedYaml(await import("yaml"), file, text, secretFrom);
}

/** Reads YAML the quick way where that can be done, else with the parser. Fails with `INVENTORY_INVALID` and the line. */
export async function readYaml(file: string, text: string, secretFrom?: string): Promise<YamlReader> {
  const simple = secretFrom === undefined ? readSimpleYaml(file, text) : null;
  return simple ?? (await parseYaml(file, text, secretFrom));
}

/** Deeper than anything one writes, and far from where the parser, which follows each level inwards, runs out of stack. */
const MAX_LEVELS = 500;

/** The part of the parser that takes a text apart without following anything inwards. */
interface Lexing {
  readonly Lexer: new () => { lex(text: string): Iterable<string> };
}

/** What the lexer puts in front of a scalar. */
const SCALAR = "\u001f";

/**
 * Whether YAML is nested too deeply to be parsed. This is not left to the parser: where the stack ends amid the
 * compilation of a regular expression V8 ends the whole process, and nothing can be caught.
 */
function isTooDeep(yaml: Lexing, text: string): boolean {
  return indicators(text) > MAX_LEVELS || (brackets(text) > MAX_LEVELS && flowDepth(yaml, text) > MAX_LEVELS);
}

/** The most levels that blanks and `- `, `? ` and `: ` open on one line. */
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

/** The most brackets that are open anywhere, those in texts and comments included. */
function brackets(text: string): number {
  let most = 0;
  let open = 0;
  for (const [bracket] of text.matchAll(/[[\]{}]/g)) {
    open = Math.max(0, open + (bracket === "[" || bracket === "{" ? 1 : -1));
    if (open > most) most = open;
  }
  return most;
}

function flowDepth(yaml: Lexing, text: string): number {
  let most = 0;
  let open = 0;
  let isScalar = false;
  for (const lexeme of new yaml.Lexer().lex(text)) {
    if (isScalar) isScalar = false;
    else if (lexeme === SCALAR) isScalar = true;
    else if (lexeme === "[" || lexeme === "{") most = Math.max(most, ++open);
    else if (lexeme === "]" || lexeme === "}") open = Math.max(0, open - 1);
  }
  return most;
}

/** By code of the YAML library, and part of its message where a code stands for several faults. */
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

/** What is wrong with a YAML file, in words for whoever wrote it: the library's own speak of its functions and tokens. */
function describeYamlProblem({ code, message }: Pick<YAMLParseError, "code" | "message">): string {
  const found = WORDS.find(([known, said]) => known === code && said.test(message));
  return found?.[2] ?? message.replace(/^[A-Z]/, (letter) => letter.toLowerCase());
}
