import { expect, it } from "vitest";
import { orderOfRound } from "../../src/compare/compare.ts";
import { parseMethods } from "../../src/compare/comparison.ts";

it("takes our own methods first, then others", () => {
  expect(parseMethods(["bundle", "direct"], ["script=./deploy.sh a=b"], [])).toEqual([
    { kind: "volley", name: "bundle", via: "bundle" },
    { kind: "volley", name: "direct", via: "direct" },
    { kind: "command", name: "script", line: "./deploy.sh a=b" },
  ]);
});

it("knows what ansible=FILE means, and leaves whole commands alone", () => {
  const [short, whole] = parseMethods(
    [],
    ["ansible=site.yml", "fast=ansible-playbook -i {inventory} site.yml"],
    ["my hosts.ini"],
  );
  expect(short).toMatchObject({ line: "ansible-playbook -i 'my hosts.ini' -i {inventory} site.yml" });
  expect(whole).toMatchObject({ line: "ansible-playbook -i {inventory} site.yml" });
});

it.each([
  [["agent"], [], /there is no method "agent": --methods takes bundle, direct/],
  [[], ["true"], /--also takes NAME=COMMAND, not "true"/],
  [[], ["=true"], /--also takes NAME=COMMAND/],
  [[], ["a="], /--also takes NAME=COMMAND/],
  [["bundle"], ["bundle=true"], /two methods are called bundle/],
  [[], [], /there is nothing to compare/],
])("refuses %j with %j", (names, also, message) => {
  expect(() => parseMethods(names, also, [])).toThrow(message);
});

it("turns the order round in every second round", () => {
  expect([1, 2, 3].map((round) => orderOfRound(["a", "b", "c"], round).join(""))).toEqual([
    "abc",
    "cba",
    "abc",
  ]);
});
