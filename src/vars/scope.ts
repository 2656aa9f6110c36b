import { VolleyError } from "../core/errors.ts";
import { LATE, type Vars } from "../core/json.ts";
import { Data, mapLeaves, numeric } from "../core/value.ts";

/** Where a var is set. */
export interface VarOrigin {
  readonly name: string;
  readonly file?: string | undefined;
  readonly line?: number | undefined;
}

/** What a template of a var came to. */
export interface RenderedVar {
  readonly value: unknown;
  /** It is text whatever it looks like: what `to_json` and its like give is not read as a list or a dict. */
  readonly verbatim: boolean;
}

/** Gives a template that stands in a var its value; see `renderValue` of the template engine. */
export type RenderVar = (text: string, scope: VarScope, origin: VarOrigin) => RenderedVar;

/** What the renderer of a var sees. */
export interface VarScope {
  readonly vars: Vars;
  isVerbatim(name: string): boolean;
}

/** Vars of one place. Later layers are over earlier ones. */
export interface VarLayer {
  readonly vars: Vars;
  /** Where each var is set, of a layer whose texts are templates. Absent: they are data, and never taken for any. */
  readonly origin?: (name: string) => VarOrigin;
}

/** Stands, in a layer, for the whole scope of whoever asks. */
export const SELF = Symbol("the scope itself");

/** Text that is one name and nothing else. */
const LONE_NAME = /^\{\{\s*(\w+)\s*\}\}\n?$/;

class Scope implements VarScope {
  readonly layers: readonly VarLayer[];
  readonly render: RenderVar;
  readonly vars: Vars;
  readonly #rendered = new Map<string, RenderedVar>();
  /** The vars being rendered, each because of the one before it. */
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
    return layer?.origin !== undefined && holdsTemplate(layer.vars[name]);
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
    if (layer.origin === undefined || !holdsTemplate(value)) return value;
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
      // What is no text keeps its type where it is all there is.
      if (named === null || numeric(named) !== undefined) return { value: named, verbatim: false };
      return this.render(text, this, origin);
    };
    return isTemplate(value)
      ? one(value)
      : { value: mapTemplates(value, (text) => one(text).value), verbatim: false };
  }

  #circle({ name, file, line }: VarOrigin): VolleyError {
    const busy = [...this.#busy];
    const others = busy.slice(busy.indexOf(name) + 1);
    const way = others.length === 0 ? "" : ` (through ${others.map((other) => `"${other}"`).join(", ")})`;
    return new VolleyError("TEMPLATE_FAILED", `the var "${name}" refers to itself${way}`, {
      ...(file === undefined ? {} : { location: { file, ...(line === undefined ? {} : { line }) } }),
    });
  }

  /** Those vars of the scope that some vars name, as vars: each is worked out when it is asked for. */
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
}

const scopes = new WeakMap<Vars, Scope>();

function scopeOf(vars: Vars): Scope {
  return scopes.get(vars) ?? new Scope([{ vars }], () => ({ value: undefined, verbatim: false }));
}

/**
 * Vars in layers, as those see them who ask: a var that holds templates is rendered when it is asked for, with all the
 * layers as its variables, so that it may refer to others that are set elsewhere, and one that nobody asks for may be
 * wrong. Asking fails with `TEMPLATE_FAILED`.
 */
export function createScope(layers: readonly VarLayer[], render: RenderVar): Vars {
  return new Scope(layers, render).vars;
}

/** A scope with data over what it has. */
export function extendScope(vars: Vars, ...data: readonly Vars[]): Vars {
  const added = data.filter((one) => Object.keys(one).length > 0);
  if (added.length === 0) return vars;
  const { layers, render } = scopeOf(vars);
  return new Scope([...layers, ...added.map((one) => ({ vars: one }))], render).vars;
}

/** Whether a var of a scope is made from a template. */
export function isRendered(vars: Vars, name: string): boolean {
  return scopeOf(vars).isRendered(name);
}

/** Of a scope the vars that `named` have, and no others. */
export function viewScope(vars: Vars, ...named: readonly Vars[]): Vars {
  return scopeOf(vars).view(named);
}

/** Whether a text is a template, as Ansible tells: it has the start of an expression, a block or a comment in it. */
export function isTemplate(value: unknown): value is string {
  return typeof value === "string" && /\{[{%#]/.test(value);
}

/** Whether a value holds a template or {@link Data}, at any depth: it is not yet what templates are to see. Keys of dicts are none. */
export function holdsTemplate(value: unknown): boolean {
  let found = false;
  mapLeaves(value, (leaf) => {
    found ||= isTemplate(leaf) || leaf instanceof Data;
    return leaf;
  });
  return found;
}

/** A value with the templates in it, at any depth, replaced, and data as the text it is. */
function mapTemplates(value: unknown, replace: (template: string) => unknown): unknown {
  return mapLeaves(value, (leaf) => {
    if (leaf instanceof Data) return leaf.text;
    return isTemplate(leaf) ? replace(leaf) : leaf;
  });
}
