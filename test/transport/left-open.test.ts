import { PassThrough } from "node:stream";
import { finished } from "node:stream/promises";
import { expect, it } from "vitest";
import { closeWhenSilent } from "../../src/transport/left-open.ts";

const timers = (): number =>
  process.getActiveResourcesInfo().filter((resource) => resource === "Timeout").length;

it("leaves no timer behind once the streams have ended: the process would stay for it alone", async () => {
  const before = timers();
  const streams = [new PassThrough(), new PassThrough()];
  closeWhenSilent(streams, () => {});
  expect(timers()).toBe(before + 1);
  for (const stream of streams) stream.resume().end("the last words");
  await Promise.all(streams.map((stream) => finished(stream)));
  expect(timers()).toBe(before);
});

it("starts none when the streams have ended before", async () => {
  const before = timers();
  const stream = new PassThrough();
  stream.resume().end();
  await finished(stream);
  closeWhenSilent([stream], () => {});
  expect(timers()).toBe(before);
});
