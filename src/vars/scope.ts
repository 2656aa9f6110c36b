import { VolleyError } from "../core/errors.ts";
import { Data, Float, mapLeaves, numeric } from "../core/values/value.ts";
import { LATE, type Vars } from "../core/values/vars.ts";

// Vars in layers, rendered on lookup, and references in settings that are needed before rendering.

/** The vars of one place, such as the inventory or a play. */
export type VarLayer = TemplateLayer | DataLayer;

interface LayerOfVars {
  readonly vars: Vars;
  /** True for vars that win over all that {@link extendScope} adds. */
  readonly isTop?: boolean;
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
  isVerbatim(name: string): boolean;
}

/** The value of a rendered var. */
export interface RenderedVar {
  readonly value: unknown;
  /** The value stays text even if it looks like a list or a dict: `to_json` and similar filters made it. */
  readonly verbatim: boolean;
}

/** In a layer, the value of this var is the whole scope. */
export const SELF = Symbol("the scope itself");

/**
 * Stack layers of vars; the last layer that sets a var wins. A var that holds templates is rendered on lookup, with all
 * layers as its variables: it may refer to vars that are set elsewhere, and a wrong template fails only when it is asked
 * for. A lookup fails with `TEMPLATE_FAILED`, also for vars that refer to each other in a circle.
 */
export function createScope(layers: readonly VarLayer[], render: RenderVar): Vars {
  return new Scope(layers, render).vars;
}

/** Stack layers of data on a scope, below its top ones. */
export function extendScope(vars: Vars, ...data: readonly Vars[]): Vars {
  const added = data.filter((one) => Object.keys(one).length > 0);
  if (added.length === 0) return vars;
  const { layers, render } = scopeOf(vars);
  const isBelow = ({ isTop }: VarLayer): boolean => isTop !== true;
  const top = layers.filter(({ isTop }) => isTop === true);
  return new Scope([...layers.filter(isBelow), ...added.map(dataLayer), ...top], render).vars;
}

/** Tell whether a var of a scope is made from a template. */
export function isRendered(vars: Vars, name: string): boolean {
  return scopeOf(vars).isRendered(name);
}

/** Return the vars of a scope that `named` have, and no others. */
export function viewScope(vars: Vars, ...named: readonly Vars[]): Vars {
  return scopeOf(vars).view(named);
}

/** Tell whether a text is a template by Ansible's rule: it holds the start of an expression, a block or a comment. */
export function isTemplate(value: unknown): value is string {
  return typeof value === "string" && /\{[{%#]/.test(value);
}

const scopes = new WeakMap<Vars, Scope>();

function scopeOf(vars: Vars): Scope {
  return scopes.get(vars) ?? new Scope([dataLayer(vars)], () => ({ value: undefined, verbatim: false }));
}

function dataLayer(vars: Vars): VarLayer {
  return { kind: "data", vars };
}

/** A text that is one name and nothing else. */
const LONE_NAME = /^\{\{\s*(\w+)\s*\}\}\n?$/;

class Scope implements VarScope {
  readonly layers: readonly VarLayer[];
  readonly render: RenderVar;
  readonly vars: Vars;
  readonly #rendered = new Map<string, RenderedVar>();
  /** The vars being rendered; each was asked for by the one before it. */
  readonly #busy = new Set<string>();

  constructor(layers: readonly VarLayer[], render: RenderVar) {
    this.layers = layers;
    this.render = render;
    this.vars = this.view(layers.map(({ vars }) => vars));
  }

  isVerbatim(name: string): boolean {
    return this.#rendered.get(name)?.verbatim === true;
  }

  isRendered(name: string): boolean {
    const layer = this.#layerOf(name);
    return layer?.kind === "template" && holdsTemplate(layer.vars[name]);
  }

  /** Return those vars of the scope that some vars name; each is worked out on lookup. */
  view(named: readonly Vars[]): Vars {
    const descriptor = (key: string | symbol): PropertyDescriptor | undefined =>
      typeof key === "string" && named.some((vars) => Object.hasOwn(vars, key) && vars[key] !== undefined)
        ? { get: () => this.#value(key), enumerable: true, configurable: true }
        : undefined;
    const view: Vars = new Proxy(Object.create(null) as Vars, {
      get: (_target, key) =>
        key === LATE ? true : descriptor(key) === undefined ? undefined : this.#value(key as string),
      has: (_target, key) => key === LATE || descriptor(key) !== undefined,
      ownKeys: () => [
        ...new Set(named.flatMap((vars) => Object.keys(vars)).filter((key) => descriptor(key) !== undefined)),
      ],
      getOwnPropertyDescriptor: (_target, key) => descriptor(key),
    });
    scopes.set(view, this);
    return view;
  }

  #layerOf(name: string): VarLayer | undefined {
    return this.layers.findLast(({ vars }) => Object.hasOwn(vars, name) && vars[name] !== undefined);
  }

  #value(name: string): unknown {
    const known = this.#rendered.get(name);
    if (known !== undefined) return known.value;
    const layer = this.#layerOf(name);
    if (layer === undefined) return undefined;
    const value = layer.vars[name];
    if (value === SELF) return this.vars;
    if (layer.kind === "data" || !holdsTemplate(value)) return value;
    const origin = layer.origin(name);
    if (this.#busy.has(name)) throw this.#circle(origin);
    this.#busy.add(name);
    try {
      const rendered = this.#render(value, origin);
      this.#rendered.set(name, rendered);
      return rendered.value;
    } finally {
      this.#busy.delete(name);
    }
  }

  #render(value: unknown, origin: VarOrigin): RenderedVar {
    const one = (text: string): RenderedVar => {
      const name = LONE_NAME.exec(text)?.[1];
      const named = name === undefined ? undefined : this.#layerOf(name)?.vars[name];
      // A lone name keeps the type of a value that is no text.
      if (named === null || numeric(named) !== undefined) return { value: named, verbatim: false };
      return this.render(text, this, origin);
    };
    if (isTemplate(value)) return one(value);
    const whole = mapLeaves(value, (leaf) => {
      if (leaf instanceof Data) return leaf.text;
      return isTemplate(leaf) ? one(leaf).value : leaf;
    });
    return { value: whole, verbatim: false };
  }

  #circle({ name, file, line }: VarOrigin): VolleyError {
    const busy = [...this.#busy];
    const others = busy.slice(busy.indexOf(name) + 1);
    const way = others.length === 0 ? "" : ` (through ${others.map((other) => `"${other}"`).join(", ")})`;
    return new VolleyError("TEMPLATE_FAILED", `the var "${name}" refers to itself${way}`, {
      ...(file === undefined ? {} : { location: { file, ...(line === undefined ? {} : { line }) } }),
    });
  }
}

/** Tell whether a value holds a template or {@link Data}, at any depth; keys of dicts are no templates. */
export function holdsTemplate(value: unknown): boolean {
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
