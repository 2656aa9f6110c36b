import { VolleyError } from "../../core/errors.ts";
import { keepsText, keepText } from "../../core/values/kept-text.ts";
import { isDict, writeJson } from "../../core/values/value.ts";
import type { Vars } from "../../core/values/vars.ts";
import { isOfUndefined } from "../../template/index.ts";
import { type Frame, inherited } from "../frame.ts";
import type { Keys } from "../ir.ts";
import type { Templar } from "../templar.ts";

// Loops: the items of `loop` and of every `with_…`, and the vars each pass has.

/** The loop of a task. */
export interface Loop {
  readonly items: readonly unknown[];
  readonly control: LoopControl;
}

/** `loop_control`, rendered but for the label. */
export interface LoopControl {
  readonly loopVar: string;
  readonly indexVar: string | undefined;
  readonly label: unknown;
  readonly pauseMs: number;
  readonly extended: boolean;
  readonly withAllItems: boolean;
}

/** Return whether a task loops. */
export function loops(keys: Keys): boolean {
  return Object.hasOwn(keys, "loop")
    ? keys.loop !== null
    : Object.keys(keys).some((key) => key.startsWith("with_"));
}

/** Work out the items of a task's loop; undefined without a loop. Fails with `TEMPLATE_FAILED`. */
export function loopOf(frame: Frame, templar: Templar): Loop | undefined {
  const { keys } = frame;
  const control = controlOf((inherited(frame, "loop_control") ?? {}) as Record<string, unknown>, templar);
  const given = keys.loop;
  if (given !== undefined && given !== null) {
    const items = templar.value(given);
    if (!Array.isArray(items))
      throw new VolleyError(
        "TEMPLATE_FAILED",
        `Invalid data passed to 'loop', it requires a list, got this instead: ${typeof items === "string" ? items : writeJson(items)}. Hint: If you passed a list/dict of just one element, try adding wantlist=True to your lookup invocation or use q/query instead of lookup.`,
      );
    return { items, control };
  }
  const key = Object.keys(keys).find((each) => each.startsWith("with_"));
  if (key === undefined) return undefined;
  return { items: lookUpItems(key.slice("with_".length), keys[key], templar), control };
}

/** Work out the items of `with_NAME`, which the lookup of that name gives. */
function lookUpItems(name: string, given: unknown, templar: Templar): readonly unknown[] {
  const terms = /^(?:ansible\.builtin\.)?first_found$/.test(name)
    ? knownTerms(given, templar)
    : templar.value(given);
  if (isDict(terms) && LISTS.has(name))
    throw new VolleyError("TEMPLATE_FAILED", `with_${name} expects a list`);
  return templar.lookup(name, terms);
}

/** Return the terms that can be rendered: `with_first_found` passes over those with an undefined var. */
function knownTerms(given: unknown, templar: Templar): unknown {
  const known = (term: unknown): readonly unknown[] => {
    try {
      return [templar.value(term)];
    } catch (thrown) {
      if (isOfUndefined(thrown)) return [];
      throw thrown;
    }
  };
  if (Array.isArray(given)) return given.flatMap(known);
  const [terms = []] = known(given);
  return terms;
}

/** Lookups that a dict is no list of terms for. */
const LISTS: ReadonlySet<string> = new Set([
  "flattened",
  "indexed_items",
  "items",
  "list",
  "nested",
  "together",
]);

function controlOf(given: Record<string, unknown>, templar: Templar): LoopControl {
  const {
    loop_var: loopVar,
    index_var: indexVar,
    label,
    pause,
    extended,
    extended_allitems: allItems,
  } = given;
  return {
    loopVar: loopVar === undefined ? "item" : templar.text(loopVar),
    indexVar: indexVar === undefined ? undefined : templar.text(indexVar),
    label,
    pauseMs: pause === undefined ? 0 : templar.number(pause, "pause") * 1000,
    extended: extended !== undefined && templar.bool(extended, "extended"),
    withAllItems: allItems === undefined || templar.bool(allItems, "extended_allitems"),
  };
}

/** Return the vars of the pass for an item. */
export function passVars({ items, control }: Loop, index: number): Vars {
  const item = items[index];
  const vars: Record<string, unknown> = { [control.loopVar]: item, ansible_loop_var: control.loopVar };
  if (keepsText(items, index)) keepText(vars, control.loopVar, true);
  if (control.indexVar !== undefined) {
    vars[control.indexVar] = index;
    vars.ansible_index_var = control.indexVar;
  }
  if (control.extended) {
    const { length } = items;
    vars.ansible_loop = {
      ...(control.withAllItems ? { allitems: items } : {}),
      index: index + 1,
      index0: index,
      first: index === 0,
      last: index + 1 === length,
      length,
      revindex: length - index,
      revindex0: length - index - 1,
      ...(index + 1 < length ? { nextitem: items[index + 1] } : {}),
      ...(index > 0 ? { previtem: items[index - 1] } : {}),
    };
  }
  return vars;
}

/** Return the name of an item on the screen. */
export function labelOf(loop: Loop, index: number, templar: Templar): string {
  const { label } = loop.control;
  const shown = label === undefined ? loop.items[index] : templar.value(label);
  if (typeof shown === "string") return shown;
  if (label === undefined && isDict(shown) && !(shown instanceof Map) && typeof shown.name === "string")
    return shown.name;
  return writeJson(shown, { separators: [", ", ": "] });
}
