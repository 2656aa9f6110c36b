import { expect, test } from "vitest";
import { readKeyValues } from "../../../src/core/values/key-values.ts";

const read = (text: string) => {
  const { values, rest } = readKeyValues(text, (problem) => {
    throw new Error(problem);
  });
  return { ...Object.fromEntries(values), ...(rest.length === 0 ? {} : { rest }) };
};

// As ansible-core 2.14 reads them.
test.each([
  ["a=1 b=2", { a: "1", b: "2" }],
  ['a="x y"', { a: "x y" }],
  ["a='x y' b=z", { a: "x y", b: "z" }],
  ["a=b=c", { a: "b=c" }],
  ["a=", { a: "" }],
  ["a={{ x }} b=1", { a: "{{ x }}", b: "1" }],
  ['a={{ x | default("p q") }}', { a: '{{ x | default("p q") }}' }],
  ['a="{{ q }} z"', { a: "{{ q }} z" }],
  [`a='it"s'`, { a: 'it"s' }],
  ['a="x\\"y"', { a: 'x"y' }],
  ['a="x\\ny"', { a: "x\ny" }],
  ["a='a\\'b'", { a: "a'b" }],
  ["a=\\\\x", { a: "\\x" }],
  ["a=x#y", { a: "x#y" }],
  ["a=1\nb=2", { a: "1", b: "2" }],
  ['a="x"y', { a: '"x"y' }],
  ['a=x"y z"', { a: 'x"y z"' }],
  ['a="l1\nl2"', { a: "l1\nl2" }],
  ["a=\\n", { a: "" }],
  ["a=\\x41\\u00e9", { a: "A\u00e9" }],
  ["a=x\\ y", { a: "x\\", rest: ["y"] }],
  ["foo", { rest: ["foo"] }],
  ["a = 1", { rest: ["a", "= 1".split(" ")[0], "1"] }],
  ["", {}],
])("%j", (text, expected) => {
  expect(read(text)).toEqual(expected);
});

test("a quote or a template without its end is refused", () => {
  expect(() => read('a="x')).toThrow('a quote (") is never closed');
  expect(() => read("a={{ x")).toThrow("a template is never closed: }} is missing");
});
