import { VolleyError } from "../core/errors.ts";
import { keepsText, notedType } from "../core/values/kept-text.ts";
import { Data, Float, isRecord, mapLeaves, numeric } from "../core/values/value.ts";
import { LATE, type Vars } from "../core/values/vars.ts";

// Vars in layers, rendered on lookup, and references in settings that are needed before rendering.

/** The vars of one place, such as the inventory or a play. */
export type VarLayer = TemplateLayer | DataLayer;

interface LayerOfVars {
  readonly vars: Vars;
  /** True for vars that win over all that {@link extendScope} adds. */
  readonly isTop?: boolean;
  /** The type of the texts in them, see `VarScope.textType`. Default: that of texts of YAML. */
  readonly textType?: string;
}

/** Texts in these vars may be templates. `origin` says where a var is set, for errors. */
interface TemplateLayer extends LayerOfVars {
  readonly kind: "template";
  readonly origin: (name: string) => VarOrigin;
}

/** Texts in these vars are never templates, whatever they look like. */
interface DataLayer extends LayerOfVars {
  readonly kind: "data";
}

/** The place where a var is set. */
export interface VarOrigin {
  readonly name: string;
  readonly file?: string | undefined;
  readonly line?: number | undefined;
}

/** Render a template that stands in a var; see `renderValue` of the template engine. */
export type RenderVar = (text: string, scope: VarScope, origin: VarOrigin) => RenderedVar;

/** The variables that the renderer of a var sees. */
export interface VarScope {
  readonly vars: Vars;
  /** Return the value of a var as it is written; undefined for an unknown one. */
  written(name: string): unknown;
  isVerbatim(name: string): boolean;
  /**
   * Return Ansible's name for the type of the texts in a var, or of those in its value by `key`. A text that an expression
   * made is a `str`; texts in a list or dict that an expression made are taken for texts of YAML.
   */
  textType(name: string, key?: unknown): string;
  /** Return the same for a value as it is written. */
  typeOfWritten(written: unknown, other?: string): string;
}

/** The value of a rendered var. */
export interface RenderedVar {
  readonly value: unknown;
  /** The value stays text even if it looks like a list or a dict: `to_json` and similar filters made it. */
  readonly verbatim: boolean;
}

/** In a layer, the value of this var is the whole scope, see {@link listedScope}. */
export const SELF = Symbol("the scope itself");

/**
 * Stack layers of vars; the last layer that sets a var wins. A var that holds templates is rendered on lookup, with all
 * layers as its variables: it may refer to vars that are set elsewhere, and a wrong template fails only when it is asked
 * for. A lookup fails with `TEMPLATE_FAILED`, also for vars that refer to each other in a circle.
 */
export function createScope(layers: readonly VarLayer[], render: RenderVar): Vars {
  return new Scope(undefined, layers, render).vars;
}

/** Stack layers of data on a scope, below its top ones. */
export function extendScope(vars: Vars, ...data: readonly Vars[]): Vars {
  return stackLayers(vars, ...data.filter((one) => !isEmpty(one)).map(dataLayer));
}

/**
 * Stack layers on a scope, below its top ones. The scope stays as it is, and is not copied. Its templates see the added
 * layers, too.
 */
export function stackLayers(vars: Vars, ...layers: readonly VarLayer[]): Vars {
  if (layers.length === 0) return vars;
  const below = scopeOf(vars);
  return new Scope(below, layers, below.render).vars;
}

/** Tell whether a var of a scope is made from a template. */
export function isRendered(vars: Vars, name: string): boolean {
  return scopeOf(vars).isRendered(name);
}

/** Return the vars of a scope that `named` have, and no others. */
export function viewScope(vars: Vars, ...named: readonly Vars[]): Vars {
  return scopeOf(vars).view(named);
}

/**
 * Return the vars of a scope so that whoever lists them comes to an end: the vars that hold the scope itself, `hostvars`
 * and those whose value is SELF, are there, but are not listed.
 */
export function listedScope(vars: Vars): Vars {
  return scopeOf(vars).listed;
}

/** Return a function that looks up a var as the vars' own properties do, which is the quick way for those of a scope. */
export function lookupIn(vars: Vars): (name: string) => unknown {
  const scope = knownScope(vars);
  return scope?.vars === vars
    ? (name) => scope.lookup(name)
    : (name) => (Object.hasOwn(vars, name) ? vars[name] : undefined);
}

/** Tell whether a text is a template by Ansible's rule: it holds the start of an expression, a block or a comment. */
export function isTemplate(value: unknown): value is string {
  return typeof value === "string" && /\{[{%#]/.test(value);
}

/** The key under which the vars of a scope give the scope itself. */
const SCOPE = Symbol("scope of these vars");

function knownScope(vars: Vars): Scope | undefined {
  return (vars as { readonly [SCOPE]?: Scope })[SCOPE];
}

function scopeOf(vars: Vars): Scope {
  return (
    knownScope(vars) ?? new Scope(undefined, [dataLayer(vars)], () => ({ value: undefined, verbatim: false }))
  );
}

function dataLayer(vars: Vars): VarLayer {
  return { kind: "data", vars };
}

function isEmpty(vars: Vars): boolean {
  for (const name in vars) if (Object.hasOwn(vars, name)) return false;
  return true;
}

/** A text that is one name and nothing else. */
const LONE_NAME = /^\{\{\s*(\w+)\s*\}\}\n?$/;

/** The type of texts of YAML. */
export const YAML_TEXT = "AnsibleUnicode";
/** The type of texts that came from hosts and lookups. */
export const UNSAFE_TEXT = "AnsibleUnsafeText";
/** The type of texts that are encrypted with Ansible Vault. */
export const SEALED_TEXT = "AnsibleVaultEncryptedUnicode";

/** A name with its keys, or none, and how a text goes on behind: with its end, or as a call, a list or a dict. */
const PLACE = /^\{\{\s*(\w*)(?:\.\w+|\[[^\]]*\])*\s*(\}\}\n?$|[[{(]?)/;

/** Return the name that a text is nothing but the expression of; undefined for any other text. */
export function loneName(text: string): string | undefined {
  return LONE_NAME.exec(text)?.[1];
}

/** Return whether a text that is nothing but the name of this value keeps the value's type. */
export function keepsType(value: unknown): boolean {
  return value === null || numeric(value) !== undefined;
}

/** Return the scope that vars belong to; vars of no scope are data. */
export function varScope(vars: Vars): VarScope {
  return scopeOf(vars);
}

const NOTHING: Vars = Object.create(null) as Vars;

/** Makes an object without properties of its own look as though it had a scope's vars. */
abstract class ScopeHandler implements ProxyHandler<Vars> {
  protected readonly scope: Scope;
  constructor(scope: Scope) {
    this.scope = scope;
  }

  protected abstract names(): string[];
  protected abstract holds(name: string): boolean;

  get(_target: Vars, key: string | symbol): unknown {
    if (typeof key === "string") return this.holds(key) ? this.scope.lookup(key) : undefined;
    return key === SCOPE ? this.scope : key === LATE || undefined;
  }

  has(_target: Vars, key: string | symbol): boolean {
    return typeof key === "string" ? this.holds(key) : key === LATE;
  }

  set(): boolean {
    return false;
  }

  defineProperty(): boolean {
    return false;
  }

  ownKeys(): string[] {
    return this.names();
  }

  getOwnPropertyDescriptor(_target: Vars, key: string | symbol): PropertyDescriptor | undefined {
    if (typeof key !== "string" || !this.holds(key)) return undefined;
    return { get: () => this.scope.lookup(key), enumerable: true, configurable: true };
  }
}

class WholeScope extends ScopeHandler {
  protected names(): string[] {
    return this.scope.names();
  }

  protected holds(name: string): boolean {
    return this.scope.layerOf(name) !== undefined;
  }

  override get(target: Vars, key: string | symbol): unknown {
    return typeof key === "string" ? this.scope.lookup(key) : super.get(target, key);
  }
}

/** All vars of a scope, those that hold the scope itself not listed. */
class ListedScope extends WholeScope {
  protected override names(): string[] {
    return super.names().filter((name) => name !== "hostvars" && this.scope.written(name) !== SELF);
  }
}

/** The vars of a scope that other vars name. */
class PartOfScope extends ScopeHandler {
  readonly #named: readonly Vars[];
  constructor(scope: Scope, named: readonly Vars[]) {
    super(scope);
    this.#named = named;
  }

  protected names(): string[] {
    const names = this.#named.flatMap((vars) => Object.keys(vars));
    return [...new Set(names.filter((name) => this.holds(name)))];
  }

  protected holds(name: string): boolean {
    return this.#named.some((vars) => Object.hasOwn(vars, name) && vars[name] !== undefined);
  }
}

/** A scope is a list of layers on another scope, so that the scope of a task costs what the task adds. */
class Scope implements VarScope {
  readonly render: RenderVar;
  readonly vars: Vars;
  readonly #below: Scope | undefined;
  readonly #layers: readonly VarLayer[];
  /** The layers of the scopes below that win over this scope's. */
  readonly #top: readonly VarLayer[];
  #listed: Vars | undefined;
  #rendered: Map<string, RenderedVar> | undefined;
  /** The vars being rendered; each was asked for by the one before it. */
  #busy: Set<string> | undefined;

  constructor(below: Scope | undefined, layers: readonly VarLayer[], render: RenderVar) {
    this.render = render;
    this.#below = below;
    this.#layers = layers;
    this.#top = below?.tops() ?? [];
    this.vars = new Proxy(NOTHING, new WholeScope(this));
  }

  private tops(): readonly VarLayer[] {
    const own = this.#layers.filter(({ isTop }) => isTop === true);
    return own.length === 0 ? this.#top : [...this.#top, ...own];
  }

  get listed(): Vars {
    this.#listed ??= new Proxy(NOTHING, new ListedScope(this));
    return this.#listed;
  }

  written(name: string): unknown {
    return this.layerOf(name)?.vars[name];
  }

  isVerbatim(name: string): boolean {
    const rendered = this.#rendered?.get(name);
    return rendered === undefined ? keepsText(this.layerOf(name)?.vars, name) : rendered.verbatim;
  }

  textType(name: string, key?: unknown): string {
    const layer = this.layerOf(name);
    const whole = layer?.vars[name];
    const inner = key === undefined || !isRecord(whole) ? whole : whole[String(key)];
    const isWritten = layer?.kind === "template" && (isTemplate(inner) || inner instanceof Data);
    return isWritten
      ? this.typeOfWritten(inner)
      : (notedType(layer?.vars, name) ?? layer?.textType ?? YAML_TEXT);
  }

  typeOfWritten(written: unknown, other = YAML_TEXT): string {
    if (written instanceof Data) return written.isSealed ? SEALED_TEXT : UNSAFE_TEXT;
    if (!isTemplate(written)) return other;
    const [, name, end] = PLACE.exec(written) ?? [];
    if (end === "(" && /^(?:lookup|query|q)$/.test(name!)) return UNSAFE_TEXT;
    if (/^\{\{\s*[[{]/.test(written)) return YAML_TEXT;
    if (!name || !end?.startsWith("}}")) return "str";
    const type = this.textType(name);
    return type === SEALED_TEXT ? UNSAFE_TEXT : type;
  }

  isRendered(name: string): boolean {
    const layer = this.layerOf(name);
    return layer?.kind === "template" && holdsTemplate(layer.vars[name]);
  }

  /** Return those vars of the scope that some vars name; each is worked out on lookup. */
  view(named: readonly Vars[]): Vars {
    return new Proxy(NOTHING, new PartOfScope(this, named));
  }

  names(): string[] {
    const names = new Set<string>();
    const add = (scope: Scope): void => {
      if (scope.#below !== undefined) add(scope.#below);
      for (const { vars } of scope.#layers)
        for (const name of Object.keys(vars)) if (vars[name] !== undefined) names.add(name);
    };
    add(this);
    return [...names];
  }

  layerOf(name: string): VarLayer | undefined {
    const top = this.#top.findLast(({ vars }) => Object.hasOwn(vars, name) && vars[name] !== undefined);
    if (top !== undefined) return top;
    for (let scope: Scope | undefined = this; scope !== undefined; scope = scope.#below) {
      const layers = scope.#layers;
      for (let index = layers.length - 1; index >= 0; index--) {
        const layer = layers[index]!;
        if (Object.hasOwn(layer.vars, name) && layer.vars[name] !== undefined) return layer;
      }
    }
    return undefined;
  }

  /** Return the value of a var, rendered; undefined for an unknown one. */
  lookup(name: string): unknown {
    const known = this.#rendered?.get(name);
    if (known !== undefined) return known.value;
    const layer = this.layerOf(name);
    if (layer === undefined) return undefined;
    const value = layer.vars[name];
    if (value === SELF) return this.listed;
    if (layer.kind === "data" || !holdsTemplate(value)) return value;
    const origin = layer.origin(name);
    this.#busy ??= new Set();
    if (this.#busy.has(name)) throw this.#circle(origin, this.#busy);
    this.#busy.add(name);
    try {
      const rendered = this.#render(value, origin);
      this.#rendered ??= new Map();
      this.#rendered.set(name, rendered);
      return rendered.value;
    } finally {
      this.#busy.delete(name);
    }
  }

  #render(value: unknown, origin: VarOrigin): RenderedVar {
    const one = (text: string): RenderedVar => {
      const name = loneName(text);
      const named = name === undefined ? undefined : this.written(name);
      // A lone name keeps the type of a value that is no text.
      if (keepsType(named)) return { value: named, verbatim: false };
      return this.render(text, this, origin);
    };
    if (isTemplate(value)) return one(value);
    const whole = mapLeaves(value, (leaf) => {
      if (leaf instanceof Data) return leaf.text;
      return isTemplate(leaf) ? one(leaf).value : leaf;
    });
    return { value: whole, verbatim: false };
  }

  #circle({ name, file, line }: VarOrigin, names: ReadonlySet<string>): VolleyError {
    const busy = [...names];
    const others = busy.slice(busy.indexOf(name) + 1);
    const way = others.length === 0 ? "" : ` (through ${others.map((other) => `"${other}"`).join(", ")})`;
    return new VolleyError("TEMPLATE_FAILED", `the var "${name}" refers to itself${way}`, {
      ...(file === undefined ? {} : { location: { file, ...(line === undefined ? {} : { line }) } }),
    });
  }
}

/** Tell whether a value holds a template or {@link Data}, at any depth; keys of dicts are no templates. */
export function holdsTemplate(value: unknown): boolean {
  if (typeof value !== "object") return isTemplate(value);
  let found = false;
  mapLeaves(value, (leaf) => {
    found ||= isTemplate(leaf) || leaf instanceof Data;
    return leaf;
  });
  return found;
}

const REFERENCE = /\{\{\s*([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)\s*\}\}/g;
const MAX_DEPTH = 20;
/** The longest setting, in characters: vars that hold others twice each grow without end. */
const MAX_LENGTH = 10_000;

/**
 * Fill `{{ name }}` and `{{ name.key }}` in a setting that is needed before templates can be rendered. `fail` gets the
 * reason why a reference cannot be filled, and must throw.
 */
export function fillReferences(
  value: unknown,
  look: (name: string) => unknown,
  fail: (problem: string) => never,
  depth = 0,
): unknown {
  if (value instanceof Data) return value.text;
  if (typeof value !== "string" || !isTemplate(value)) return value;
  if (depth > MAX_DEPTH) return fail("its vars refer to each other in a circle");
  const resolve = (path: string): unknown => {
    const found = lookUp(path, look);
    if (found === undefined || found === null) return fail(`${path} is not set`);
    return fillReferences(found, look, fail, depth + 1);
  };
  const whole = /^\s*\{\{\s*([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)\s*\}\}\s*$/.exec(value);
  if (whole !== null) return resolve(whole[1]!);
  if (isTemplate(value.replace(REFERENCE, "")))
    return fail("only plain references such as {{ name }} can be used here");
  if (value.length > MAX_LENGTH) return fail(`it comes to more than ${MAX_LENGTH} characters`);
  let length = 0;
  return value.replace(REFERENCE, (_, path: string) => {
    const found = resolve(path);
    if (typeof found === "object" && !(found instanceof Float)) return fail(`${path} is no text`);
    const text = String(found);
    length += text.length;
    return length > MAX_LENGTH ? fail(`it comes to more than ${MAX_LENGTH} characters`) : text;
  });
}

/** Return a value's own property; undefined for an inherited one. */
export function own(value: unknown, key: string): unknown {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
  return (value as Record<string, unknown>)[key];
}

function lookUp(path: string, look: (name: string) => unknown): unknown {
  const [name, ...keys] = path.split(".");
  let value = look(name!);
  for (const key of keys) {
    value = own(value, key);
  }
  return value;
}
