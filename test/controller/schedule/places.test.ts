import { setImmediate } from "node:timers/promises";
import { expect, test } from "vitest";
import { createPlaces } from "../../../src/controller/schedule/places.ts";

test("a host that lent its place has one again before those who have had none yet", async () => {
  const places = createPlaces(1);
  const [slow, next, last] = [places.join(), places.join(), places.join()];
  const told: string[] = [];
  await slow.take();
  const nextHasOne = next.take().then(() => told.push("next"));
  const lastHasOne = last.take().then(() => told.push("last"));
  let answers = (): void => {};
  const answer = new Promise<void>((resolve) => {
    answers = resolve;
  });
  const isBack = slow.during(answer).then(() => told.push("slow"));
  await nextHasOne;
  answers();
  // The slow host has asked for its place by then.
  await setImmediate();
  expect(told).toEqual(["next"]);
  next.leave();
  await isBack;
  await setImmediate();
  expect(told).toEqual(["next", "slow"]);
  slow.leave();
  await lastHasOne;
  expect(told).toEqual(["next", "slow", "last"]);
});

test("whoever leaves while waiting for a place hands it on", async () => {
  const places = createPlaces(1);
  const [first, gone, last] = [places.join(), places.join(), places.join()];
  await first.take();
  const taken = [gone.take(), last.take()];
  gone.leave();
  first.leave();
  await Promise.all(taken);
  const waits = places.join().take();
  expect(await Promise.race([waits.then(() => "has one"), setImmediate("waits")])).toBe("waits");
  last.leave();
  await waits;
});
