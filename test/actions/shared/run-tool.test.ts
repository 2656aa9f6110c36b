import { expect, it } from "vitest";
import { commandWords } from "../../../src/actions/shared/run-tool.ts";

it.each([
  ["nginx -t -c %s", ["nginx", "-t", "-c", "%s"]],
  [`sh -c 'exit "1"'  x`, ["sh", "-c", 'exit "1"', "x"]],
  [`a"b c"'d'\\ e`, ["ab cd e"]],
  [`"\\"\\x" ''`, [`"\\x`, ""]],
  ["  ", []],
])("splits %j as a shell does", (line, words) => {
  expect(commandWords(line)).toEqual(words);
});

it.each([`a "b`, "a 'b", "a\\"])("refuses %j", (line) => {
  expect(() => commandWords(line)).toThrow("has an unfinished");
});
