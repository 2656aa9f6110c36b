import { expect, test } from "vitest";
import { definePlay } from "../../src/core/define.ts";
import { type Play, waitsBetween } from "../../src/core/playbook.ts";

test.each<Partial<Play>>([
  { serial: 1 },
  { serial: "30%" },
  { serial: [1, 5, "50%"] },
  { maxFailPercentage: 0 },
  { maxFailPercentage: 100 },
  { anyErrorsFatal: true, order: "shuffle", throttle: 3, timeout: 0.5 },
])("a play may say %j", (schedule) => {
  expect(definePlay({ name: "Deploy", hosts: "all", ...schedule })).toMatchObject(schedule);
});

test.each<readonly [Readonly<Record<string, unknown>>, string]>([
  [{ serial: 0 }, "`serial` must be a whole number of 1 or more"],
  [{ serial: 1.5 }, "not 1.5"],
  [{ serial: [] }, "not []"],
  [{ serial: "30" }, 'not "30"'],
  [{ serial: "0%" }, 'not "0%"'],
  [{ serial: [1, "101%"] }, "`serial`"],
  [{ maxFailPercentage: 101 }, "`maxFailPercentage` must be a number from 0 to 100, not 101"],
  [{ maxFailPercentage: Number.NaN }, "`maxFailPercentage`"],
  [{ maxFailPercentage: "30%" }, "`maxFailPercentage`"],
  [{ anyErrorsFatal: "yes" }, "`anyErrorsFatal` must be true or false"],
  [{ order: "random" }, '`order` must be one of "inventory", "reverse_inventory"'],
  [{ throttle: 0 }, "`throttle` must be"],
  [{ timeout: 0 }, "`timeout` must be a number of seconds above 0"],
  [{ timeout: Number.POSITIVE_INFINITY }, "`timeout`"],
])("refuses %j", (schedule, message) => {
  expect(() => definePlay({ name: "Deploy", hosts: "all", ...schedule } as Play)).toThrow(message);
});

test("a free play runs into the next, unless that one is taken in parts", () => {
  expect(waitsBetween({}, {})).toBe(true);
  expect(waitsBetween({ strategy: "free" }, {})).toBe(false);
  expect(waitsBetween({ strategy: "free" }, { serial: 1 })).toBe(true);
  expect(waitsBetween({ strategy: "free" }, { throttle: 1 })).toBe(true);
});
