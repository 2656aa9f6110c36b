import { describe, expect, test } from "vitest";
import { watch } from "../../src/queue/controller/watch.ts";
import { LogReader } from "../../src/queue/log.ts";
import { type LogBatch, PURPOSES, sealList, takeItems } from "../../src/queue/messages.ts";
import { runKeys } from "../../src/queue/names.ts";
import { createSeal, MAX_PLAIN } from "../../src/queue/seal.ts";
import { fleetStarter, follow, type Ran, start } from "../e2e/lib/drive.ts";
import { makeProject, play, playbookText, scratchDirectory } from "../e2e/lib/project.ts";
import { PATIENCE_MS } from "../lib/patience.ts";
import { queueStarter, reachTo } from "./lib/queue.ts";
import { describeQueue } from "./lib/redis.ts";

const seal = createSeal([{ secret: Buffer.alloc(32, 1) }]);

/** Take all items, message by message, sealed as controllers and workers do. */
function sealAll(items: unknown[]): readonly (readonly unknown[])[] {
  const messages: (readonly unknown[])[] = [];
  while (items.length > 0) {
    const sealed = sealList(seal, "up run", { number: messages.length }, "items", takeItems(items, 1_000));
    const { number, items: opened } = JSON.parse(`${seal.open("up run", sealed)}`);
    expect(number).toBe(messages.length);
    messages.push(opened);
  }
  return messages;
}

describe("the items of messages", () => {
  test("are in as many messages as have room for them, in their order", () => {
    const items = Array.from({ length: 2_500 }, (_, index) => ({ index }));
    const messages = sealAll([...items]);
    expect(messages.map(({ length }) => length)).toEqual([1_000, 1_000, 500]);
    expect(messages.flat()).toEqual(items);
  });

  test("that are long together are apart, and a long one is alone", () => {
    const lengths = [1, 5_000_000, 1, 3_000_000, 3_000_000];
    const messages = sealAll(lengths.map((length) => "x".repeat(length)));
    expect(messages.map((each) => each.map((item) => String(item).length))).toEqual([
      [1],
      [5_000_000],
      [1, 3_000_000],
      [3_000_000],
    ]);
  });

  test("of a fleet's answers are together longer than a message may be", () => {
    const answer = "é".repeat(1 << 20);
    const count = MAX_PLAIN / answer.length;
    const items = Array.from({ length: count }, () => answer);
    const messages: number[] = [];
    while (items.length > 0) messages.push(takeItems(items, 1_000).length);
    // Two bytes a character: the limit of a sealed message is one of bytes.
    expect(messages.every((length) => 2 * length * answer.length < MAX_PLAIN)).toBe(true);
    expect(messages.reduce((sum, length) => sum + length)).toBe(count);
  });

  test("keep long integers", () => {
    expect(takeItems([{ long: 12345678901234567890n }], 1)).toEqual(['{"long":12345678901234567890}']);
  });
});

describe("a reader of a log", () => {
  const batch = (number: number, run = "r"): Buffer => {
    const written: LogBatch = { number, upTo: "0", events: [], held: [], seen: {} };
    return seal.seal(PURPOSES.log(run), Buffer.from(JSON.stringify(written)));
  };

  test("passes over entries that no controller has written, and copies", () => {
    const reader = new LogReader(seal, "r");
    const first = batch(1);
    const changed = Buffer.from(batch(2));
    changed[changed.length - 1]! ^= 1;
    const entries = [
      first,
      Buffer.from("forged"),
      changed,
      batch(2, "other"),
      first,
      batch(2),
      first,
      batch(3),
    ];
    expect(entries.map((entry) => reader.open(entry)?.number)).toEqual([
      ...[1, undefined, undefined, undefined, undefined, 2, undefined, 3],
    ]);
    expect(reader.last).toBe(3);
  });

  test.each([[[2]], [[1, 3]]])("refuses a log of the batches %j", (numbers) => {
    const reader = new LogReader(seal, "r");
    expect(() => {
      for (const number of numbers) reader.open(batch(number));
    }).toThrow("a part of the log of run r is missing in the queue");
  });
});

describeQueue("the log of a run", { timeout: 4 * PATIENCE_MS }, () => {
  const scratch = scratchDirectory();
  const startFleet = fleetStarter();
  const startQueue = queueStarter();

  test("is shown as it was, whatever somebody else adds to it, and not without a part of it", async () => {
    const fleet = await startFleet({ count: 1 });
    const queue = await startQueue();
    await queue.work({ reach: reachTo(fleet) });
    const project = makeProject(scratch(), {
      "site.ts": playbookText(play("tags: []", `task("Say", debug({ msg: "hi" }));`)),
    });
    const redis = queue.connections.open("attacker");
    const { prefix } = queue.connections;
    let left: Promise<readonly number[]> | undefined;
    const ran = await follow(start(project, fleet, {}, await queue.open()), (event) => {
      if (event.type === "task:end")
        left = redis
          .keys(`${prefix}:run:*`)
          .then((names) => Promise.all(names.map((name) => redis.ttl(name))));
    });
    // A run whose controller never comes back does not stay for ever.
    for (const seconds of (await left)!) expect(seconds).toBeGreaterThan(0);
    const { run } = ran.summary;
    const keys = runKeys(prefix, run);
    const watched = (): Promise<Ran> =>
      follow(watch({ redis, keys, seal: queue.seal, run }, queue.connections.open("watch"), false));
    const entries = (await redis.xrangeBuffer(keys.log, "-", "+")) as unknown as [Buffer, [Buffer, Buffer]][];
    const write = async (batches: readonly Buffer[]): Promise<void> => {
      await redis.del(keys.log);
      for (const batch of batches) await redis.xadd(keys.log, "*", "m", batch);
    };
    const batches = entries.map(([, [, bytes]]) => bytes);
    await write(batches.flatMap((batch) => [batch, Buffer.from("forged"), batches[0]!]));
    expect((await watched()).events).toEqual(ran.events);
    await write(batches.slice(1));
    await expect(watched()).rejects.toMatchObject({ code: "QUEUE_REFUSED" });
  });
});
