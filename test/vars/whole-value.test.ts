import { describe, expect, it } from "vitest";
import { Data, Float, keyOf, makeMap } from "../../src/core/values/value.ts";
import { decodeWhole, encodeWhole } from "../../src/vars/whole-value.ts";

const carried = (value: unknown): unknown => decodeWhole(JSON.parse(JSON.stringify(encodeWhole(value))));

describe("what a Job carries", () => {
  it.each<[string, unknown]>([
    ["a float of whole value", new Float(8)],
    ["zero as a key", makeMap([[new Float(0), new Float(-0)]])],
    ["minus zero as a key", makeMap([[new Float(-0), new Float(0)]])],
    ["minus zero", new Float(-0)],
    ["a float that has an exponent in JavaScript", new Float(1e300)],
    ["infinity", Number.NEGATIVE_INFINITY],
    ["no number", Number.NaN],
    ["a long integer", 9007199254740993n],
    ["a negative long integer", -4722366482869645213695n],
    ["data", new Data("p{{ 1+1 }}w")],
    [
      "whole numbers as keys, in their order",
      new Map([
        [20, "blue"],
        [10, "red"],
      ]),
    ],
    [
      "keys of every type",
      new Map<unknown, unknown>([
        [1.5, 1],
        [true, 2],
        [null, 3],
        ["10", 4],
        [10, 5],
      ]),
    ],
    ["dicts in dicts and lists", { a: [new Map([[2, { b: new Float(1) }]])], c: { d: [[]] } }],
    ["keys that look like the codec's own", { $volley: ["float", "1"], a: { $volley: [[1, 2]] }, x: null }],
    ["a key that is no property", JSON.parse('{"a": {"__proto__": {"x": 1}}}')],
    ["what JSON has", { a: [null, true, "x", 1.5, -3], b: {} }],
  ])("%s", (_what, value) => {
    const back = carried(value);
    expect(back).toStrictEqual(value);
    if (value instanceof Map) expect([...(back as Map<unknown, unknown>)]).toEqual([...value]);
  });

  it("finds a float among keys again, which is the same key as the whole number and as true", () => {
    const map = carried(makeMap([[new Float(1), "x"]])) as Map<unknown, unknown>;
    expect([...map.keys()]).toEqual([new Float(1)]);
    for (const key of [new Float(1), 1, true, 1n]) expect(map.get(keyOf(map, key))).toBe("x");
    expect(map.has(keyOf(map, "1"))).toBe(false);
    expect([
      ...makeMap([
        [new Float(-0), 1],
        [0, 2],
        [new Float(0), 3],
        [false, 4],
      ]),
    ]).toEqual([[new Float(-0), 4]]);
  });
});
