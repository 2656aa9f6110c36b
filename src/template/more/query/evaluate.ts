import { makeDict } from "../../../core/values/value.ts";
import { slice } from "../../access.ts";
import { fail } from "../../errors.ts";
import { equals } from "../../operators.ts";
import { asNumber, type Dict, dictEntries, dictGet, isDict, isList, truth } from "../../values.ts";
import { callFunction, Reference } from "./functions.ts";
import type { Query } from "./parse.ts";

/** Tell whether a value counts as true: all but null, false, and empty texts, lists and dicts. Zero does. */
function holds(value: unknown): boolean {
  return asNumber(value) !== undefined && typeof value !== "boolean" ? true : truth(value);
}

/** Compare as JMESPath does: a bool is no number; order exists between numbers, and between texts. */
function compare(operator: string, left: unknown, right: unknown): boolean | null {
  const isSame = (typeof left === "boolean") === (typeof right === "boolean") && equals(left, right);
  if (operator === "==") return isSame;
  if (operator === "!=") return !isSame;
  const isOrdered = [left, right].every((one) => typeof one === "string" || isNumber(one));
  if (!isOrdered) return null;
  if (isNumber(left) !== isNumber(right))
    fail(`json_query: ${operator} does not compare a number with a text`);
  const [a, b] = isNumber(left) ? [Number(left), Number(right)] : [String(left), String(right)];
  if (operator === "<") return a < b;
  if (operator === "<=") return a <= b;
  return operator === ">" ? a > b : a >= b;
}

function isNumber(value: unknown): boolean {
  return typeof value !== "boolean" && asNumber(value) !== undefined;
}

/** Find what an expression of JMESPath says in a value; null where there is nothing. */
export function evaluate(query: Query, value: unknown): unknown {
  const each = (items: readonly unknown[], rest: Query): unknown[] =>
    items.map((one) => evaluate(rest, one)).filter((one) => one !== null);
  switch (query.kind) {
    case "current":
      return value;
    case "literal":
      return query.value;
    case "field":
      return isDict(value) ? (dictGet(value, query.name) ?? null) : null;
    case "index":
      return isList(value) ? (value.at(query.at) ?? null) : null;
    case "slice": {
      const [start = null, stop = null, step = null] = query.bounds;
      return isList(value) ? slice(value, start, stop, step) : null;
    }
    case "then":
    case "pipe":
      return evaluate(query.right, evaluate(query.left, value));
    case "or":
    case "and": {
      const left = evaluate(query.left, value);
      return holds(left) === (query.kind === "or") ? left : evaluate(query.right, value);
    }
    case "not":
      return !holds(evaluate(query.of, value));
    case "reference":
      return new Reference((one) => evaluate(query.of, one));
    case "flatten": {
      const list = evaluate(query.of, value);
      return isList(list) ? list.flatMap((one) => (isList(one) ? [...one] : [one])) : null;
    }
    case "each": {
      const list = evaluate(query.of, value);
      return isList(list) ? each(list, query.rest) : null;
    }
    case "values": {
      const dict = evaluate(query.of, value);
      return isDict(dict)
        ? each(
            dictEntries(dict as Dict).map(([, one]) => one),
            query.rest,
          )
        : null;
    }
    case "filter": {
      const list = evaluate(query.of, value);
      if (!isList(list)) return null;
      return each(
        list.filter((one) => holds(evaluate(query.where, one))),
        query.rest,
      );
    }
    case "compare":
      return compare(query.operator, evaluate(query.left, value), evaluate(query.right, value));
    case "list":
      return value === null ? null : query.items.map((one) => evaluate(one, value));
    case "dict":
      return value === null ? null : makeDict(query.items.map(([key, one]) => [key, evaluate(one, value)]));
    case "call":
      return callFunction(
        query.name,
        query.args.map((one) => evaluate(one, value)),
      );
  }
}
