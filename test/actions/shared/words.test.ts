import { expect, it } from "vitest";
import { splitWords } from "../../../src/actions/shared/words.ts";

it.each([
  ["nginx -t -c %s", ["nginx", "-t", "-c", "%s"]],
  [`sh -c 'exit "1"'  x`, ["sh", "-c", 'exit "1"', "x"]],
  [`a"b c"'d'\\ e`, ["ab cd e"]],
  [`"\\"\\x" ''`, [`"\\x`, ""]],
  ["  ", []],
])("splits %j as a shell does", (line, words) => {
  expect(splitWords(line)).toEqual(words);
});

it.each([`a "b`, "a 'b", "a\\"])("refuses %j", (line) => {
  expect(() => splitWords(line)).toThrow("has an unfinished");
});
