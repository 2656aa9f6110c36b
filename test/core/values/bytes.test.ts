import { expect, it } from "vitest";
import { bytesToText, isUtf8, textToBytes } from "../../../src/core/values/bytes.ts";

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");

// Expected values: the results of Python's bytes.decode("utf-8", "surrogateescape").
it.each([
  ["", ""],
  ["61 c3 a9", "aé"],
  ["ef bb bf 61", "\ufeffa"],
  ["f0 9f 98 80", "😀"],
  ["ef bf bd", "\ufffd"],
  ["63 61 66 e9 0a", "caf\udce9\n"],
  ["c3 a9 e9 c3 a9", "é\udce9é"],
  ["c0 80", "\udcc0\udc80"],
  ["ed a0 80", "\udced\udca0\udc80"],
  ["ed b3 a9", "\udced\udcb3\udca9"],
  ["f5 80 80 80", "\udcf5\udc80\udc80\udc80"],
  ["e2 82", "\udce2\udc82"],
  ["f0 9f 98 e9", "\udcf0\udc9f\udc98\udce9"],
  ["00 ff 0a", "\0\udcff\n"],
])("%s is the text %j, and back", (bytes, text) => {
  expect(bytesToText(hex(bytes))).toBe(text);
  expect(textToBytes(text)).toEqual(hex(bytes));
});

it("gives back all bytes, alone and beside each other", () => {
  for (let first = 0; first < 256; first++) {
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, second) => [first, second]).flat());
    expect(textToBytes(bytesToText(bytes)).equals(bytes)).toBe(true);
  }
});

it("knows text from bytes that are none", () => {
  expect(["", "é😀\ufffd", "\udce9"].map(isUtf8)).toEqual([true, true, false]);
});
