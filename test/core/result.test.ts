import { expect, test } from "vitest";
import {
  addTallies,
  countResult,
  countState,
  EMPTY_TALLY,
  formatTally,
  tallyTotal,
} from "../../src/core/result.ts";

test("totals are told in these words", () => {
  const tally = { unchanged: 87, changed: 0, skipped: 1, failed: 0, ignored: 0, rescued: 0, notExecuted: 0 };
  expect(formatTally(tally, 310)).toBe(
    "88 total actions in 0.31s: 87 unchanged, 0 changed, 1 skipped, 0 failed, 0 not executed.",
  );
  expect(formatTally({ ...tally, ignored: 2, rescued: 1 }, 310)).toBe(
    "91 total actions in 0.31s: 87 unchanged, 0 changed, 1 skipped, 0 failed, 2 ignored, 1 rescued, 0 not executed.",
  );
});

test("a failure that is ignored counts as ignored alone", () => {
  expect(countResult(EMPTY_TALLY, { state: "failed", ignored: true })).toEqual({
    ...EMPTY_TALLY,
    ignored: 1,
  });
  expect(countResult(EMPTY_TALLY, { state: "failed" })).toEqual({ ...EMPTY_TALLY, failed: 1 });
});

test("tallies count, add up, and stay as they were", () => {
  const one = countState(countState(EMPTY_TALLY, "changed"), "notExecuted");
  expect(one).toEqual({
    unchanged: 0,
    changed: 1,
    skipped: 0,
    failed: 0,
    ignored: 0,
    rescued: 0,
    notExecuted: 1,
  });
  expect(addTallies([one, one, EMPTY_TALLY])).toMatchObject({ changed: 2, notExecuted: 2 });
  expect(tallyTotal(addTallies([one, one]))).toBe(4);
  expect(addTallies([])).toEqual(EMPTY_TALLY);
  expect(tallyTotal(EMPTY_TALLY)).toBe(0);
});
