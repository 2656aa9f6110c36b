import { expect, test } from "vitest";
import { foldHostNames } from "../../../src/reporter/rows/wording.ts";

test.each<[readonly string[], string]>([
  [[], ""],
  [["db"], "db"],
  [["web01"], "web01"],
  [["web01", "web02", "web03", "web17"], "web[01-03,17]"],
  [["web9", "web10", "web11"], "web[9-11]"],
  [["web01", "web002"], "web01, web002"],
  [["web1.example.org", "web2.example.org", "db1.example.org"], "web[1-2].example.org, db1.example.org"],
  [["10.0.0.1", "10.0.0.2", "10.0.0.3"], "10.0.0.[1-3]"],
  [["web1.eu-1.net", "web2.eu-1.net", "web3.eu-1.net"], "web[1-3].eu-1.net"],
  [["rack1", "switch", "rack2"], "rack[1-2], switch"],
  [["web3", "web1", "web2"], "web[1-3]"],
])("%j is %s", (names, folded) => {
  expect(foldHostNames(names)).toBe(folded);
});
