import { expect, it } from "vitest";
import { parsePythonLiteral } from "../../src/inventory/python-literal.ts";

it.each([
  ["8", 8],
  ["-5", -5],
  ["1.5", 1.5],
  ["1e3", 1000],
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
])("%j is %j", (text, value) => {
  expect(parsePythonLiteral(text)).toEqual(value);
});
