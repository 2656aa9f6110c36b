import { lstatSync, type Stats, statSync } from "node:fs";
import { posix } from "node:path";
import type { Node } from "nunjucks/src/nodes.js";
import type { Frame as FrameType } from "nunjucks/src/runtime.js";
import nunjucksRuntime from "nunjucks/src/runtime.js";
import type { AssetKind } from "../core/asset.ts";
import type { FileType } from "../core/system.ts";
import { keepsText } from "../core/values/kept-text.ts";
import { VarsFrame } from "./access.ts";
import { locate, NeedsCopies, type Position } from "./errors.ts";
import { findLookup, globals } from "./lookups.ts";
import { findFilter, findTest } from "./names.ts";
import type { TemplateOptions, TemplateStyle, TemplateVars } from "./options.ts";
import { FILE_STYLE, type TemplateCode, templateBody, templateKey } from "./precompiled.ts";
import { type Block, type CompiledTemplate, type Context, createRuntime, type Runtime } from "./runtime.ts";
import { compileExpression, compileTemplate } from "./syntax/compiler.ts";
import { type LexerOptions, readHeader, SyntaxFailure } from "./syntax/lexer.ts";
import { type AttributeNode, type ItemNode, type Piece, pieceOf } from "./syntax/nodes.ts";
import { parseExpression, parseTemplate } from "./syntax/parser.ts";
import { type Callable, type CallState, isList, str } from "./values.ts";

/** A compiled expression. */
type Expression = (context: Context, frame: FrameType) => unknown;

/** The compiled text of a var. */
interface CompiledText {
  readonly template: CompiledTemplate;
  /** The expression of a text that is nothing but one expression. */
  readonly lone: Expression | undefined;
  /** The piece that a lone expression is. */
  readonly piece: Piece;
  /** The list or dict and the key, for a lone expression that is an item of one. */
  readonly member: Member | undefined;
  readonly newlines: number;
}

/** An item of a list or dict, as an expression names it. */
interface Member {
  readonly holder: Expression;
  readonly key: Expression | string;
}

/** The value of the text of a var, before any text is read as a literal. */
export interface TextValue {
  readonly value: unknown;
  /** What is needed to know whether the value stays text, see {@link CompiledText}. */
  readonly text: CompiledText;
  /** True for an item that stays text, see `core/values/kept-text.ts`. */
  readonly isKept: boolean;
  /** The pieces that statements put together: one alone stays what it is. */
  readonly pieces: readonly Piece[];
}

/** The name of every text of a var, until an error says which var it is. */
export const VAR_TEXT = "<var>";

/** The name of every lone expression. */
const EXPRESSION = "<expression>";

/** The options of the lexer, and whether a result ends with the newlines of its template. */
interface Style {
  readonly lexer: LexerOptions;
  readonly keepTrailingNewline: boolean;
}

const DEFAULT_STYLE: Style = {
  lexer: FILE_STYLE,
  keepTrailingNewline: true,
};

function withStyle({ lexer, keepTrailingNewline }: Style, changes: TemplateStyle): Style {
  const { trimBlocks = lexer.trimBlocks, lstripBlocks = lexer.lstripBlocks } = changes;
  return {
    lexer: { ...lexer, trimBlocks, lstripBlocks, marks: changes.marks ?? lexer.marks ?? {} },
    keepTrailingNewline: changes.keepTrailingNewline ?? keepTrailingNewline,
  };
}

function lookHere(path: string, follow: boolean): FileType | null {
  let stats: Stats | undefined;
  try {
    stats = (follow ? statSync : lstatSync)(path, { throwIfNoEntry: false });
  } catch {
    // A path below a file, or too long for one, is none, as for Python.
  }
  if (stats === undefined) return null;
  // Templates tell no other types apart.
  return stats.isFile()
    ? "file"
    : stats.isDirectory()
      ? "directory"
      : stats.isSymbolicLink()
        ? "link"
        : "fifo";
}

/** Return the number of newlines at the end of a text. */
export function trailingNewlines(text: string): number {
  let at = text.length;
  while (at > 0 && text.charCodeAt(at - 1) === 10) at--;
  return text.length - at;
}

/** Make a function of compiled code, which holds nothing of a template but quoted constants and names. */
function build<T>(code: string, runtime: Runtime): T {
  return new Function("runtime", code)(runtime) as T;
}

/** The same for the code of a whole template. */
function buildTemplate(code: string): TemplateCode {
  return new Function("runtime", "name", code) as TemplateCode;
}

/** Return the expression of a template that is nothing but one expression. */
function loneExpression(root: Node): Node | undefined {
  const [output, ...more] = root.children as readonly Node[];
  if (output?.typename !== "Output" || more.length > 0) return undefined;
  const [only] = output.children as readonly Node[];
  return only === undefined || only.typename === "TemplateData" ? undefined : only;
}

/** Return the directories of a rendering's relative paths, as Ansible's magic vars name them. */
function searchPathOf(vars: TemplateVars): string[] {
  const { ansible_search_path: path, role_path: role, playbook_dir: playbook } = vars;
  return (isList(path) ? path : [role, playbook]).filter((one) => typeof one === "string");
}

/** Compiles and renders templates, and keeps what it compiled. */
export class TemplateEngine {
  readonly runtime: Runtime;
  readonly term: (text: string, vars: TemplateVars) => unknown;
  readonly #options: TemplateOptions;
  #style: Style;
  /** The file that is being rendered: what it includes may lie beside it. */
  #outermost: { readonly name: string; readonly looksBesideFirst: boolean } | undefined;
  readonly #globals = new nunjucksRuntime.Frame();
  readonly #compiled = new Map<string, CompiledTemplate>();
  readonly #expressions = new Map<string, Expression>();
  readonly #texts = new Map<string, CompiledText>();
  /** The templates and expressions that change lists or dicts. */
  readonly #changing = new WeakSet<object>();

  /** `term` renders a literal text that a template gives a lookup. */
  constructor(options: TemplateOptions, term: (text: string, vars: TemplateVars) => unknown) {
    this.#options = options;
    this.term = term;
    this.#style = withStyle(DEFAULT_STYLE, options);
    Object.assign(this.#globals.variables, globals());
    this.runtime = createRuntime({
      find: (name) => {
        for (const each of this.#placesOf(name)) {
          const source = this.#readText(each);
          if (source !== null) return this.#compile(source, each);
        }
        return null;
      },
      createContext: (template, parent, state) => this.#createContext(template, parent, state),
    });
  }

  /** Render a template of the loader; null for an unknown one. `more` are variables over `vars`. */
  render(name: string, vars: TemplateVars, overrides: TemplateStyle, more: TemplateVars = {}): string | null {
    return this.styled(overrides, () => {
      const source = this.#readText(name);
      if (source === null) return null;
      return this.#within(name, false, () => this.renderText(source, name, vars, more));
    });
  }

  /** Do work with another treatment of the text around tags. */
  styled<T>(changes: TemplateStyle, work: () => T): T {
    const before = this.#style;
    this.#style = withStyle(before, changes);
    try {
      return work();
    } finally {
      this.#style = before;
    }
  }

  /** Render a template that a template looks up by name; `more` are variables over those of its caller. */
  renderLooked(source: string, name: string, vars: TemplateVars, more: TemplateVars): string {
    return this.#within(name, true, () => this.renderText(source, name, vars, more));
  }

  #within<T>(name: string, looksBesideFirst: boolean, render: () => T): T {
    const before = this.#outermost;
    this.#outermost = { name, looksBesideFirst };
    try {
      return render();
    } finally {
      this.#outermost = before;
    }
  }

  /** Return where an included template may be: as in Ansible, beside the file rendered, too, however deep the include. */
  #placesOf(name: string): readonly string[] {
    if (this.#outermost === undefined || name.startsWith("/")) return [name];
    const beside = posix.join(posix.dirname(this.#outermost.name), name);
    return this.#outermost.looksBesideFirst ? [beside, name] : [name, beside];
  }

  /** Render a text; `more` are variables over those of its caller. */
  renderText(source: string, name: string, vars: TemplateVars, more: TemplateVars = {}): string {
    const template = this.#compile(source, name);
    const text = this.#untouched(template, vars, (frame, state) => {
      const context = this.#createContext(template, frame, state);
      for (const [key, value] of Object.entries(more)) context.frame.set(key, value);
      return template.root(context, context.frame);
    });
    if (!this.#style.keepTrailingNewline) return text;
    // Ansible lets Jinja drop the last newline, then gives the result as many newlines as the template ends with.
    return text + "\n".repeat(Math.max(0, trailingNewlines(source) - trailingNewlines(text)));
  }

  /** Return the value of the text of a var: of a lone expression its own value, otherwise text. */
  valueOf(source: string, vars: TemplateVars): TextValue {
    const text = this.#compileText(source);
    const { template, lone, member } = text;
    let isKept = false;
    const { runtime } = this;
    const around = runtime.pieces;
    const pieces: Piece[] = lone === undefined ? [] : [text.piece];
    try {
      const value = this.#untouched(template, vars, (frame, state) => {
        if (lone === undefined) {
          pieces.length = 0;
          runtime.pieces = pieces;
          const context = this.#createContext(template, frame, state);
          return template.root(context, context.frame);
        }
        const context: Context = { frame, state, blocks: new Map() };
        const found = lone(context, frame);
        if (member !== undefined && typeof found === "string") {
          const key = typeof member.key === "string" ? member.key : member.key(context, frame);
          isKept = keepsText(member.holder(context, frame), key);
        }
        return found;
      });
      return { value, text, isKept, pieces };
    } catch (error) {
      throw locate(error, { template: VAR_TEXT, line: 1 });
    } finally {
      // Vars are rendered while others are.
      runtime.pieces = around;
    }
  }

  /** Return what `use` makes of the value of an expression. `lookups` is false where it may not look anything up. */
  evaluate<T>(expression: string, vars: TemplateVars, use: (value: unknown) => T, lookups = true): T {
    const position: Position = { template: EXPRESSION, line: 1 };
    try {
      let compiled = this.#expressions.get(expression);
      if (compiled === undefined) {
        compiled = build<Expression>(compileExpression(parseExpression(expression)), this.runtime);
        this.#expressions.set(expression, compiled);
      }
      const evaluated = compiled;
      return this.#untouched(
        evaluated,
        vars,
        (frame, state) => use(evaluated({ frame, state, blocks: new Map() }, frame)),
        lookups,
      );
    } catch (error) {
      if (error instanceof SyntaxFailure) position.line = error.line;
      throw locate(error, position);
    }
  }

  /** Return the state of a rendering over vars, for a call from outside of templates. */
  stateOf(vars: TemplateVars): CallState {
    return new State(this, this.#options, vars, true, true);
  }

  #readText(name: string, kind?: AssetKind): string | null {
    return this.#options.loader?.read(name, kind) ?? null;
  }

  #compile(source: string, name: string): CompiledTemplate {
    const { trimBlocks, lstripBlocks, marks = {} } = this.#style.lexer;
    const key = `${trimBlocks}${lstripBlocks}${Object.entries(marks).flat().join("\n")}${name}\n${source}`;
    const known = this.#compiled.get(key);
    if (known !== undefined) return known;
    const position: Position = { template: name, line: 1 };
    try {
      const code = this.#precompiled(source) ?? buildTemplate(templateBody(source, this.#style.lexer));
      const template = code(this.runtime, name);
      this.#compiled.set(key, template);
      return template;
    } catch (error) {
      if (error instanceof SyntaxFailure) position.line = error.line;
      throw locate(error, position);
    }
  }

  /** Return the code of a text that was compiled before, in the style asked for. */
  #precompiled(source: string): TemplateCode | undefined {
    const { precompiled } = this.#options;
    const { trimBlocks, lstripBlocks, marks = {} } = this.#style.lexer;
    const isUsual =
      trimBlocks === FILE_STYLE.trimBlocks &&
      lstripBlocks === FILE_STYLE.lstripBlocks &&
      Object.keys(marks).length === 0;
    return precompiled === undefined || !isUsual ? undefined : precompiled[templateKey(source)];
  }

  #compileText(source: string): CompiledText {
    let text = this.#texts.get(source);
    if (text !== undefined) return text;
    const position: Position = { template: VAR_TEXT, line: 1 };
    try {
      const { body, options: lexer } = readHeader(source, { ...DEFAULT_STYLE.lexer, keepBackslashes: true });
      const root = parseTemplate(body, lexer);
      const only = loneExpression(root);
      text = {
        template: buildTemplate(compileTemplate(root, true))(this.runtime, VAR_TEXT),
        lone: only && build<Expression>(compileExpression(only), this.runtime),
        piece: only !== undefined && pieceOf(only),
        member: only && this.#memberOf(only),
        newlines: trailingNewlines(source),
      };
    } catch (error) {
      if (error instanceof SyntaxFailure) position.line = error.line;
      throw locate(error, position);
    }
    this.#texts.set(source, text);
    return text;
  }

  #memberOf(node: Node): Member | undefined {
    const compile = (one: Node): Expression => build(compileExpression(one), this.runtime);
    if (node.typename === "Attribute") {
      const { target, name } = node as AttributeNode;
      return { holder: compile(target), key: name };
    }
    if (node.typename !== "Item") return undefined;
    const { target, key } = node as ItemNode;
    return key.typename === "Slice" ? undefined : { holder: compile(target), key: compile(key) };
  }

  #createContext(template: CompiledTemplate, parent: FrameType | null, state: CallState): Context {
    const frame = (parent ?? this.#globals).push();
    const blocks = new Map<string, Block[]>();
    for (const name in template.blocks) blocks.set(name, [template.blocks[name]!]);
    const context: Context = { frame, state, blocks };
    if (blocks.size > 0) frame.set("self", this.runtime.self(context));
    return context;
  }

  /** Render without changing lists and dicts among `vars`: a template that changes some works on copies. */
  #untouched<T>(
    of: object,
    vars: TemplateVars,
    render: (frame: FrameType, state: CallState) => T,
    lookups = true,
  ): T {
    const once = (copies: boolean): T =>
      render(
        new VarsFrame(this.#globals, vars, copies),
        new State(this, this.#options, vars, copies, lookups),
      );
    if (this.#changing.has(of)) return once(true);
    try {
      return once(false);
    } catch (error) {
      if (!(error instanceof NeedsCopies)) throw error;
      this.#changing.add(of);
      return once(true);
    }
  }
}

/** The state of one rendering. */
class State implements CallState {
  readonly vars: TemplateVars;
  readonly ownsVars: boolean;
  readonly #engine: TemplateEngine;
  readonly #options: TemplateOptions;
  readonly #lookups: boolean;

  constructor(
    engine: TemplateEngine,
    options: TemplateOptions,
    vars: TemplateVars,
    ownsVars: boolean,
    lookups: boolean,
  ) {
    this.#engine = engine;
    this.#options = options;
    this.vars = vars;
    this.ownsVars = ownsVars;
    this.#lookups = lookups;
  }

  get env(): CallState["env"] {
    return this.#options.env ?? {};
  }

  get ask(): CallState["ask"] {
    const { ask } = this.#options;
    return (
      ask &&
      ((plugin, terms, options) => ask({ plugin, terms, options, searchPath: searchPathOf(this.vars) }))
    );
  }

  look(path: string, follow: boolean): FileType | null {
    const { look, ask } = this.#options;
    if (ask !== undefined) {
      // As in Ansible, playbooks ask about the machine that they are started from.
      const [type = null] = ask({ plugin: "stat", terms: [path], options: { follow }, searchPath: [] });
      return type as FileType | null;
    }
    return (look ?? lookHere)(path, follow);
  }

  filter(name: string): Callable {
    return findFilter(name);
  }

  test(name: string): Callable {
    return findTest(name);
  }

  lookup(name: string): Callable {
    return findLookup(name, this.#lookups ? (this.#options.lookups ?? {}) : null);
  }

  term(text: string): unknown {
    return this.#lookups ? this.#engine.term(text, this.vars) : text;
  }

  readText(name: string, kind: AssetKind): string | null {
    return this.#options.loader?.read(name, kind) ?? null;
  }

  findFile(name: string, directory: string): string | null {
    const { loader } = this.#options;
    if (loader?.find !== undefined) return loader.find(name, directory);
    return this.readText(name, directory === "templates" ? "templates" : "files") === null ? null : name;
  }

  listFiles(name: string): readonly string[] {
    return this.#options.loader?.list?.(name) ?? [];
  }

  renderTemplate(name: string, more: TemplateVars, marks: Readonly<Record<string, string>>): string | null {
    const text = this.readText(name, "templates") ?? this.#asked(name);
    if (text === null) return null;
    const style = Object.keys(marks).length === 0 ? {} : { marks };
    return this.#engine.styled(style, () => this.#engine.renderLooked(text, name, this.vars, more));
  }

  /** Return the text of a template that only the controller has; null without a controller. */
  #asked(name: string): string | null {
    const [text] = this.ask?.("template", [name], {}) ?? [];
    return text === undefined ? null : str(text);
  }
}
