import { describe, expect, it } from "vitest";
import { expandRanges, formatNodeSet, hasRange, parseNodeSet } from "../../src/patterns/names.ts";

function fail(problem: string): never {
  throw new Error(problem);
}

describe("expandRanges", () => {
  it.each([
    ["web1", ["web1"]],
    ["web[1:3]", ["web1", "web2", "web3"]],
    [
      "web[08:11].example.org",
      ["web08.example.org", "web09.example.org", "web10.example.org", "web11.example.org"],
    ],
    ["db-[a:c]", ["db-a", "db-b", "db-c"]],
    ["[A:B]", ["A", "B"]],
    ["n[1:9:2]", ["n1", "n3", "n5", "n7", "n9"]],
    ["n[1:8:3]", ["n1", "n4", "n7"]],
    ["n[:2]", ["n0", "n1", "n2"]],
    ["r[1:2]-n[a:b]", ["r1-na", "r1-nb", "r2-na", "r2-nb"]],
    ["n[9:11]", ["n9", "n10", "n11"]],
    ["n[5:5]", ["n5"]],
    ["n[09-11]", ["n09", "n10", "n11"]],
    ["n[1-2,5]", ["n1", "n2", "n5"]],
    ["n[1,1-2]", ["n1", "n2"]],
    ["n[0-8/4]", ["n0", "n4", "n8"]],
    ["r[1-2]n[a:b]", ["r1na", "r1nb", "r2na", "r2nb"]],
  ])("%s", (text, names) => {
    expect(expandRanges(text, fail)).toEqual(names);
  });

  it.each([
    ["web[3:1]", "[3:1] runs backwards"],
    ["web[c:a]", "[c:a] runs backwards"],
    ["web[01:100]", "both ends of [01:100] must have as many digits, because the first begins with 0"],
    ["web[1:c]", "[1:c] mixes digits and letters"],
    ["web[a:C]", "[a:C] mixes upper and lower case"],
    ["web[1:9:0]", "the step of [1:9:0] is 0"],
    ["web[1]", "[1] is no range; ranges are written [01:20], [a:f] or [1:9:2]"],
    ["web[3-1]", "[3-1] runs backwards"],
    ["web[01-100]", "both ends of [01-100] must have as many digits, because the first begins with 0"],
    ["web[1-9/0]", "the step of [1-9/0] is 0"],
    ["web[1-3,]", '"" in [1-3,] is neither a number nor a range such as 01-17'],
    ["web[1:99999999]", "[1:99999999] is more than 65536 hosts"],
    ["a[1:1000]b[1:1000]", "it stands for more than 65536 hosts"],
  ])("refuses %s", (text, problem) => {
    expect(() => expandRanges(text, fail)).toThrow(new Error(problem));
  });
});

it("hasRange tells a range from a character class", () => {
  const ranges = ["web[1:3]", "web[a:c]x", "web[01-03]", "web[10,12]", "r[1-2]n[01-04]", "n[0-8/2]"];
  expect(ranges.filter((text) => !hasRange(text))).toEqual([]);
  expect(["web[13]", "web", "web[1-3]", "web[1,3]", "web[a-c]", "web[!01]"].filter(hasRange)).toEqual([]);
});

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
    ["n2 n1 n4 & n[1-3]", ["n2", "n1"]],
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
