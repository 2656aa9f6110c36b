import { expect, it } from "vitest";
import { orderOfRound, requireAgreement } from "../../src/compare/compare.ts";
import { type HostResult, parseMethods, type Sample } from "../../src/compare/comparison.ts";
import { EMPTY_TALLY } from "../../src/core/result.ts";
import { sample } from "./lib/samples.ts";

const host = (name: string, changed: number, unchanged = 3): HostResult => ({
  host: name,
  outcome: "ok",
  tally: { ...EMPTY_TALLY, changed, unchanged },
});
const ran = (method: string, hosts: readonly HostResult[], round = 1): Sample =>
  sample(method, round, 1, { hosts });

it("lets pass what has done the same, in whatever order, and what does not tell", () => {
  const first = ran("bundle", [host("a", 0), host("b", 1)]);
  expect(() => requireAgreement(first, ran("direct", [host("b", 1), host("a", 0)]))).not.toThrow();
  expect(() => requireAgreement(first, ran("ansible", []))).not.toThrow();
});

it("says which hosts and counts differ", () => {
  const first = ran("bundle", [host("a", 0), host("b", 1)]);
  expect(() => requireAgreement(first, ran("direct", [host("a", 0), host("b", 0, 4)], 2))).toThrow(
    "bundle (warm, run 1) and direct (warm, run 2) did not do the same, so they are not compared: b: ok with 3 unchanged, 1 changed, then ok with 4 unchanged",
  );
  expect(() => requireAgreement(first, ran("direct", [host("a", 0)]))).toThrow(/b: .*, then not there/);
  expect(() =>
    requireAgreement(
      ran(
        "bundle",
        ["a", "b", "c", "d", "e"].map((name) => host(name, 0)),
      ),
      ran(
        "direct",
        ["a", "b", "c", "d", "e"].map((name) => host(name, 1)),
      ),
    ),
  ).toThrow(/; and 2 more hosts$/);
  const failed = { ...host("a", 0), outcome: "failed" as const };
  expect(() => requireAgreement(first, ran("direct", [failed, host("b", 1)]))).toThrow(
    /a: ok with .*, then failed/,
  );
});

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
