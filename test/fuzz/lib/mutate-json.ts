import type { Draw } from "./random.ts";

const NAMES = [
  "__proto__",
  "constructor",
  "prototype",
  "toString",
  "toJSON",
  "valueOf",
  "length",
  "then",
  "type",
  "host",
  "",
];
const TEXTS = [
  "",
  "\u001b[2J\u001b]0;x\u0007",
  "a\nb\r\nc",
  "\0",
  "\u202e\u2066",
  "\ud800",
  "__proto__",
  "x".repeat(5_000),
  "{{ x }}",
  "名😀é",
];
const NUMBERS = [
  0,
  -0,
  -1,
  1,
  0.5,
  1e9,
  1e9 + 1,
  2 ** 31,
  2 ** 53,
  -(2 ** 53),
  1e21,
  1e308,
  Number.MIN_VALUE,
];

function deep(levels: number, asList: boolean): unknown {
  let value: unknown = 0;
  for (let level = 0; level < levels; level++) value = asList ? [value] : { a: value };
  return value;
}

/** A value of JSON that nobody asked for. */
export function strangeValue(draw: Draw): unknown {
  switch (draw.below(10)) {
    case 0:
      return null;
    case 1:
      return draw.chance(0.5);
    case 2:
    case 3:
      return draw.pick(NUMBERS);
    case 4:
    case 5:
      return draw.pick(TEXTS);
    case 6:
      return draw.pick([[], [null], [[]], ["a", "b"], [{}], new Array(50).fill(0)]);
    case 7:
      return draw.pick<object>([
        {},
        { toString: null },
        { toString: 1, valueOf: 1 },
        { length: 5 },
        { a: { b: [] } },
      ]);
    case 8:
      // As JSON.parse makes it: a property of its own.
      return JSON.parse('{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}');
    default:
      return deep(draw.pick([5, 99, 101, 1_000]), draw.chance(0.5));
  }
}

/** A copy of a JSON value with one to three places in it changed: other types, more and fewer fields, other names. */
export function mutateJson(draw: Draw, value: unknown): unknown {
  let copy: unknown = structuredClone(value);
  const changes = 1 + draw.below(3);
  for (let change = 0; change < changes; change++) copy = changeOnce(draw, copy);
  return copy;
}

function changeOnce(draw: Draw, value: unknown): unknown {
  if (typeof value !== "object" || value === null || draw.chance(0.05)) return strangeValue(draw);
  const holder = value as Record<string, unknown>;
  const keys = Object.keys(holder);
  if (keys.length === 0 || draw.chance(0.15)) {
    if (Array.isArray(value)) value.push(strangeValue(draw));
    else set(holder, draw.pick(NAMES), strangeValue(draw));
    return value;
  }
  const key = draw.pick(keys);
  const inner = holder[key];
  if (typeof inner === "object" && inner !== null && draw.chance(0.7))
    set(holder, key, changeOnce(draw, inner));
  else if (draw.chance(0.15)) delete holder[key];
  else set(holder, key, strangeValue(draw));
  return value;
}

function set(holder: object, key: string, value: unknown): void {
  Object.defineProperty(holder, key, { value, enumerable: true, configurable: true, writable: true });
}
