import { lstatSync, statSync } from "node:fs";
import type { Node } from "nunjucks/src/nodes.js";
import type { Frame as FrameType } from "nunjucks/src/runtime.js";
import nunjucksRuntime from "nunjucks/src/runtime.js";
import type { AssetKind } from "../core/asset.ts";
import { VolleyError } from "../core/errors.ts";
import type { FileType } from "../core/system.ts";
import type { RenderedVar, VarOrigin, VarScope } from "../vars/scope.ts";
import { VarsFrame } from "./access.ts";
import { fail, locate, NeedsCopies, nameVar, type Position } from "./errors.ts";
import { filters } from "./filters/index.ts";
import { findLookup, globals } from "./lookups.ts";
import { type Block, type CompiledTemplate, type Context, createRuntime, type Runtime } from "./runtime.ts";
import { compileExpression, compileTemplate } from "./syntax/compiler.ts";
import { type LexerOptions, readHeader, SyntaxFailure } from "./syntax/lexer.ts";
import type { FilterNode } from "./syntax/nodes.ts";
import { parseExpression, parseTemplate } from "./syntax/parser.ts";
import { tests } from "./tests.ts";
import {
  type Callable,
  type CallState,
  isDict,
  isList,
  isLiteral,
  readLiteral,
  Tuple,
  toValue,
} from "./values.ts";

/** A source of templates. */
export interface TemplateLoader {
  /** Return a text by its name relative to the role's templates, or its files; null for none. */
  read(name: string, kind?: AssetKind): string | null;
  /** List every file below a directory of the role's files, relative to it. Default: none. */
  list?(name: string): readonly string[];
}

/** The treatment of the text around tags; the names are Jinja's, the defaults those of Ansible's template module. */
export interface TemplateStyle {
  /** Drop the first newline after a block tag. Default: true. */
  readonly trimBlocks?: boolean;
  /** Drop the blanks before a block tag that is first on its line. Default: false. */
  readonly lstripBlocks?: boolean;
  /** Keep the newline at the very end. Default: true. */
  readonly keepTrailingNewline?: boolean;
}

/** The options of {@link createTemplates}. */
export interface TemplateOptions extends TemplateStyle {
  readonly loader?: TemplateLoader;
  /** The environment that `lookup('env', …)` reads. Default: empty. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Return the type of the file at a path, links followed or not; null for none. Default: on this machine. */
  readonly look?: (path: string, follow: boolean) => FileType | null;
  /** Lookups by name, which win over the built-in ones. */
  readonly lookups?: Readonly<Record<string, (...terms: unknown[]) => unknown>>;
}

/** Variables of a template. */
export type TemplateVars = Readonly<Record<string, unknown>>;

/** Templates that share a loader, options and a cache of compiled code. Failures are VolleyErrors `TEMPLATE_FAILED`. */
export interface Templates {
  /** Render a template of the loader. */
  render(name: string, vars: TemplateVars, overrides?: TemplateStyle): string;
  /** Render a text, which errors call `info.name`. */
  renderString(source: string, vars: TemplateVars, info?: { readonly name?: string }): string;
  /**
   * Render the text of a var. As in Ansible the value is the rendered text, or the list, dict or bool that this text
   * is. Backslashes in expressions stand for themselves. Errors name the var and the place where it is set.
   */
  renderValue(source: string, scope: VarScope, origin: VarOrigin): RenderedVar;
  /** Return the native value of an expression such as `a.b | length > 2`; an undefined result is an error. */
  evaluate(expression: string, vars: TemplateVars): unknown;
}

type Expression = (context: Context, frame: FrameType) => unknown;

/** The compiled text of a var. */
interface CompiledText {
  readonly template: CompiledTemplate;
  /** The expression of a text that is nothing but one expression. */
  readonly lone: Expression | undefined;
  /** The value of the lone expression is text and stays text. */
  readonly isText: boolean;
  /** The name, for a lone expression that is one. */
  readonly name: string | undefined;
  readonly newlines: number;
}

/** The name of every text of a var, until an error says which var it is. */
const VAR_TEXT = "<var>";

/** The filters whose text is never read as a list or dict. */
const TEXT_FILTERS = new Set(["string", "to_json", "to_nice_json", "to_yaml", "to_nice_yaml"]);

/** The options of the lexer, and whether a result ends with the newlines of its template. */
interface Style {
  readonly lexer: LexerOptions;
  readonly keepTrailingNewline: boolean;
}

const DEFAULT_STYLE: Style = {
  lexer: { trimBlocks: true, lstripBlocks: false, keepTrailingNewline: false },
  keepTrailingNewline: true,
};

function withStyle({ lexer, keepTrailingNewline }: Style, changes: TemplateStyle): Style {
  const { trimBlocks = lexer.trimBlocks, lstripBlocks = lexer.lstripBlocks } = changes;
  return {
    lexer: { ...lexer, trimBlocks, lstripBlocks },
    keepTrailingNewline: changes.keepTrailingNewline ?? keepTrailingNewline,
  };
}

function lookHere(path: string, follow: boolean): FileType | null {
  const stats = (follow ? statSync : lstatSync)(path, { throwIfNoEntry: false });
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

function trailingNewlines(text: string): number {
  return text.length - text.replace(/\n+$/, "").length;
}

function found(kind: string, table: Readonly<Record<string, Callable>>, name: string): Callable {
  const short = name.replace(/^ansible\.(?:builtin|utils|netcommon)\./, "");
  return (Object.hasOwn(table, short) ? table[short] : undefined) ?? fail(`there is no ${kind} '${name}'`);
}

/** Make a function of compiled code, which holds nothing of a template but quoted constants and names. */
function build<T>(code: string, runtime: Runtime): T {
  return new Function("runtime", code)(runtime) as T;
}

/** Return the expression of a template that is nothing but one expression. */
function loneExpression(root: Node): Node | undefined {
  const [output, ...more] = root.children as readonly Node[];
  if (output?.typename !== "Output" || more.length > 0) return undefined;
  const [only] = output.children as readonly Node[];
  return only === undefined || only.typename === "TemplateData" ? undefined : only;
}

/** Tell whether an expression ends with a filter that gives text, in the first branch of an inline `if` too. */
function givesText(node: Node): boolean {
  if (node.typename === "ApplyFilter")
    return TEXT_FILTERS.has((node as FilterNode).name.replace(/^ansible\.builtin\./, ""));
  return node.typename === "InlineIf" && givesText(node.body as Node);
}

/** Make templates that behave as Jinja2 does in Ansible. */
export function createTemplates(options: TemplateOptions = {}): Templates {
  let style = withStyle(DEFAULT_STYLE, options);
  const readText = (name: string, kind?: AssetKind): string | null =>
    options.loader?.read(name, kind) ?? null;
  const globalFrame = new nunjucksRuntime.Frame();
  Object.assign(globalFrame.variables, globals());

  const compiled = new Map<string, CompiledTemplate>();
  const expressions = new Map<string, Expression>();

  const compile = (source: string, name: string): CompiledTemplate => {
    const key = JSON.stringify([name, style.lexer, source]);
    const known = compiled.get(key);
    if (known !== undefined) return known;
    const position: Position = { template: name, line: 1 };
    try {
      const { body, options: lexerOptions } = readHeader(source, style.lexer);
      const template = build<CompiledTemplate>(
        compileTemplate(parseTemplate(body, lexerOptions), name),
        runtime,
      );
      compiled.set(key, template);
      return template;
    } catch (error) {
      if (error instanceof SyntaxFailure) position.line = error.line;
      throw locate(error, position);
    }
  };

  const createContext = (template: CompiledTemplate, parent: FrameType | null, state: CallState): Context => {
    const frame = (parent ?? globalFrame).push();
    const blocks = new Map<string, Block[]>(
      Object.entries(template.blocks).map(([name, block]) => [name, [block]]),
    );
    const context: Context = { frame, state, blocks };
    if (blocks.size > 0) frame.set("self", runtime.self(context));
    return context;
  };

  const stateOf = (vars: TemplateVars, ownsVars: boolean): CallState => ({
    vars,
    ownsVars,
    env: options.env ?? {},
    look: options.look ?? lookHere,
    filter: (name) => found("filter", filters, name),
    test: (name) => found("test", tests, name),
    lookup: (name) => findLookup(name, options.lookups ?? {}),
    readText,
    listFiles: (name) => options.loader?.list?.(name) ?? [],
    renderTemplate: (name, more) => {
      const text = readText(name);
      return text === null ? null : run(text, name, vars, more);
    },
  });

  const runtime = createRuntime({
    find(name) {
      const source = readText(name);
      return source === null ? null : compile(source, name);
    },
    createContext,
  });

  /** The templates and expressions that change lists or dicts. */
  const changing = new WeakSet<object>();

  /** Render without changing lists and dicts among `vars`: a template that changes some works on copies. */
  const untouched = <T>(
    of: object,
    vars: TemplateVars,
    render: (frame: FrameType, state: CallState) => T,
  ): T => {
    const once = (copies: boolean): T =>
      render(new VarsFrame(globalFrame, vars, copies), stateOf(vars, copies));
    if (changing.has(of)) return once(true);
    try {
      return once(false);
    } catch (error) {
      if (!(error instanceof NeedsCopies)) throw error;
      changing.add(of);
      return once(true);
    }
  };

  const texts = new Map<string, CompiledText>();

  const compileText = (source: string): CompiledText => {
    let text = texts.get(source);
    if (text !== undefined) return text;
    const position: Position = { template: VAR_TEXT, line: 1 };
    try {
      const { body, options: lexer } = readHeader(source, { ...DEFAULT_STYLE.lexer, keepBackslashes: true });
      const root = parseTemplate(body, lexer);
      const only = loneExpression(root);
      text = {
        template: build<CompiledTemplate>(compileTemplate(root, VAR_TEXT), runtime),
        lone: only && build<Expression>(compileExpression(only, VAR_TEXT), runtime),
        isText: only !== undefined && givesText(only),
        name: only?.typename === "Symbol" ? (only.value as string) : undefined,
        newlines: trailingNewlines(source),
      };
    } catch (error) {
      if (error instanceof SyntaxFailure) position.line = error.line;
      throw locate(error, position);
    }
    texts.set(source, text);
    return text;
  };

  const run = (source: string, name: string, vars: TemplateVars, more: TemplateVars = {}): string => {
    const template = compile(source, name);
    const text = untouched(template, vars, (frame, state) => {
      const context = createContext(template, frame, state);
      for (const [key, value] of Object.entries(more)) context.frame.set(key, value);
      return template.root(context, context.frame);
    });
    if (!style.keepTrailingNewline) return text;
    // Ansible lets Jinja drop the last newline, then gives the result as many newlines as the template ends with.
    return text + "\n".repeat(Math.max(0, trailingNewlines(source) - trailingNewlines(text)));
  };

  return {
    render(name, vars, overrides = {}) {
      const before = style;
      style = withStyle(style, overrides);
      try {
        const source = readText(name);
        if (source === null)
          throw new VolleyError("TEMPLATE_FAILED", `there is no template '${name}'`, {
            location: { file: name },
          });
        return run(source, name, vars);
      } finally {
        style = before;
      }
    },
    renderString(source, vars, info = {}) {
      return run(source, info.name ?? "<template>", vars);
    },
    renderValue(source, scope, origin) {
      try {
        const { template, lone, isText, name, newlines } = compileText(source);
        let value: unknown;
        try {
          value = untouched(template, scope.vars, (frame, state) => {
            if (lone !== undefined) return lone({ frame, state, blocks: new Map() }, frame);
            const context = createContext(template, frame, state);
            return template.root(context, context.frame);
          });
          // Any value but a list, a dict or a text becomes its printed text.
          if ((!isList(value) && !isDict(value)) || value instanceof Tuple || !isLiteral(value))
            value = runtime.print(value);
        } catch (error) {
          throw locate(error, { template: VAR_TEXT, line: 1 });
        }
        if (typeof value !== "string") return { value: toValue(value), verbatim: false };
        const whole = value + "\n".repeat(Math.max(0, newlines - trailingNewlines(value)));
        const verbatim = lone !== undefined && (isText || (name !== undefined && scope.isVerbatim(name)));
        const said = verbatim ? undefined : readLiteral(value);
        return { value: said === undefined ? whole : toValue(said), verbatim };
      } catch (error) {
        throw nameVar(error, VAR_TEXT, origin);
      }
    },
    evaluate(expression, vars) {
      const position: Position = { template: "<expression>", line: 1 };
      try {
        let evaluateIt = expressions.get(expression);
        if (evaluateIt === undefined) {
          evaluateIt = build<Expression>(
            compileExpression(parseExpression(expression), position.template),
            runtime,
          );
          expressions.set(expression, evaluateIt);
        }
        const evaluated = evaluateIt;
        return toValue(
          untouched(evaluated, vars, (frame, state) => evaluated({ frame, state, blocks: new Map() }, frame)),
        );
      } catch (error) {
        if (error instanceof SyntaxFailure) position.line = error.line;
        throw locate(error, position);
      }
    },
  };
}
