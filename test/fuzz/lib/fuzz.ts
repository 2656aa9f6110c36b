import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { inspect } from "node:util";
import { runInThisContext } from "node:vm";
import { mustBeUnpolluted, Violation } from "./judge.ts";
import { type Material, mutate } from "./mutate.ts";
import { type Draw, drawFrom } from "./random.ts";

/** How one kind of input is tried. */
export interface Target {
  /** The directory below corpus/. */
  readonly corpus: string;
  /** How many inputs, when VOLLEY_FUZZ_SECONDS does not say otherwise. */
  readonly inputs: number;
  /** More of a corpus, of what should not lie about in files. */
  readonly seeds?: readonly Buffer[];
  /** Words of the format. */
  readonly tokens?: readonly string[];
  /** Instead of the usual mutation. */
  readonly make?: (draw: Draw, material: Material) => Buffer;
  /** True when `check` is synchronous, and can be ended when it hangs. Default true. */
  readonly synchronous?: boolean;
  /** Throws when the input leads to what it must not; `draw` is the same for the same input of the same seed. */
  readonly check: (input: Buffer, draw: Draw) => void | Promise<void>;
}

/** Far more than any input takes, also on a busy machine: only a hang is meant. */
const HANG_MS = 20_000;
const MAX_REDUCTIONS = 400;
const CORPUS = join(import.meta.dirname, "..", "corpus");

/** The default seed, fixed because a test of other people's changes must not fail by chance. */
const USUAL_SEED = 20_261_122;

/**
 * The seed in VOLLEY_FUZZ_SEED, else one of the moment where VOLLEY_FUZZ_SECONDS asks for more than the usual; it is
 * printed, so that what it led to can be repeated.
 */
function fuzzSeed(): number {
  const given = process.env.VOLLEY_FUZZ_SEED;
  const drawn = process.env.VOLLEY_FUZZ_SECONDS === undefined ? USUAL_SEED : Date.now() % 2 ** 31;
  const seed = given === undefined ? drawn : Number(given);
  process.stderr.write(`fuzz: VOLLEY_FUZZ_SEED=${seed}\n`);
  return seed;
}

const SEED = fuzzSeed();
const SECONDS = Number(process.env.VOLLEY_FUZZ_SECONDS ?? 0);

/** The time a test of one target may take, in milliseconds. */
export const FUZZ_TIMEOUT_MS = 300_000 + SECONDS * 1_000;

/** The files of a target's corpus. */
export function readCorpus(name: string): readonly { readonly name: string; readonly bytes: Buffer }[] {
  const directory = join(CORPUS, name);
  return readdirSync(directory)
    .sort()
    .map((file) => ({ name: `${name}/${file}`, bytes: readFileSync(join(directory, file)) }));
}

/** Tries the corpus as it is, then inputs made of it; fails for the first that leads to what it must not. */
export async function fuzz(target: Target): Promise<void> {
  const files = [...readCorpus(target.corpus)];
  for (const [index, bytes] of (target.seeds ?? []).entries()) files.push({ name: `seed ${index}`, bytes });
  const material: Material = { corpus: files.map(({ bytes }) => bytes), tokens: target.tokens ?? [] };
  for (const { name, bytes } of files) {
    const why = await tryInput(target, bytes, SEED);
    if (why !== undefined) throw failure(`corpus/${name}`, bytes, why);
  }
  const until = Date.now() + SECONDS * 1_000;
  for (let index = 0; SECONDS > 0 ? Date.now() < until : index < target.inputs; index++) {
    const seed = SEED + index;
    const input = (target.make ?? mutate)(drawFrom(seed), material);
    const why = await tryInput(target, input, seed);
    if (why === undefined) continue;
    const reduced = await reduce(target, input, seed, why);
    throw failure(`VOLLEY_FUZZ_SEED=${seed}`, reduced, (await tryInput(target, reduced, seed)) ?? why);
  }
}

function failure(which: string, input: Buffer, why: string): Error {
  const shown = inspect(input.toString("latin1"), {
    breakLength: Number.POSITIVE_INFINITY,
    maxStringLength: 300,
  });
  return new Error(
    `${which}: ${why}\ninput (${input.length} bytes): ${shown}\nbase64: ${input.subarray(0, 300).toString("base64")}`,
  );
}

const SLOT = Symbol.for("volley.fuzz");
const holder = globalThis as unknown as Record<symbol, () => unknown>;

/** Why an input is not taken as it should be; undefined when it is. */
async function tryInput(
  { check, synchronous = true }: Target,
  input: Buffer,
  seed: number,
): Promise<string | undefined> {
  // The draw must not repeat what made the input.
  const draw = drawFrom(seed ^ 0x5bd1e995);
  const startedAt = performance.now();
  try {
    if (synchronous) {
      holder[SLOT] = () => check(input, draw);
      // The timeout of vm is the only way to end code that does not return.
      runInThisContext('globalThis[Symbol.for("volley.fuzz")]()', { timeout: HANG_MS });
    } else await check(input, draw);
    if (performance.now() - startedAt > HANG_MS) return `it took more than ${HANG_MS / 1_000} s`;
    mustBeUnpolluted();
    return undefined;
  } catch (thrown) {
    if (thrown instanceof Violation) return thrown.message;
    return thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
  }
}

/** A smaller input that goes wrong too. */
async function reduce(target: Target, input: Buffer, seed: number, why: string): Promise<Buffer> {
  const kind = (text: string): string => text.slice(0, 24);
  let best = input;
  let tries = 0;
  const startedAt = Date.now();
  for (
    let size = Math.ceil(best.length / 2);
    size >= 1 && tries < MAX_REDUCTIONS;
    size = size === 1 ? 0 : Math.ceil(size / 2)
  ) {
    for (
      let at = 0;
      at < best.length && tries < MAX_REDUCTIONS && Date.now() - startedAt < HANG_MS;
      tries++
    ) {
      const smaller = Buffer.concat([best.subarray(0, at), best.subarray(at + size)]);
      const still = await tryInput(target, smaller, seed);
      if (still !== undefined && kind(still) === kind(why)) best = smaller;
      else at += size;
    }
  }
  return best;
}
