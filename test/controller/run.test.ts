import { setImmediate as turn } from "node:timers/promises";
import { expect, test } from "vitest";
import type { Run } from "../../src/controller/run.ts";
import { startEmbeddedFleet } from "../../src/embedded/fleet.ts";
import { EventQueue } from "../../src/system/event-queue.ts";
import { start } from "../e2e/lib/drive.ts";
import { makeProject, playbookText, scratchDirectory, TWO_FILES } from "../e2e/lib/project.ts";

const scratch = scratchDirectory();

async function take<T>(queue: AsyncIterable<T>): Promise<readonly T[]> {
  const taken: T[] = [];
  for await (const value of queue) taken.push(value);
  return taken;
}

test("what was pushed before anybody iterates is kept, and comes in order", async () => {
  const queue = new EventQueue<number>();
  for (const value of [1, 2, 3]) queue.push(value);
  const taking = take(queue);
  queue.push(4);
  await turn();
  queue.push(5);
  queue.end();
  expect(await taking).toEqual([1, 2, 3, 4, 5]);
});

test("what nobody will take is not kept, and who iterates is not cut off", async () => {
  const queue = new EventQueue<number>();
  queue.push(1);
  const taking = take(queue);
  queue.forget();
  queue.push(2);
  queue.end();
  expect(await taking).toEqual([1, 2]);

  const forgotten = new EventQueue<number>();
  forgotten.push(1);
  forgotten.forget();
  forgotten.push(2);
  const late = take(forgotten);
  forgotten.push(3);
  forgotten.end();
  expect(await late).toEqual([3]);
});

test("who leaves early leaves nothing behind", async () => {
  const queue = new EventQueue<number>();
  for (const value of [1, 2, 3]) queue.push(value);
  for await (const value of queue) if (value === 2) break;
  for (const value of [4, 5]) queue.push(value);
  queue.end();
  expect(await take(queue)).toEqual([]);
});

/** How many events a run still holds. */
async function heldBy(running: Run): Promise<number> {
  return (await take(running)).length;
}

test("a run whose summary alone is asked for keeps no event; one that is iterated too loses none", async () => {
  const fleet = await startEmbeddedFleet({ count: 1 });
  try {
    const project = makeProject(scratch(), { "site.ts": playbookText(TWO_FILES) });
    const alone = start(project, fleet);
    expect((await alone.summary).exitCode).toBe(0);
    expect(await heldBy(alone)).toBe(0);
    const both = start(project, fleet);
    const [summary, events] = await Promise.all([both.summary, take(both)]);
    expect([events[0]?.type, events.at(-1)?.type]).toEqual(["run:start", "run:end"]);
    expect(events.at(-1)).toMatchObject({ summary });
  } finally {
    await fleet.stop();
  }
});
