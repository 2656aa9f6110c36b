import { describe, expect, it } from "vitest";
import { expandRanges, hasRange } from "../../src/inventory/names.ts";

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
