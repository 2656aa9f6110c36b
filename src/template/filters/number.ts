import { createHash, randomInt } from "node:crypto";
import { integer } from "../../core/values/value.ts";
import { fail } from "../errors.ts";
import { fixed } from "../format.ts";
import {
  asNumber,
  type Callable,
  callable,
  float,
  intArgument,
  isFloat,
  isInt,
  iterate,
  str,
  truth,
  typeName,
} from "../values.ts";

function number(value: unknown): number {
  return (
    asNumber(value) ??
    (typeof value === "string" && value.trim() !== "" && !Number.isNaN(Number(value))
      ? Number(value)
      : fail(`expected a number, got ${typeName(value)}`))
  );
}

function toInt(value: unknown, fallback: unknown = 0, base: unknown = 10): unknown {
  if (typeof value === "string") {
    const text = value.trim().replaceAll("_", "").toLowerCase();
    const radix = intArgument(base, 10);
    const prefix = { 16: /^([-+]?)0x/, 8: /^([-+]?)0o/, 2: /^([-+]?)0b/ }[radix];
    const digits = prefix ? text.replace(prefix, "$1") : text;
    const allowed = "0123456789abcdefghijklmnopqrstuvwxyz".slice(0, radix);
    if (new RegExp(`^[-+]?[${allowed}]+$`).test(digits)) return parseDigits(digits, radix);
    return /^[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?$/.test(text) && radix === 10
      ? whole(Number(text), fallback)
      : fallback;
  }
  if (isInt(value)) return value;
  const found = asNumber(value);
  return found === undefined ? fallback : whole(found, fallback);
}

/** Return the whole part of a float, with all of its digits. */
function whole(value: number, fallback: unknown): unknown {
  return Number.isFinite(value) ? integer(BigInt(Math.trunc(value))) : fallback;
}

/** Parse any number of digits of any base. */
function parseDigits(text: string, radix: number): number | bigint {
  const short = Number.parseInt(text, radix);
  if (Number.isSafeInteger(short)) return short;
  const magnitude = [...text.replace(/^[-+]/, "")].reduce(
    (total, digit) => total * BigInt(radix) + BigInt(Number.parseInt(digit, radix)),
    0n,
  );
  return text.startsWith("-") ? -magnitude : magnitude;
}

function toFloat(value: unknown, fallback: unknown): unknown {
  const otherwise = fallback === undefined ? float(0) : fallback;
  if (typeof value === "string") {
    const text = value.trim().replaceAll("_", "").toLowerCase();
    if (/^[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?$/.test(text)) return float(Number(text));
    const special = /^([-+]?)(inf(?:inity)?|nan)$/.exec(text);
    if (special === null) return otherwise;
    return special[2] === "nan"
      ? Number.NaN
      : special[1] === "-"
        ? Number.NEGATIVE_INFINITY
        : Number.POSITIVE_INFINITY;
  }
  const found = asNumber(value);
  return found === undefined ? otherwise : float(found);
}

function round(value: unknown, precision: unknown, method: unknown = "common"): unknown {
  const digits = intArgument(precision, 0);
  const from = number(value);
  if (method === "common") {
    if (isInt(value) && digits >= 0) return value;
    if (digits < 0) {
      const scaled = from / 10 ** -digits;
      const up = Math.round(scaled);
      const rounded = (up - scaled === 0.5 && up % 2 !== 0 ? up - 1 : up) * 10 ** -digits;
      return isInt(value) ? rounded : float(rounded);
    }
    return float(Number(fixed(from, digits)));
  }
  const scale = 10 ** digits;
  if (method === "ceil") return float(Math.ceil(from * scale) / scale);
  return method === "floor"
    ? float(Math.floor(from * scale) / scale)
    : fail(`round has no method '${str(method)}'`);
}

const UNITS = "YZEPTGMKB";

function toBytes(value: unknown, defaultUnit: unknown = null, isBits: unknown = false): number {
  const match =
    /^\s*(\d*\.?\d*)\s*([A-Za-z]+)?\s*$/.exec(str(value)) ??
    fail(`human_to_bytes cannot read '${str(value)}'`);
  const unit = match[2] ?? (defaultUnit === null ? "B" : str(defaultUnit));
  const letter = unit.charAt(0).toUpperCase();
  const power = UNITS.length - 1 - UNITS.indexOf(letter);
  if (!UNITS.includes(letter)) fail(`human_to_bytes does not know the unit '${unit}'`);
  if (
    unit.length > 1 &&
    letter !== "B" &&
    unit.slice(1) !== (truth(isBits) ? "b" : "B") &&
    !/^.(?:i?b|yte)/i.test(unit)
  )
    fail(`human_to_bytes does not know the unit '${unit}'`);
  return Math.round(Number(match[1]) * 1024 ** power);
}

function humanReadable(value: unknown, isBits: unknown = false, unit: unknown = null): string {
  const size = number(value);
  const suffix = truth(isBits) ? "b" : "B";
  const wanted = unit === null ? null : str(unit).charAt(0).toUpperCase();
  for (const [index, letter] of [...UNITS].entries()) {
    const limit = 1024 ** (UNITS.length - 1 - index);
    if (wanted === null ? size >= limit : wanted === letter) {
      const name = letter === "B" ? (truth(isBits) ? "bits" : "Bytes") : letter + suffix;
      return `${fixed(size / limit, 2)} ${name}`;
    }
  }
  return `${fixed(size, 2)} ${truth(isBits) ? "bits" : "Bytes"}`;
}

/** Filters of numbers, Jinja's and Ansible's. */
export const numberFilters: Readonly<Record<string, Callable>> = {
  int: callable(["value", "default", "base"], toInt),
  float: callable(["value", "default"], toFloat),
  abs: callable(["value"], (value: unknown) =>
    typeof value === "bigint"
      ? integer(value < 0n ? -value : value)
      : isFloat(value)
        ? float(Math.abs(number(value)))
        : Math.abs(number(value)),
  ),
  round: callable(["value", "precision", "method"], round),
  log: callable(["value", "base"], (value: unknown, base: unknown) => {
    const by = base === undefined ? Math.E : number(base);
    return float(
      by === 10
        ? Math.log10(number(value))
        : by === 2
          ? Math.log2(number(value))
          : Math.log(number(value)) / Math.log(by),
    );
  }),
  pow: callable(["value", "power"], (value: unknown, power: unknown) =>
    float(number(value) ** number(power)),
  ),
  root: callable(["value", "base"], (value: unknown, base: unknown) => {
    const by = base === undefined ? 2 : number(base);
    return float(by === 2 ? Math.sqrt(number(value)) : number(value) ** (1 / by));
  }),
  human_readable: callable(["value", "isbits", "unit"], humanReadable),
  human_to_bytes: callable(["value", "default_unit", "isbits"], toBytes),
};

const SIZE = 624;

function seedWords(seed: unknown): number[] {
  const bytes = isInt(seed)
    ? Buffer.from(
        BigInt(seed)
          .toString(16)
          .replace("-", "")
          .replace(/^(?=(?:..)*.$)/, "0"),
        "hex",
      )
    : Buffer.concat([Buffer.from(str(seed)), createHash("sha512").update(str(seed)).digest()]);
  const words: number[] = [];
  for (let end = bytes.length; end > 0; end -= 4)
    words.push(bytes.subarray(Math.max(0, end - 4), end).reduce((word, byte) => word * 256 + byte, 0));
  return words;
}

/** Make the generator MT19937 (Matsumoto and Nishimura) of 32-bit numbers, seeded as Python's `random.Random(seed)`. */
function mersenneTwister(seed: unknown): () => number {
  const state = new Uint32Array(SIZE);
  const at = (index: number): number => state[index] ?? 0;
  const key = seedWords(seed);
  state[0] = 19_650_218;
  for (let i = 1; i < SIZE; i++) state[i] = Math.imul(1_812_433_253, at(i - 1) ^ (at(i - 1) >>> 30)) + i;
  let i = 1;
  const advance = (): void => {
    i++;
    if (i < SIZE) return;
    state[0] = at(SIZE - 1);
    i = 1;
  };
  for (let k = 0, j = 0; k < Math.max(SIZE, key.length); k++, j = (j + 1) % key.length) {
    state[i] = (at(i) ^ Math.imul(at(i - 1) ^ (at(i - 1) >>> 30), 1_664_525)) + (key[j] ?? 0) + j;
    advance();
  }
  for (let k = 1; k < SIZE; k++) {
    state[i] = (at(i) ^ Math.imul(at(i - 1) ^ (at(i - 1) >>> 30), 1_566_083_941)) - i;
    advance();
  }
  state[0] = 0x80000000;
  let next = SIZE;
  return () => {
    if (next === SIZE) {
      for (let k = 0; k < SIZE; k++) {
        const y = (at(k) & 0x80000000) | (at((k + 1) % SIZE) & 0x7fffffff);
        state[k] = at((k + 397) % SIZE) ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
      }
      next = 0;
    }
    let y = at(next++);
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  };
}

/** Make a function of n that returns an int from 0 to n - 1, the one that Python returns for the same seed. */
function below(seed: unknown): (limit: number) => number {
  if (seed === undefined || seed === null) return (limit) => randomInt(limit);
  const word = mersenneTwister(seed);
  return (limit) => {
    const bits = limit.toString(2).length;
    for (;;) {
      const value = word() >>> (32 - bits);
      if (value < limit) return value;
    }
  };
}

function random(end: unknown, start: unknown, step: unknown, seed: unknown): unknown {
  const pick = below(seed);
  if (asNumber(end) === undefined) {
    const items = iterate(end);
    return items.length === 0 ? fail("random: the sequence is empty") : items[pick(items.length)];
  }
  const [from, by] = [intArgument(start ?? undefined, 0), intArgument(step ?? undefined, 1)];
  const count = Math.ceil((intArgument(end, 0) - from) / by);
  return count > 0 ? from + by * pick(count) : fail("random: the range is empty");
}

function shuffle(value: unknown, seed: unknown): unknown[] {
  const pick = below(seed);
  const items = [...iterate(value)];
  for (let index = items.length - 1; index > 0; index--) {
    const other = pick(index + 1);
    [items[index], items[other]] = [items[other], items[index]];
  }
  return items;
}

/** Ansible's filters of chance; with a seed they return the values that Ansible does. */
export const randomFilters: Readonly<Record<string, Callable>> = {
  random: callable(["end", "start", "step", "seed"], random),
  shuffle: callable(["value", "seed"], shuffle),
};
