import { createHash, randomInt } from "node:crypto";
import { fail } from "../errors.ts";
import {
  type Callable,
  callable,
  intArgument,
  isDict,
  isInt,
  isList,
  iterate,
  str,
  truth,
} from "../values.ts";

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

/** Make a function of n that returns an int from 0 to n - 1 for an n of up to 48 bits, the one that Python returns for the same seed. */
export function below(seed: unknown): (limit: number) => number {
  if (seed === undefined || seed === null) return (limit) => randomInt(limit);
  const word = mersenneTwister(seed);
  return (limit) => {
    const bits = limit.toString(2).length;
    for (;;) {
      const low = bits > 32 ? word() : 0;
      const value = (word() >>> ((64 - bits) % 32)) * (bits > 32 ? 2 ** 32 : 1) + low;
      if (value < limit) return value;
    }
  };
}

function random(end: unknown, start: unknown, step: unknown, seed: unknown): unknown {
  const pick = below(seed);
  if (isList(end) || isDict(end) || typeof end === "string") {
    if ([start, step].some((each) => each !== undefined && truth(each)))
      fail("start and step can only be used with integer values");
    const items = iterate(end);
    return items.length === 0 ? fail("Cannot choose from an empty sequence") : items[pick(items.length)];
  }
  if (!isInt(end)) return fail("random can only be used on sequences and integers");
  const [from, by] = [intArgument(start ?? undefined, 0), intArgument(step ?? undefined, 1)];
  const count = Math.ceil((intArgument(end, 0) - from) / by);
  return count > 0 ? from + by * pick(count) : fail("empty range for randrange()");
}

function shuffle(value: unknown, seed: unknown): unknown {
  // As in Ansible, a value that has no items stays what it is.
  if (!isList(value) && !isDict(value) && typeof value !== "string") return value;
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
