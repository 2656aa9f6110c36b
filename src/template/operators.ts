import { integer, numeric } from "../core/values/value.ts";
import { fail } from "./errors.ts";
import { formatPercent } from "./format.ts";
import {
  Attributes,
  Blank,
  defined,
  dictEntries,
  dictGet,
  float,
  hashable,
  isDict,
  isFloat,
  isList,
  iterate,
  repr,
  str,
  Tuple,
  truth,
  tuple,
  typeName,
  Undefined,
} from "./values.ts";

/** Compare as Python's `==` does: lists, tuples and dicts by value, ints, floats and bools as numbers. */
export function equals(left: unknown, right: unknown): boolean {
  if (left === right) return true;
  const [a, b] = [numeric(left), numeric(right)];
  // Not `===`: the same number may be a bigint on one side.
  if (a !== undefined && b !== undefined) return a <= b && a >= b;
  if (isList(left) && isList(right)) {
    const sameKind = left instanceof Tuple === right instanceof Tuple;
    return (
      sameKind && left.length === right.length && left.every((item, index) => equals(item, right[index]))
    );
  }
  if (isDict(left) && isDict(right)) {
    const entries = dictEntries(left);
    if (entries.length !== dictEntries(right).length) return false;
    return entries.every(([key, item]) => {
      const other = dictGet(right, key);
      return other !== undefined && equals(item, other);
    });
  }
  if (left instanceof Attributes && right instanceof Attributes)
    return equals(left.get("__key__"), right.get("__key__"));
  return false;
}

/** Return a negative, zero or positive number as `left` sorts before, with or after `right`. Fail for values that Python cannot order. */
export function order(left: unknown, right: unknown, operator = "<"): number {
  const [a, b] = [numeric(left), numeric(right)];
  if (a !== undefined && b !== undefined) return a < b ? -1 : a > b ? 1 : a <= b ? 0 : Number.NaN;
  if (typeof left === "string" && typeof right === "string") return left < right ? -1 : left > right ? 1 : 0;
  if (isList(left) && isList(right) && left instanceof Tuple === right instanceof Tuple) {
    for (let index = 0; index < Math.min(left.length, right.length); index++) {
      if (!equals(left[index], right[index])) return order(left[index], right[index], operator);
    }
    return left.length - right.length;
  }
  if (left instanceof Attributes && right instanceof Attributes && left.kind === right.kind) {
    return order(left.get("__key__"), right.get("__key__"), operator);
  }
  return fail(
    `'${operator}' not supported between instances of '${typeName(defined(left))}' and '${typeName(defined(right))}'`,
  );
}

/** Search as Python's `in` does: a part of a string, an item of a list, a key of a dict. */
export function contains(container: unknown, item: unknown): boolean {
  if (typeof container === "string") {
    return typeof item === "string"
      ? container.includes(item)
      : fail(`'in <string>' requires string as left operand, not ${typeName(defined(item))}`);
  }
  if (isDict(container)) return dictGet(container, hashable(item)) !== undefined;
  if (!isList(container) && !(container instanceof Undefined))
    fail(`argument of type '${typeName(container)}' is not iterable`);
  return iterate(container).some((other) => equals(other, item));
}

/** Compare by an operator of Jinja, `in` and `not in` included. */
export function compare(operator: string, left: unknown, right: unknown): boolean {
  if (left instanceof Blank || right instanceof Blank) {
    if (operator === "==" || operator === "!=")
      return (left instanceof Blank && right instanceof Blank) === (operator === "==");
  }
  defined(left);
  defined(right);
  switch (operator) {
    case "==":
      return equals(left, right);
    case "!=":
      return !equals(left, right);
    case "in":
      return contains(right, left);
    case "not in":
      return !contains(right, left);
    case "<":
      return order(left, right, operator) < 0;
    case ">":
      return order(left, right, operator) > 0;
    case "<=":
      return order(left, right, operator) <= 0;
    default:
      return order(left, right, operator) >= 0;
  }
}

/** Compare `a < b < c`: each operand is evaluated once, and only as far as needed. */
export function compareChain(
  first: unknown,
  rest: readonly (readonly [operator: string, operand: () => unknown])[],
): boolean {
  let left = first;
  return rest.every(([operator, operand]) => {
    const right = operand();
    const holds = compare(operator, left, right);
    left = right;
    return holds;
  });
}

/** Return the first operand of `a or b` that is true, or the last. */
export function or(left: unknown, right: () => unknown): unknown {
  return truth(left) ? left : right();
}

/** Return the first operand of `a and b` that is false, or the last. */
export function and(left: unknown, right: () => unknown): unknown {
  return truth(left) ? right() : left;
}

function repeat(items: string | readonly unknown[], count: number): unknown {
  if (typeof items === "string") return items.repeat(Math.max(0, count));
  const result = items instanceof Tuple ? new Tuple() : [];
  for (let round = 0; round < count; round++) result.push(...items);
  return result;
}

/** The limit for an int, in bits: Python computes for minutes, and then prints nothing. */
const MAX_BITS = 100_000;

function floorModulo(a: number, b: number): number {
  const rest = a % b;
  return rest !== 0 && rest < 0 !== b < 0 ? rest + b : rest;
}

function floatArithmetic(operator: string, a: number, b: number): number {
  switch (operator) {
    case "+":
      return a + b;
    case "-":
      return a - b;
    case "*":
      return a * b;
    case "/":
      return a / b;
    case "//":
      return Math.floor(a / b);
    case "%":
      return floorModulo(a, b);
    default:
      return a ** b;
  }
}

function power(a: bigint, b: bigint): bigint {
  const bits = a === 0n || a === 1n || a === -1n ? 0n : BigInt(a.toString(2).length) * b;
  return bits > MAX_BITS ? fail("the result of ** is too large") : a ** b;
}

function intArithmetic(operator: string, a: bigint, b: bigint): bigint {
  switch (operator) {
    case "+":
      return a + b;
    case "-":
      return a - b;
    case "*":
      return a * b;
    case "**":
      return power(a, b);
    default: {
      const rest = a % b;
      const modulo = rest !== 0n && rest < 0n !== b < 0n ? rest + b : rest;
      return operator === "%" ? modulo : (a - modulo) / b;
    }
  }
}

function arithmetic(operator: string, a: number | bigint, b: number | bigint, isFloating: boolean): unknown {
  if (Number(b) === 0 && ["/", "//", "%"].includes(operator)) return fail("division by zero");
  const asFloat = isFloating || operator === "/" || (operator === "**" && b < 0);
  const value = floatArithmetic(operator, Number(a), Number(b));
  if (asFloat) return float(value);
  // The float result is exact if operands and result are safe integers.
  const isExact = [a, b, value].every((number) => Number.isSafeInteger(number));
  return isExact ? value : integer(intArithmetic(operator, BigInt(a), BigInt(b)));
}

/** Apply a binary operator of Jinja to any two values. Fail where Python raises TypeError. */
export function binary(operator: string, left: unknown, right: unknown): unknown {
  if (operator === "~") return str(left) + str(right);
  defined(left);
  defined(right);
  if (operator === "%" && typeof left === "string") return formatPercent(left, right);
  const [a, b] = [numeric(left), numeric(right)];
  if (a !== undefined && b !== undefined) return arithmetic(operator, a, b, isFloat(left) || isFloat(right));
  if (operator === "+") {
    if (typeof left === "string" && typeof right === "string") return left + right;
    if (isList(left) && isList(right) && left instanceof Tuple === right instanceof Tuple)
      return left instanceof Tuple ? tuple(...left, ...right) : left.concat(right);
  }
  if (operator === "*") {
    if ((typeof left === "string" || isList(left)) && b !== undefined && !isFloat(right))
      return repeat(left, Number(b));
    if ((typeof right === "string" || isList(right)) && a !== undefined && !isFloat(left))
      return repeat(right, Number(a));
  }
  if (left instanceof Attributes) {
    const method = left.get(`__${operator}__`);
    if (typeof method === "function") return (method as (other: unknown) => unknown)(right);
  }
  return fail(`unsupported operand type(s) for ${operator}: '${typeName(left)}' and '${typeName(right)}'`);
}

/** Apply unary minus or plus. */
export function unary(operator: string, value: unknown): unknown {
  const number =
    numeric(defined(value)) ??
    fail(`bad operand type for unary ${operator}: '${typeName(value)}' (${repr(value)})`);
  if (isFloat(value)) return float(operator === "-" ? -Number(number) : Number(number));
  return operator === "-" ? integer(-BigInt(number)) : number;
}
