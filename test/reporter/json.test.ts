import { Writable } from "node:stream";
import { expect, test } from "vitest";
import type { Event } from "../../src/core/events.ts";
import { createJsonReporter } from "../../src/reporter/json.ts";
import { hostNames, simulate, summaryOf } from "./fixtures/simulate.ts";

/** A reader that takes a little at a time, later, and never holds more than its mark says. */
class SlowReader extends Writable {
  text = "";
  mostBuffered = 0;

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.text += chunk.toString();
    this.mostBuffered = Math.max(this.mostBuffered, this.writableLength - chunk.length);
    setImmediate(done);
  }
}

test("every event is one line, in order, and all have been written when end resolves", async () => {
  const reader = new SlowReader({ highWaterMark: 1_024 });
  const events = simulate(hostNames(40), { seed: 3 });
  const reporter = createJsonReporter(reader);
  for (const event of events) reporter.event(event);
  await reporter.end(summaryOf(events));
  const lines = reader.text.trimEnd().split("\n");
  expect(lines.map((line) => JSON.parse(line) as Event)).toEqual(events);
  expect(lines.at(-1)).toContain('"type":"run:end"');
  expect(reader.mostBuffered).toBe(0);
});

test("end resolves, and nothing throws, when the reader has gone away", async () => {
  const gone = new Writable({
    write(_chunk, _encoding, done) {
      done(Object.assign(new Error("write EPIPE"), { code: "EPIPE" }));
    },
  });
  const events = simulate(hostNames(3));
  const reporter = createJsonReporter(gone);
  for (const event of events) reporter.event(event);
  await reporter.end(summaryOf(events));
  reporter.event(events[0] as Event);
  expect(gone.destroyed).toBe(true);
});

test("text of hosts cannot end a line or reach the terminal", async () => {
  const reader = new SlowReader();
  const reporter = createJsonReporter(reader);
  reporter.event({ type: "log", host: "web1", level: "info", text: "a\nb\x1b[2J\u2028", seq: 1, time: 0 });
  await reporter.end(summaryOf([]));
  expect(reader.text.match(/\n/g)).toHaveLength(1);
  expect(reader.text).not.toContain("\x1b");
});
