import type { Keys } from "../ansible/ir.ts";
import { loops } from "../ansible/play/loops.ts";
import { isDict } from "../core/values/value.ts";
import { findAction } from "./arguments.ts";
import { type Code, call, list, quote } from "./code.ts";
import { isReserved } from "./names.ts";
import type { RoleVars } from "./role-vars.ts";
import { type Extra, extraCode, type Scope, textCode, use } from "./scope.ts";
import { isTemplated, refuse, valueCode } from "./values.ts";

/** The loop of a task, as code. */
export interface LoopCode {
  /** The items. */
  readonly items: Code;
  /** The function's parameters: `(item)`. */
  readonly parameters: string;
  readonly loopVar: string;
  /** The vars of a pass. */
  readonly extra: Extra;
  /** The name of an item on the screen. */
  readonly label: Code | undefined;
  /** The parameters of the function that returns it. */
  readonly labelParameters: string;
  /** True where the items need nothing but the code. */
  readonly isLiteral: boolean;
}

/** Write the loop of a task; undefined without one. */
export function loopCode(keys: Keys, scope: Scope, vars: RoleVars, at: string): LoopCode | undefined {
  if (!loops(keys)) return undefined;
  const control = (keys.loop_control ?? {}) as Readonly<Record<string, unknown>>;
  const { loop_var: named, index_var: indexName, label } = control;
  if (control.extended !== undefined && control.extended !== false)
    refuse(at, "loop_control.extended is not converted");
  const loopVar = named === undefined ? "item" : String(named);
  if (!/^[A-Za-z_]\w*$/.test(loopVar)) refuse(at, `the loop's var has no plain name: ${loopVar}`);
  const itemName = constantName(loopVar, scope);
  const index = indexName === undefined ? undefined : String(indexName);
  const extra: Extra = [
    [loopVar, itemName],
    ...(index === undefined ? [] : [[index, constantName(index, scope)] as const]),
  ];
  const { items, isLiteral } = itemsCode(keys, scope, at);
  const parameters =
    index === undefined
      ? `(${itemName})`
      : `([${constantName(index, scope)}, ${itemName}]: readonly [number, unknown])`;
  const shown =
    typeof label === "string"
      ? textCode(label, scope, vars, extra)
      : index === undefined
        ? undefined
        : `String(${itemName})`;
  return {
    items:
      index === undefined ? items : { kind: "around", before: "[...", inner: items, after: ".entries()]" },
    parameters,
    loopVar,
    extra,
    label: shown,
    labelParameters:
      index !== undefined && typeof label !== "string"
        ? `([, ${itemName}]: readonly [number, unknown])`
        : parameters,
    isLiteral,
  };
}

/** The name of a loop's var as a constant: not that of an action, or of anything else that code calls. */
function constantName(name: string, { taken }: Scope): string {
  return taken.has(name) || findAction(name) !== undefined || isReserved(name) ? `${name}Item` : name;
}

function itemsCode(
  keys: Keys,
  scope: Scope,
  at: string,
): { readonly items: Code; readonly isLiteral: boolean } {
  const given = keys.loop;
  if (given !== undefined && given !== null) {
    if (Array.isArray(given) && !isTemplated(given)) return { items: valueCode(given, at), isLiteral: true };
    return { items: call(use(scope, "items"), valueCode(given, at)), isLiteral: false };
  }
  const key = Object.keys(keys).find((each) => each.startsWith("with_"))!;
  const name = key.slice("with_".length);
  const terms = keys[key];
  const isPlainList =
    (name === "items" || name === "list") &&
    Array.isArray(terms) &&
    !isTemplated(terms) &&
    !terms.some((term) => Array.isArray(term));
  if (isPlainList) return { items: list(terms.map((term) => valueCode(term, at))), isLiteral: true };
  if (isDict(terms) && name === "items") refuse(at, "with_items expects a list");
  return { items: call(use(scope, "lookup"), quote(name), valueCode(terms, at)), isLiteral: false };
}

/** Return whether a condition, or another value, names the vars of a loop's pass. */
export function namesItem(value: unknown, { extra }: LoopCode): boolean {
  const text = JSON.stringify(value) ?? "";
  return extra.some(([name]) => new RegExp(`(?<![\\w.])${name}\\b`).test(text));
}

/** Write the vars of a pass behind other arguments. */
export function passCode(loop: LoopCode | undefined): readonly Code[] {
  return loop === undefined ? [] : extraCode(loop.extra);
}
