import { expect, it } from "vitest";
import type { Result } from "../../src/core/result.ts";
import { createCustomStats } from "../../src/reporter/ansible-stats.ts";

function made(data: unknown, { perHost = false, aggregate = true } = {}): Result {
  return { state: "unchanged", data: { ansible_stats: { data, per_host: perHost, aggregate } } };
}

// Recorded from ansible-playbook 2.14 with ANSIBLE_SHOW_CUSTOM_STATS.
it("joins the stats of a run as Ansible does, and of two types keeps the first", () => {
  const stats = createCustomStats();
  stats.take("one", made({ i: 10, s: "a", l: [1], d: { x: 1 }, m: 1, f: 1.5, b: true }));
  stats.take("two", made({ i: 15, s: "b", l: [2], d: { x: 2, y: [3] }, m: "x", f: 2, b: true }));
  stats.take("one", made({ i2: 1 }, { perHost: true }));
  stats.take("one", made({ i2: 1 }, { perHost: true }));
  stats.take("one", made({ o: 1 }, { aggregate: false }));
  stats.take("one", made({ o: 2 }, { aggregate: false }));
  expect(stats.text(79).split("\n")).toEqual([
    "",
    "CUSTOM STATS: ******************************************************************",
    '\tone: { "i2": 2}',
    "",
    '\tRUN: { "b": 2, "d": {  "x": 2,  "y": [   3  ] }, "f": 1.5, "i": 25, "l": [  1,  2 ], "m": 1, "o": 2, "s": "ab"}',
    "",
    "",
  ]);
});

it("prints nothing without stats, nor those of results that are hidden", () => {
  const stats = createCustomStats();
  stats.take("one", { state: "unchanged", data: { changed: false } });
  stats.take("one", { ...made({ secret: 1 }), hidden: true });
  expect(stats.text(79)).toBe("");
});
