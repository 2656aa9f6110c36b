import type { Node } from "nunjucks/src/nodes.js";
import { didYouMean } from "../core/errors.ts";
import { locate } from "./errors.ts";
import { filters } from "./filters/index.ts";
import { findLookup, globals, lookupNames } from "./lookups.ts";
import { moreNames } from "./more/index.ts";
import { findFilter, findTest } from "./names.ts";
import type { TemplateStyle } from "./options.ts";
import { compileExpression, compileTemplate } from "./syntax/compiler.ts";
import { readHeader, SyntaxFailure } from "./syntax/lexer.ts";
import {
  type CallNode,
  type FilterNode,
  type ForNode,
  type FromImportNode,
  type ImportNode,
  type MacroNode,
  type TestNode,
  type WithNode,
  walk,
} from "./syntax/nodes.ts";
import { parseExpression, parseTemplate } from "./syntax/parser.ts";
import { tests } from "./tests.ts";

// Templates looked at without rendering them: whether they parse, and what they name. For the controller alone.

/** A filter, test or lookup that nobody has. */
export interface UnknownName {
  readonly kind: "filter" | "test" | "lookup";
  readonly name: string;
  /** `; did you mean "…"?`, or empty. */
  readonly near: string;
  /** Counted from 1. */
  readonly line: number;
}

/** A variable that a template reads. */
export interface NamedVar {
  readonly name: string;
  /** Counted from 1. */
  readonly line: number;
  /** True where the template reckons with an undefined variable: `x is defined`, `x | default(…)`. */
  readonly isGuarded: boolean;
  /** True where the value, or a part of it, goes through `quote`. */
  readonly isQuoted: boolean;
}

/** The names in a template. */
export interface TemplateContent {
  readonly unknown: readonly UnknownName[];
  /** The variables that come from outside of the template. */
  readonly vars: readonly NamedVar[];
  /** The templates that it includes, imports or extends by constant names. */
  readonly templates: readonly { readonly name: string; readonly line: number }[];
}

/** Look at a template: a file's whole text. Fails with `TEMPLATE_FAILED`, with the line. */
export function inspectTemplate(source: string, name: string, style: TemplateStyle = {}): TemplateContent {
  return placed(name, () => {
    const { body, options } = readHeader(source, {
      trimBlocks: style.trimBlocks ?? true,
      lstripBlocks: style.lstripBlocks ?? false,
      keepTrailingNewline: false,
      marks: style.marks ?? {},
    });
    const root = parseTemplate(body, options);
    compileTemplate(root);
    return contentOf(root);
  });
}

/** Look at the text of a var or an argument, which may hold templates. Fails with `TEMPLATE_FAILED`, with the line. */
export function inspectText(source: string): TemplateContent {
  return placed("<text>", () => {
    const { body, options } = readHeader(source, {
      trimBlocks: true,
      lstripBlocks: false,
      keepTrailingNewline: false,
      keepBackslashes: true,
    });
    const root = parseTemplate(body, options);
    compileTemplate(root);
    return contentOf(root);
  });
}

/** Look at a lone expression, such as a condition. Fails with `TEMPLATE_FAILED`. */
export function inspectExpression(source: string): TemplateContent {
  return placed("<expression>", () => {
    const root = parseExpression(source);
    compileExpression(root);
    return contentOf(root);
  });
}

/** Return a lookup that nobody has, by its name in `with_NAME`; undefined for a known one. */
export function unknownLookup(name: string): Pick<UnknownName, "near"> | undefined {
  return isKnown(() => findLookup(name, {}))
    ? undefined
    : { near: didYouMean(name, [...lookupNames(), ...moreNames().lookups, ...CONTROLLER_LOOKUPS]) };
}

/** Lookups that only a controller answers; templates do not have them. */
const CONTROLLER_LOOKUPS = ["inventory_hostnames"];

function placed<T>(template: string, work: () => T): T {
  try {
    return work();
  } catch (thrown) {
    throw locate(thrown, { template, line: thrown instanceof SyntaxFailure ? thrown.line : 1 });
  }
}

function isKnown(find: () => unknown): boolean {
  try {
    find();
    return true;
  } catch {
    return false;
  }
}

const FUNCTIONS = new Set(Object.keys(globals()));
/** Names that templates have in loops, blocks and macros. */
const BOUND = ["loop", "self", "super", "caller", "varargs", "kwargs", "namespace"];

/** Filters that take the name of a filter or test as an argument, with its position. */
const NAMING: Readonly<Record<string, readonly ["filter" | "test", number]>> = {
  map: ["filter", 0],
  select: ["test", 0],
  reject: ["test", 0],
  selectattr: ["test", 1],
  rejectattr: ["test", 1],
};

function literalText(node: Node | undefined): string | undefined {
  return node?.typename === "Literal" && typeof node.value === "string" ? node.value : undefined;
}

function contentOf(root: Node): TemplateContent {
  const unknown: UnknownName[] = [];
  const vars: NamedVar[] = [];
  const templates: { readonly name: string; readonly line: number }[] = [];
  const bound = new Set(BOUND);
  const guarded = new Set<Node>();
  const quoted = new Set<Node>();
  const check = (kind: UnknownName["kind"], name: string, line: number): void => {
    if (kind === "lookup") {
      const wrong = unknownLookup(name);
      if (wrong !== undefined) unknown.push({ kind, name, near: wrong.near, line });
      return;
    }
    if (isKnown(() => (kind === "filter" ? findFilter(name) : findTest(name)))) return;
    const names =
      kind === "filter"
        ? [...Object.keys(filters), ...moreNames().filters]
        : [...Object.keys(tests), ...moreNames().tests];
    unknown.push({ kind, name, near: didYouMean(name, names), line });
  };
  walk(root, (node) => {
    const line = node.lineno + 1;
    switch (node.typename) {
      case "ApplyFilter": {
        const { name, target, args } = node as FilterNode;
        check("filter", name, line);
        if (target !== null && GUARDS.has(name)) markAll(target, guarded);
        if (target !== null && QUOTES.has(name)) markAll(target, quoted);
        const [kind, at] = NAMING[name] ?? [];
        const given = kind === undefined ? undefined : literalText(args.positional[at!]);
        if (kind !== undefined && given !== undefined) check(kind, given, line);
        break;
      }
      case "ApplyTest": {
        const { name, target } = node as TestNode;
        check("test", name, line);
        if (name === "defined" || name === "undefined") markAll(target, guarded);
        break;
      }
      case "Call": {
        const { callee, args } = node as CallNode;
        const called = callee.typename === "Symbol" ? String(callee.value) : "";
        const name = literalText(args.positional[0]);
        if (/^(?:lookup|query|q)$/.test(called) && name !== undefined) check("lookup", name, line);
        break;
      }
      case "Loop":
        bindAll((node as ForNode).target, bound);
        break;
      case "Assign":
      case "AssignBlock":
        bindAll(node.target, bound);
        break;
      case "With":
        for (const [target] of (node as WithNode).assignments) bindAll(target, bound);
        break;
      case "MacroDefinition":
        bound.add((node as MacroNode).name);
        for (const name of (node as MacroNode).parameters.names) bound.add(name);
        break;
      case "CallBlock":
        for (const name of (node as MacroNode).parameters.names) bound.add(name);
        break;
      case "ImportTemplate":
        bound.add((node as ImportNode).target);
        break;
      case "ImportNames":
        for (const [, alias] of (node as FromImportNode).names) bound.add(alias);
        break;
    }
    if (/^(?:Extends|IncludeTemplate|ImportTemplate|ImportNames)$/.test(node.typename)) {
      const name = literalText(node.template as Node);
      if (name !== undefined && node.ignoreMissing !== true) templates.push({ name, line });
    }
  });
  walk(root, (node) => {
    if (node.typename !== "Symbol") return;
    const name = String(node.value);
    if (bound.has(name) || FUNCTIONS.has(name)) return;
    vars.push({ name, line: node.lineno + 1, isGuarded: guarded.has(node), isQuoted: quoted.has(node) });
  });
  return { unknown, vars, templates };
}

/** Filters that take an undefined value. */
const GUARDS = new Set(["default", "d", "mandatory", "ansible.builtin.default", "ansible.builtin.mandatory"]);
const QUOTES = new Set(["quote", "ansible.builtin.quote", "win_quote"]);

function markAll(node: Node, marked: Set<Node>): void {
  walk(node, (each) => {
    if (each.typename === "Symbol") marked.add(each);
  });
}

function bindAll(target: unknown, bound: Set<string>): void {
  walk(target, (node) => {
    if (node.typename === "Symbol") bound.add(String(node.value));
  });
}
