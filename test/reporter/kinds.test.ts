import { Writable } from "node:stream";
import { expect, test } from "vitest";
import type { Event } from "../../src/core/events.ts";
import { createJsonReporter, createReporter, type ReporterKind } from "../../src/reporter/kinds.ts";
import { FakeTerminal } from "./lib/fake-terminal.ts";
import { SGR } from "./lib/play.ts";
import { hostNames, simulate, summaryOf } from "./lib/simulate.ts";

async function run(kind: ReporterKind, isTTY: boolean, env: Record<string, string>): Promise<FakeTerminal> {
  const terminal = new FakeTerminal(80, 24, isTTY);
  const reporter = await createReporter(kind, {
    stdout: terminal.stream,
    env,
    verbosity: 0,
    diff: false,
    onCancel: () => {},
  });
  const events = simulate(hostNames(2), { seed: 1 });
  for (const event of events) reporter.event(event);
  await reporter.end(summaryOf(events));
  return terminal;
}

const LOCALE = { LANG: "C.UTF-8", TERM: "xterm" };

test.each<[string, ReporterKind, boolean, Record<string, string>, { ui: boolean; colors: boolean }]>([
  ["a terminal", "auto", true, {}, { ui: true, colors: true }],
  ["a pipe", "auto", false, {}, { ui: false, colors: false }],
  ["a pipe that is forced to colour", "auto", false, { FORCE_COLOR: "1" }, { ui: false, colors: true }],
  ["a build server", "auto", true, { CI: "true" }, { ui: false, colors: true }],
  ["a dumb terminal", "auto", true, { TERM: "dumb" }, { ui: false, colors: false }],
  ["plain on a terminal", "plain", true, {}, { ui: false, colors: true }],
  ["plain with NO_COLOR", "plain", true, { NO_COLOR: "1" }, { ui: false, colors: false }],
  ["the UI, asked for on a build server", "ink", true, { CI: "true" }, { ui: true, colors: true }],
])("%s", async (_, kind, isTTY, env, { ui, colors }) => {
  const { raw, printed } = await run(kind, isTTY, { ...LOCALE, ...env });
  expect(raw.includes("\x1b[?1049h")).toBe(ui);
  const afterTheUi = raw.split("\x1b[?1049l").at(-1) ?? "";
  expect(afterTheUi.replace(SGR, "") !== afterTheUi).toBe(colors);
  expect(printed).toContain("fleet: ");
  if (!ui && !colors) expect(raw).not.toContain("\x1b");
});

test("json is the event stream and nothing else, also on a terminal", async () => {
  const { raw } = await run("json", true, LOCALE);
  const types = raw
    .trimEnd()
    .split("\n")
    .map((line) => (JSON.parse(line) as { type: string }).type);
  expect(types[0]).toBe("run:start");
  expect(types.at(-1)).toBe("run:end");
});

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
