import { test } from "vitest";
import { readElf, stripElf } from "../../src/bundle/runtimes/elf.ts";
import { FUZZ_TIMEOUT_MS, fuzz, readCorpus } from "./lib/fuzz.ts";
import { must, mustEqual, orRefusal } from "./lib/judge.ts";
import type { Draw } from "./lib/random.ts";

const CODES = ["RUNTIME_FAILED"];

/** Most changes to the text of such a file are no change of its structure: put numbers into fields. */
function changeFields(draw: Draw): Buffer {
  const bytes = Buffer.from(draw.pick(readCorpus("elf")).bytes);
  for (let changes = 1 + draw.below(4); changes > 0; changes--) {
    const at = draw.below(bytes.length - 8);
    const value = draw.pick([
      0,
      1,
      2,
      16,
      24,
      0xff,
      0xffff,
      0x400000,
      bytes.length,
      0xffffffff,
      draw.below(bytes.length),
    ]);
    if (draw.below(2) === 0) bytes.writeUInt32LE(value, at);
    else bytes.writeUInt16LE(value & 0xffff, at);
  }
  return draw.below(4) === 0 ? bytes.subarray(0, draw.below(bytes.length)) : bytes;
}

test(
  "a program or library: read and stripped, or refused in one line",
  () =>
    fuzz({
      corpus: "elf",
      inputs: 2_000,
      make: (draw) => changeFields(draw),
      check: (input) => {
        const elf = orRefusal(CODES, () => readElf(input, "the file"));
        const stripped = orRefusal(CODES, () => stripElf(input, "the file"));
        if (stripped === undefined) return;
        must(stripped.length <= input.length, "stripping makes it longer");
        mustEqual(stripElf(stripped, "it").length, stripped.length, "the size when stripped twice");
        if (elf === undefined) return;
        const again = readElf(stripped, "the file");
        mustEqual([again.needed, again.interpreter], [elf.needed, elf.interpreter], "the stripped file");
      },
    }),
  FUZZ_TIMEOUT_MS,
);
