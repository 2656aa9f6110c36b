import { expect, test } from "vitest";
import { limitFailures } from "../../src/controller/schedule/schedule.ts";
import type { PlaySchedule } from "../../src/core/playbook.ts";

/** How many hosts of a batch may fail before the run ends; undefined when all may. */
function endsAt(size: number, schedule: PlaySchedule): number | undefined {
  const limit = limitFailures({ play: { name: "Deploy", ...schedule }, batch: 2, size });
  for (let failed = 1; failed <= size; failed++) if (limit.add(`web${failed}`) !== undefined) return failed;
  return undefined;
}

test.each<readonly [number | undefined, number, PlaySchedule]>([
  [undefined, 4, {}],
  [1, 4, { anyErrorsFatal: true }],
  [undefined, 4, { anyErrorsFatal: false }],
  // To be exceeded, not reached.
  [2, 4, { maxFailPercentage: 25 }],
  [1, 4, { maxFailPercentage: 24 }],
  [1, 4, { maxFailPercentage: 0 }],
  [undefined, 4, { maxFailPercentage: 100 }],
  [4, 10, { maxFailPercentage: 30 }],
  [4, 4, { serial: 4 }],
  [1, 1, { serial: 1, maxFailPercentage: 100 }],
  [2, 4, { serial: 4, maxFailPercentage: 25 }],
])("ends at %j failures of %i hosts: %j", (expected, size, schedule) => {
  expect(endsAt(size, schedule)).toBe(expected);
});

test("says who failed where, and what was allowed", () => {
  const share = limitFailures({ play: { name: "Deploy", maxFailPercentage: 25 }, batch: 1, size: 4 });
  expect(share.add("web1")).toBeUndefined();
  expect(share.add("web2")).toEqual({
    code: "OTHERS_FAILED",
    message: 'web1, web2 failed in play "Deploy": more than 25 % of 4 hosts',
  });
  const batch = limitFailures({ play: { name: "Deploy", serial: 7 }, batch: 3, size: 7 });
  const last = [1, 2, 3, 4, 5, 6, 7].map((number) => batch.add(`web${number}`)).at(-1);
  expect(last?.message).toBe(
    'web1, web2, web3, web4, web5 and 2 more failed in play "Deploy": all of batch 3',
  );
});
