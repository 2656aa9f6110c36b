import { expect, test } from "vitest";
import { formatBytes, formatClock, formatElapsed, formatRate } from "../../../src/reporter/rows/amounts.ts";

test.each([
  [0, "0.00s"],
  [-5, "0.00s"],
  [310, "0.31s"],
  [9_994, "9.99s"],
  [9_996, "10.0s"],
  [42_149, "42.1s"],
  [59_949, "59.9s"],
  [59_960, "1m 00s"],
  [61_000, "1m 01s"],
  [119_600, "2m 00s"],
  [3_599_600, "1h 00m 00s"],
  [3_723_000, "1h 02m 03s"],
  [360_000_000, "100h 00m 00s"],
])("%i ms took %s", (ms, text) => {
  expect(formatElapsed(ms)).toBe(text);
});

test.each([
  [0, "0:00"],
  [7_999, "0:07"],
  [61_000, "1:01"],
  [3_723_000, "1:02:03"],
])("after %i ms the clock shows %s", (ms, text) => {
  expect(formatClock(ms)).toBe(text);
});

test.each([
  [0, "0 B"],
  [1_023, "1023 B"],
  [1_024, "1.0 kB"],
  [1_258_291, "1.2 MB"],
  [1_023_000, "999 kB"],
  [1_023_999, "1.0 MB"],
  [31_457_280, "30 MB"],
])("%i bytes are %s", (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});

test("a rate needs time", () => {
  expect(formatRate(1_048_576, 500)).toBe("2.0 MB/s");
  expect(formatRate(1_048_576, 0)).toBe("");
});
