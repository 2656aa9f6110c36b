import type { Draw } from "./random.ts";
import { COMMON_BYTES, COMMON_TOKENS, NESTING } from "./tokens.ts";

/** The material of inputs. */
export interface Material {
  readonly corpus: readonly Buffer[];
  /** Words of the format. */
  readonly tokens: readonly string[];
}

/** No input is longer, in bytes. */
export const MAX_INPUT_BYTES = 128 << 10;
const MAX_CHANGES = 6;
const LONG = [40, 300, 5_000, 60_000] as const;

/** A new input: one of the corpus, changed in a few places. */
export function mutate(draw: Draw, material: Material): Buffer {
  let bytes = draw.pick(material.corpus);
  const changes = 1 + draw.below(MAX_CHANGES);
  for (let change = 0; change < changes; change++) bytes = draw.pick(MUTATORS)(bytes, draw, material);
  return bytes.subarray(0, MAX_INPUT_BYTES);
}

type Mutator = (bytes: Buffer, draw: Draw, material: Material) => Buffer;

/** Any place, or the beginning or end of a word. */
function place(bytes: Buffer, draw: Draw): number {
  const at = draw.below(bytes.length + 1);
  if (draw.chance(0.4)) return at;
  const near = bytes
    .subarray(at, at + 40)
    .toString("latin1")
    .search(/\b/);
  return near < 0 ? at : at + near;
}

function span(bytes: Buffer, draw: Draw): readonly [from: number, to: number] {
  const [one, other] = [place(bytes, draw), place(bytes, draw)];
  return [Math.min(one, other), Math.max(one, other)];
}

function splice(bytes: Buffer, from: number, to: number, middle: Buffer): Buffer {
  return Buffer.concat([bytes.subarray(0, from), middle, bytes.subarray(to)]);
}

function lineSpan(bytes: Buffer, draw: Draw): readonly [from: number, to: number] {
  const at = draw.below(bytes.length + 1);
  const from = bytes.lastIndexOf(0x0a, Math.max(0, at - 1)) + 1;
  const end = bytes.indexOf(0x0a, at);
  return [Math.min(from, at), end < 0 ? bytes.length : end + 1];
}

const token = (draw: Draw, { tokens }: Material): Buffer =>
  Buffer.from(draw.pick(draw.chance(0.6) && tokens.length > 0 ? tokens : COMMON_TOKENS));

const MUTATORS: readonly Mutator[] = [
  function flipBit(bytes, draw) {
    if (bytes.length === 0) return bytes;
    const copy = Buffer.from(bytes);
    const at = draw.below(copy.length);
    copy[at] = copy[at]! ^ (1 << draw.below(8));
    return copy;
  },
  function anyByte(bytes, draw) {
    if (bytes.length === 0) return bytes;
    const copy = Buffer.from(bytes);
    copy[draw.below(copy.length)] = draw.below(256);
    return copy;
  },
  (bytes, draw) => bytes.subarray(0, draw.below(bytes.length + 1)),
  (bytes, draw) => bytes.subarray(draw.below(bytes.length + 1)),
  function remove(bytes, draw) {
    return splice(bytes, ...span(bytes, draw), Buffer.alloc(0));
  },
  function removeLine(bytes, draw) {
    return splice(bytes, ...lineSpan(bytes, draw), Buffer.alloc(0));
  },
  function duplicate(bytes, draw) {
    const [from, to] = draw.chance(0.5) ? span(bytes, draw) : lineSpan(bytes, draw);
    const at = place(bytes, draw);
    return splice(bytes, at, at, bytes.subarray(from, to));
  },
  function insertToken(bytes, draw, material) {
    const at = place(bytes, draw);
    return splice(bytes, at, at, token(draw, material));
  },
  function insertTokenAgain(bytes, draw, material) {
    const at = place(bytes, draw);
    return splice(bytes, at, at, token(draw, material));
  },
  function replaceWord(bytes, draw, material) {
    const words = [...bytes.toString("latin1").matchAll(/[\w.+-]+/g)];
    if (words.length === 0) return bytes;
    const { 0: word, index } = draw.pick(words);
    return splice(bytes, index, index + word.length, token(draw, material));
  },
  function insertBytes(bytes, draw) {
    const at = place(bytes, draw);
    const some = draw.pick(COMMON_BYTES);
    return splice(bytes, at, draw.chance(0.5) ? at : at + some.length, some);
  },
  function joinWithAnother(bytes, draw, { corpus }) {
    const other = draw.pick(corpus);
    return Buffer.concat([bytes.subarray(0, place(bytes, draw)), other.subarray(place(other, draw))]);
  },
  function insertOfAnother(bytes, draw, { corpus }) {
    const other = draw.pick(corpus);
    const at = place(bytes, draw);
    return splice(bytes, at, at, other.subarray(...span(other, draw)));
  },
  function repeat(bytes, draw, material) {
    const at = place(bytes, draw);
    const what = draw.chance(0.4) ? Buffer.from(draw.pick(NESTING)) : token(draw, material);
    const times = Math.min(draw.pick(LONG), Math.floor(MAX_INPUT_BYTES / Math.max(1, what.length)));
    return splice(bytes, at, at, Buffer.alloc(what.length * times, what));
  },
  function repeatCharacter(bytes, draw) {
    const at = place(bytes, draw);
    const character =
      draw.chance(0.5) && bytes.length > 0
        ? bytes[draw.below(bytes.length)]!
        : draw.pick([0x20, 0x31, 0x61, 0x2e, 0x2a]);
    return splice(bytes, at, at, Buffer.alloc(draw.pick(LONG), character));
  },
  (bytes) => Buffer.from(bytes.toString("latin1").replace(/\r?\n/g, "\r\n"), "latin1"),
];
