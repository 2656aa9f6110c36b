import { expect, test } from "vitest";
import { readBundle } from "../../src/bundle/carried.ts";

// A read of a FIFO or of another device might never end.
test("a bundle is a regular file", () => {
  expect(() => readBundle("/dev/null")).toThrow("cannot read /dev/null: it is no regular file");
  expect(() => readBundle("/dev")).toThrow("cannot read /dev: it is a directory");
});
