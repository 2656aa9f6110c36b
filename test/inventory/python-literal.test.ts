import { expect, it } from "vitest";
import { Float } from "../../src/core/value.ts";
import { parsePythonLiteral } from "../../src/inventory/python-literal.ts";

it.each([
  ["8", 8],
  ["-5", -5],
  ["1.5", 1.5],
  ["1.0", new Float(1)],
  ["1e3", new Float(1000)],
  ["-2.", new Float(-2)],
  ["1.5e-3", 0.0015],
  ["9007199254740993", 9007199254740993n],
  ["-0x20000000000001", -9007199254740993n],
  ["00", 0],
  ["1__0", "1__0"],
  ["1_", "1_"],
  ["08", "08"],
  ["08.5", 8.5],
  ["inf", "inf"],
  ["nan", "nan"],
  [
    "{20: 'blue', 10: 'red'}",
    new Map([
      [20, "blue"],
      [10, "red"],
    ]),
  ],
  ["{1: 'a', 1.0: 'b', True: 'c'}", new Map([[1, "c"]])],
  [
    "{'10': 1, 'a': 2}",
    new Map<unknown, unknown>([
      ["10", 1],
      ["a", 2],
    ]),
  ],
  ["1_000", 1000],
  ["0x1F", 31],
  ["0644", "0644"],
  ["True", true],
  ["true", "true"],
  ["None", null],
  ["", ""],
  ["10.0.0.1", "10.0.0.1"],
  ["1,2", [1, 2]],
  ["(1, 2)", [1, 2]],
  ["(1)", 1],
  ["(1,)", [1]],
  ["[1, 'a', [True]]", [1, "a", [true]]],
  ["{'a': 1, 'b': [2]}", { a: 1, b: [2] }],
  ["{}", {}],
  ["'x' 'y'", "xy"],
  [`"a" # comment`, "a"],
  ["foo # comment", "foo # comment"],
  ["'it''s'", "its"],
  [String.raw`'a\'b\n'`, "a'b\n"],
  ["'unclosed", "'unclosed"],
  ["[1, 2", "[1, 2"],
  ["{{ other }}", "{{ other }}"],
  ["/srv/www", "/srv/www"],
  ["ssh-rsa AAAA== me@host", "ssh-rsa AAAA== me@host"],
])("%o is %o", (text, value) => {
  expect(parsePythonLiteral(text)).toEqual(value);
});
