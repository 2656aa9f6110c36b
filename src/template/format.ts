import { floatText, numeric } from "../core/values/value.ts";
import { fail } from "./errors.ts";
import {
  asNumber,
  defined,
  dictGet,
  float,
  isDict,
  isFloat,
  isInt,
  repr,
  str,
  Tuple,
  typeName,
  Undefined,
} from "./values.ts";

interface Spec {
  readonly fill: string;
  readonly align: string;
  readonly sign: string;
  readonly alternate: boolean;
  readonly width: number;
  readonly grouping: string;
  readonly precision: number | undefined;
  readonly type: string;
}

const SPEC = /^(?:([\s\S])?([<>=^]))?([-+ ])?(#)?(0)?(\d+)?([,_])?(?:\.(\d+))?([a-zA-Z%])?$/u;

function parseSpec(text: string): Spec {
  const match = SPEC.exec(text) ?? fail(`invalid format specifier '${text}'`);
  const [, fill, align, sign = "", alternate, zero, width, grouping = "", precision, type = ""] = match;
  return {
    fill: fill ?? (zero === undefined ? " " : "0"),
    align: align ?? (zero === undefined ? "" : "="),
    sign,
    alternate: alternate !== undefined,
    width: Number(width ?? 0),
    grouping,
    precision: precision === undefined ? undefined : Number(precision),
    type,
  };
}

function groupDigits(digits: string, separator: string): string {
  const [whole = "", ...rest] = digits.split(".");
  return [whole.replace(/\B(?=(\d{3})+$)/g, separator), ...rest].join(".");
}

/** Write a number with an exponent of at least two digits, as C does; JavaScript writes one. */
function exponent(value: number, precision: number): string {
  return value.toExponential(precision).replace(/e([+-])(\d)$/, "e$10$2");
}

function general(value: number, precision: number, alternate: boolean): string {
  const digits = Math.max(1, precision);
  const magnitude = value === 0 ? 0 : Number(value.toExponential(digits - 1).split("e")[1]);
  if (magnitude < -4 || magnitude >= digits) {
    const text = exponent(value, digits - 1);
    return alternate ? text : text.replace(/\.?0+(?=e)/, "");
  }
  const text = value.toFixed(digits - 1 - magnitude);
  return alternate || !text.includes(".") ? text : text.replace(/\.?0+$/, "");
}

/** Round half to even at the exact decimal, as C does; toFixed is exact but rounds halves up. */
export function fixed(value: number, precision: number): string {
  const text = value.toFixed(Math.min(100, precision));
  const scaled = value * 10 ** precision;
  const isHalf =
    Math.abs(scaled) < 2 ** 52 &&
    Math.abs(scaled % 1) === 0.5 &&
    scaled / 10 ** precision === value &&
    isExact(value);
  if (!isHalf) return text;
  const even = 2 * Math.round(scaled / 2);
  return (even / 10 ** precision).toFixed(precision);
}

function isExact(value: number): boolean {
  // A decimal half is a real tie only for a sum of few powers of two.
  return Number.isInteger(value * 2 ** 20);
}

/** Write an int in one of the bases, as Python does. */
function intBody(value: bigint, { type, precision, alternate }: Spec): string {
  if (precision !== undefined) return fail("Precision not allowed in integer format specifier");
  const prefix = alternate ? ({ x: "0x", X: "0X", o: "0o", b: "0b" }[type] ?? "") : "";
  const digits = value.toString({ x: 16, X: 16, o: 8, b: 2 }[type] ?? 10);
  return prefix + (type === "X" ? digits.toUpperCase() : digits);
}

function numberBody(value: number, spec: Spec): string {
  const { type, precision, alternate } = spec;
  switch (type) {
    case "f":
    case "F":
      return fixed(value, precision ?? 6);
    case "e":
      return exponent(value, precision ?? 6);
    case "E":
      return exponent(value, precision ?? 6).toUpperCase();
    case "g":
    case "n":
      return general(value, precision ?? 6, alternate);
    case "G":
      return general(value, precision ?? 6, alternate).toUpperCase();
    case "%":
      return `${fixed(value * 100, precision ?? 6)}%`;
    case "":
      return precision === undefined ? floatText(value) : general(value, precision, false);
    default:
      return fail(`Unknown format code '${type}' for object of type 'float'`);
  }
}

function pad(text: string, sign: string, spec: Spec, align: string): string {
  const missing = Math.max(0, spec.width - [...text].length - sign.length);
  const fill = spec.fill;
  switch (align) {
    case ">":
      return fill.repeat(missing) + sign + text;
    case "=":
      return sign + fill.repeat(missing) + text;
    case "^":
      return fill.repeat(missing >> 1) + sign + text + fill.repeat(missing - (missing >> 1));
    default:
      return sign + text + fill.repeat(missing);
  }
}

/** Format a value by a format specification of Python: `>10`, `05.2f`, `,`. */
function formatValue(value: unknown, specification: string): string {
  defined(value);
  if (specification === "") return str(value);
  const spec = parseSpec(specification);
  const number = numeric(value);
  if (number === undefined) {
    if (!["", "s"].includes(spec.type))
      fail(`unknown format code '${spec.type}' for object of type '${typeName(value)}'`);
    const text = str(value);
    return pad(
      spec.precision === undefined ? text : [...text].slice(0, spec.precision).join(""),
      "",
      spec,
      spec.align || "<",
    );
  }
  const negative = number < 0 || Object.is(number, -0);
  const sign = negative ? "-" : spec.sign === "-" ? "" : spec.sign;
  const isIntSpec = !isFloat(value) && ["", "d", "x", "X", "o", "b"].includes(spec.type);
  const body =
    spec.type === "c"
      ? String.fromCodePoint(Number(number))
      : isIntSpec
        ? intBody(BigInt(negative ? -number : number), spec)
        : numberBody(Math.abs(Number(number)), spec);
  return pad(spec.grouping === "" ? body : groupDigits(body, spec.grouping), sign, spec, spec.align || ">");
}

const PERCENT = /%(?:\(([^)]*)\))?([-+ #0]*)(\*|\d+)?(?:\.(\*|\d+))?[hlL]?([a-zA-Z%])/g;

/** Return Python's `text % values`: a tuple gives several values, a dict gives them by name. */
export function formatPercent(template: string, values: unknown): string {
  const list: readonly unknown[] = values instanceof Tuple ? values : [values];
  let next = 0;
  const take = (): unknown =>
    next < list.length ? list[next++] : fail("not enough arguments for format string");
  const size = (text: string | undefined): number | undefined =>
    text === "*" ? asNumber(take()) : text === undefined ? undefined : Number(text);
  const text = template.replace(
    PERCENT,
    (_, name: string | undefined, flags: string, width?: string, precision?: string, type = "") => {
      if (type === "%") return "%";
      const [columns, decimals] = [size(width) ?? 0, size(precision)];
      const value =
        name === undefined
          ? take()
          : isDict(values)
            ? dictGet(values, name)
            : fail("format requires a mapping");
      if (name !== undefined) next = list.length;
      return percentValue(value ?? (value === null ? null : fail(`no value named '${name}'`)), {
        flags,
        columns,
        decimals,
        type,
      });
    },
  );
  if (/%(?![\s\S])/.test(template.replace(/%%/g, ""))) fail("incomplete format");
  if (next < list.length && !isDict(values) && !(Array.isArray(values) && !(values instanceof Tuple))) {
    fail("not all arguments converted during string formatting");
  }
  return text;
}

interface PercentItem {
  readonly flags: string;
  readonly columns: number;
  readonly decimals: number | undefined;
  readonly type: string;
}

function percentValue(value: unknown, { flags, columns, decimals, type }: PercentItem): string {
  const left = flags.includes("-");
  if ("sra".includes(type)) {
    // Python writes an undefined value, too, as what it is.
    const text = type === "s" ? str(value) : value instanceof Undefined ? "AnsibleUndefined" : repr(value);
    const cut = decimals === undefined ? text : [...text].slice(0, decimals).join("");
    return left ? cut.padEnd(columns) : cut.padStart(columns);
  }
  if (type === "c") return typeof value === "string" ? value : String.fromCodePoint(asNumber(value) ?? 0);
  const number = numeric(defined(value));
  if (number === undefined) return fail(`%${type} format: a number is required, not ${typeName(value)}`);
  const whole = "diuxXo".includes(type);
  if ("xXo".includes(type) && !isInt(value) && typeof value !== "boolean")
    fail(`%${type} format: an integer is required, not float`);
  const sign = flags.includes("+") ? "+" : flags.includes(" ") ? " " : "";
  const fill = left ? "<" : flags.includes("0") ? "0=" : ">";
  const kind = "iu".includes(type) ? "d" : type;
  const alternate = flags.includes("#") ? "#" : "";
  const precision = whole || decimals === undefined ? "" : `.${decimals}`;
  const integral = (): bigint => BigInt(typeof number === "number" ? Math.trunc(number) : number);
  const body =
    whole && decimals !== undefined ? String(integral()).replace("-", "").padStart(decimals, "0") : undefined;
  if (body !== undefined && kind === "d") {
    const text = (number < 0 ? "-" : sign) + body;
    return left ? text.padEnd(columns) : text.padStart(columns);
  }
  const operand = whole ? integral() : float(Number(number));
  return formatValue(operand, `${fill}${sign}${alternate}${columns || ""}${precision}${kind}`);
}

const FIELD = /\{\{|\}\}|\{([^{}!:]*)(?:!([rsa]))?(?::((?:[^{}]|\{[^{}]*\})*))?\}/g;

/** Return Python's `text.format(…)`; `lookup` finds a field's value (`0`, `name`, `user.name`, `list[0]`). */
export function formatFields(template: string, lookup: (field: string) => unknown): string {
  let automatic = 0;
  const find = (field: string): unknown =>
    /^$|^[.[]/.test(field) ? lookup(`${automatic++}${field}`) : lookup(field);
  return template.replace(FIELD, (whole, field: string | undefined, conversion?: string, spec?: string) => {
    if (whole === "{{") return "{";
    if (whole === "}}") return "}";
    const value = find(field ?? "");
    const converted = conversion === undefined ? value : conversion === "s" ? str(value) : repr(value);
    return formatValue(
      converted,
      (spec ?? "").replace(/\{([^{}]*)\}/g, (_, inner: string) => str(find(inner))),
    );
  });
}
