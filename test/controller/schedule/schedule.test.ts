import { expect, test } from "vitest";
import { limitFailures, orderHosts, splitBatches } from "../../../src/controller/schedule/schedule.ts";
import type { Host } from "../../../src/core/inventory.ts";
import type { PlayOrder, PlaySchedule } from "../../../src/core/playbook.ts";

const NAMES = ["web2", "db1", "web1", "app1", "Web3"];

function ordered(order?: PlayOrder, seed?: string): readonly string[] {
  const hosts = NAMES.map(
    (name): Host => ({ name, groups: [], vars: {}, connection: {} }) as unknown as Host,
  );
  return orderHosts(hosts, order, seed).map(({ name }) => name);
}

function sizes(total: number, serial: PlaySchedule["serial"]): readonly number[] {
  const hosts = Array.from({ length: total }, (_, index) => index);
  const batches = splitBatches(hosts, serial);
  // Every host comes exactly once.
  expect(batches.flat()).toEqual(hosts);
  return batches.map(({ length }) => length);
}

test.each<readonly [expected: readonly number[], total: number, serial: PlaySchedule["serial"]]>([
  [[], 0, 3],
  [[7], 7, undefined],
  [[3, 3, 1], 7, 3],
  [[7], 7, 100],
  [[2, 2, 2, 1], 7, "30%"],
  [[3, 3], 6, "50%"],
  [[1, 1, 1], 3, "1%"],
  [[7], 7, "100%"],
  [[2, 2, 1], 5, "49.9%"],
  [[1, 5, 6, 6, 2], 20, [1, 5, "30%"]],
  [[1, 2, 10, 7], 20, [1, "10%", "50%"]],
  [[1], 1, [1, 5]],
])("batches of %j: %i hosts, serial %j", (expected, total, serial) => {
  expect(sizes(total, serial)).toEqual(expected);
});

test("orders", () => {
  expect(ordered()).toEqual(NAMES);
  expect(ordered("inventory")).toEqual(NAMES);
  expect(ordered("reverse_inventory")).toEqual(["Web3", "app1", "web1", "db1", "web2"]);
  expect(ordered("sorted")).toEqual(["Web3", "app1", "db1", "web1", "web2"]);
  expect(ordered("reverse_sorted")).toEqual(["web2", "web1", "db1", "app1", "Web3"]);
});

test("a shuffle is the same for the same seed, complete, and another for others", () => {
  expect(ordered("shuffle", "one")).toEqual(ordered("shuffle", "one"));
  const seeds = Array.from({ length: 200 }, (_, index) => `seed ${index}`);
  const orders = seeds.map((seed) => ordered("shuffle", seed));
  for (const order of orders) expect([...order].sort()).toEqual([...NAMES].sort());
  expect(new Set(orders.map((order) => order.join())).size).toBeGreaterThan(60);
  // Every host comes first at times.
  expect(new Set(orders.map(([first]) => first)).size).toBe(NAMES.length);
});

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
