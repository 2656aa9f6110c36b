import { describe, expect, it } from "vitest";
import {
  differenceOf,
  formatNodeSet,
  intersectionOf,
  parseNodeSet,
  unionOf,
} from "../../src/inventory/names.ts";

describe("parseNodeSet", () => {
  it.each<[string, readonly string[]]>([
    ["", []],
    ["web1", ["web1"]],
    ["web[08-11]", ["web08", "web09", "web10", "web11"]],
    ["web[8-11]", ["web8", "web9", "web10", "web11"]],
    ["web[01-03,07],db[1-2]", ["web01", "web02", "web03", "web07", "db1", "db2"]],
    ["rack[1-2]n[1-2]", ["rack1n1", "rack1n2", "rack2n1", "rack2n2"]],
    ["n[0-8/4].example.org", ["n0.example.org", "n4.example.org", "n8.example.org"]],
    ["n[5] m[07]", ["n5", "m07"]],
    ["n[1-2,2-3],n3", ["n1", "n2", "n3"]],
    ["web[01:03]", ["web01", "web02", "web03"]],
    ["a\nb  c,,d", ["a", "b", "c", "d"]],
    ["n[1-5]!n[2-3]", ["n1", "n4", "n5"]],
    ["n[1-5] ! n3 & n[1-4]", ["n1", "n2", "n4"]],
    ["n[1-3]^n[3-4]", ["n1", "n2", "n4"]],
  ])("%j", (text, names) => {
    expect(parseNodeSet(text)).toEqual(names);
  });

  it.each([
    ["n[3-1]", '"n[3-1]" is not a node set: [3-1] runs backwards'],
    ["n[01-100]", '"n[01-100]" is not a node set: both ends of [01-100] must have as many digits'],
    ["n[1-2,x]", '"n[1-2,x]" is not a node set: [1-2,x] is no range'],
    ["n[1-2,]", '"n[1-2,]" is not a node set: "" in [1-2,] is neither a number nor a range'],
    ["n[1-99999999]", "is more than 65536 hosts"],
  ])("refuses %s", (text, message) => {
    expect(() => parseNodeSet(text)).toThrow(message);
  });
});

describe("formatNodeSet", () => {
  it.each<[readonly string[], string]>([
    [[], ""],
    [["db"], "db"],
    [["web01"], "web01"],
    [["web03", "web01", "web02", "web17"], "web[01-03,17]"],
    [["web9", "web10", "web11"], "web[9-11]"],
    [["web01", "web02", "web100"], "web[01-02],web100"],
    [["web01", "web002"], "web01,web002"],
    [["web1.example.org", "web2.example.org", "db1.example.org"], "web[1-2].example.org,db1.example.org"],
    [["10.0.0.1", "10.0.0.2", "10.0.1.1", "10.0.1.2"], "10.0.[0-1].[1-2]"],
    [["rack1n1", "rack1n2", "rack2n1", "rack2n2"], "rack[1-2]n[1-2]"],
    [["rack1n1", "rack1n2", "rack2n1"], "rack1n[1-2],rack2n1"],
    [["a1-1", "a2-2"], "a1-1,a2-2"],
    [["web1.eu-1.net", "web2.eu-1.net"], "web[1-2].eu-1.net"],
    [["rack1", "switch", "rack2"], "rack[1-2],switch"],
    [["n1", "n1"], "n1"],
    [["n12345678901234567890"], "n12345678901234567890"],
  ])("%j is %s", (names, set) => {
    expect(formatNodeSet(names)).toBe(set);
  });

  it("is read back as the same names, whatever they are", () => {
    let seed = 7;
    const random = (below: number): number => {
      seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
      return seed % below;
    };
    for (let round = 0; round < 300; round++) {
      const names = Array.from({ length: 1 + random(30) }, () => {
        const number = (): string => String(random(12)).padStart(1 + random(2), "0");
        return [
          "n",
          number(),
          ...(random(2) === 0 ? [] : ["-r", number()]),
          random(4) === 0 ? ".x" : "",
        ].join("");
      });
      const set = formatNodeSet(names);
      expect([...parseNodeSet(set)].sort(), set).toEqual([...new Set(names)].sort());
    }
  });

  it("folds ten thousand names at once", () => {
    const names = Array.from({ length: 10_000 }, (_, index) => `n${index % 100}-${Math.floor(index / 100)}`);
    expect(formatNodeSet(names)).toBe("n[0-99]-[0-99]");
  });
});

it("sets are put together, and keep the first one's order", () => {
  expect(unionOf(["b", "a"], ["a", "c"])).toEqual(["b", "a", "c"]);
  expect(differenceOf(["b", "a"], ["a", "c"])).toEqual(["b"]);
  expect(intersectionOf(["b", "a"], ["a", "b", "c"])).toEqual(["b", "a"]);
});
