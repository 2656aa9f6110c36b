import { expect, test } from "vitest";
import { didYouMean, nearest } from "../../src/core/errors.ts";

test.each([
  ["sate", ["state", "path"], "state"],
  ["ptah", ["state", "path"], "path"],
  ["Path", ["state", "path"], "path"],
  ["recursive", ["recurse"], "recurse"],
  ["x", ["path"], undefined],
  ["completely", ["different"], undefined],
  ["web", [], undefined],
  ["wb", ["web", "db"], "web"],
])("%j among %j means %j", (word, candidates, expected) => {
  expect(nearest(word, candidates)).toBe(expected);
});

test("an exact match is nearer than any other", () => {
  expect(nearest("web2", ["web1", "web2", "web3"])).toBe("web2");
});

test("it is said as the end of a sentence, or not at all", () => {
  expect(didYouMean("wbe", ["web"])).toBe('; did you mean "web"?');
  expect(didYouMean("xyz", ["web"])).toBe("");
});
