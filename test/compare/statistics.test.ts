import { describe, expect, it, test } from "vitest";
import {
  interquartileRange,
  isDistinct,
  leastForInterval,
  median,
  medianInterval,
  medianSlope,
  pairedRatio,
  quantile,
} from "../../src/compare/statistics.ts";

const oneTo = (count: number): readonly number[] => Array.from({ length: count }, (_, index) => index + 1);

test("median and quartiles", () => {
  expect(median([])).toBeUndefined();
  expect(median([7])).toBe(7);
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 3, 2])).toBe(2.5);
  // As R's quantile(c(15, 20, 35, 40, 50), type = 7) has them.
  expect([0, 0.25, 0.4, 1].map((share) => quantile([35, 15, 50, 20, 40], share))).toEqual([15, 20, 29, 50]);
  expect(interquartileRange([1, 2, 3, 4])).toBe(1.5);
  expect(interquartileRange([])).toBeUndefined();
});

describe("the interval of a median", () => {
  // From tables of the sign test: the rank of the lower end, and its coverage.
  it.each([
    [6, 1, 0.96875],
    [7, 1, 0.984375],
    [8, 1, 0.9921875],
    [9, 2, 0.9609375],
    [10, 2, 0.978515625],
    [15, 4, 0.96484375],
    [20, 6, 0.95860863],
    [30, 10, 0.957226],
    [50, 18, 0.967162],
  ])("of %i values begins with rank %i", (count, rank, coverage) => {
    const interval = medianInterval([...oneTo(count)].reverse(), 0.95);
    expect(interval).toMatchObject({ low: rank, high: count + 1 - rank });
    expect(interval?.coverage).toBeCloseTo(coverage, 5);
  });

  it("is not given for too few", () => {
    expect(medianInterval(oneTo(5), 0.95)).toBeUndefined();
    expect(medianInterval([], 0.95)).toBeUndefined();
    expect([0.9, 0.95, 0.99].map(leastForInterval)).toEqual([5, 6, 8]);
    for (const confidence of [0.9, 0.95, 0.99]) {
      const least = leastForInterval(confidence);
      expect(medianInterval(oneTo(least), confidence)).toBeDefined();
      expect(medianInterval(oneTo(least - 1), confidence)).toBeUndefined();
    }
  });
});

describe("ratios of pairs", () => {
  it("leave out pairs of which one is missing", () => {
    expect(pairedRatio([2, 4, undefined, 9], [1, undefined, 3, 3], 0.95)).toEqual({
      median: 2.5,
      pairs: 2,
      interval: undefined,
    });
    expect(pairedRatio([undefined], [1], 0.95)).toBeUndefined();
    expect(pairedRatio([1], [0], 0.95)).toBeUndefined();
  });

  it("mean something when the interval leaves 1 out", () => {
    const base = [10, 20, 30, 40, 50, 60];
    const faster = pairedRatio(
      base.map((value, index) => value * (0.5 + index / 100)),
      base,
      0.95,
    );
    expect(faster?.interval?.low).toBeCloseTo(0.5);
    expect(faster?.interval?.high).toBeCloseTo(0.55);
    expect(isDistinct(faster!)).toBe(true);
    const mixed = pairedRatio(
      base.map((value, index) => value * (index % 2 === 0 ? 0.9 : 1.1)),
      base,
      0.95,
    );
    expect(mixed?.median).toBeCloseTo(1);
    expect(isDistinct(mixed!)).toBe(false);
    expect(isDistinct({ interval: undefined })).toBe(false);
  });
});

test("a slope that one outlier does not move", () => {
  expect(medianSlope([])).toBeUndefined();
  expect(
    medianSlope([
      [5, 1],
      [5, 2],
    ]),
  ).toBeUndefined();
  const line = [0, 20, 20, 100, 100].map((x): [number, number] => [x, 300 + 12 * x]);
  expect(medianSlope(line)).toBe(12);
  expect(medianSlope([...line, [20, 5_000]])).toBe(12);
});
