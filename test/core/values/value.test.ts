import { describe, expect, it } from "vitest";
import { Float, parseJson, writeJson } from "../../../src/core/values/value.ts";

// Expected values: the output of Python's json.dumps(json.loads(text)).
describe("JSON as Python reads and writes it", () => {
  it.each([
    ['{"20": "blue", "10": "red", "a": 1}'],
    ['{"__proto__": {"x": 1}, "2": 8.0}'],
    ["[1.0, -0.0, 1e+16, 1.5, 9007199254740993, -123456789012345678901234567890]"],
    ["[NaN, Infinity, -Infinity]"],
    ['["1.0", "NaN", "a: 1.0", "\\"1.0\\":", "\\\\", "\\u0000"]'],
    ['{"a:": [], "b\\"": {}, "n": null, "t": true, "": ""}'],
    ["8.0"],
  ])("%s", (text) => {
    expect(writeJson(parseJson(text))).toBe(text);
  });

  it("tells floats from integers", () => {
    expect(parseJson("[1e3, 10, 1E2, 0.5e1]")).toStrictEqual([
      new Float(1000),
      10,
      new Float(100),
      new Float(5),
    ]);
  });

  it.each(["{a: 1.0}", "[1.0", "[01.0]", "[1.]", "[NaN", "nan", "[1.0, 9007199254740993,]", "[.5e1]", "[-]"])(
    "refuses %s",
    (text) => {
      expect(() => parseJson(text)).toThrow(SyntaxError);
    },
  );
});
