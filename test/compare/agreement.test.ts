import { expect, it } from "vitest";
import { requireAgreement } from "../../src/compare/compare.ts";
import type { HostResult, Sample } from "../../src/compare/comparison.ts";
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
