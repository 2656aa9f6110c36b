import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { openLineFile, openRunLog } from "../../src/controller/records/recorder.ts";
import { readEvents } from "../../src/controller/records/records.ts";
import type { Event } from "../../src/core/events.ts";

const directory = mkdtempSync(join(tmpdir(), "volley-log-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const noise = (seq: number): Event => ({
  type: "host:noise",
  host: "web1",
  text: "x".repeat(500),
  seq,
  time: 1,
});

it("holds every event, one a line, and only its owner may read it", () => {
  const log = openRunLog(join(directory, "one.ndjson"));
  for (let seq = 1; seq <= 100; seq++) log.event(noise(seq));
  log.close();
  expect(readEvents(directory, "one").map(({ seq }) => seq)).toEqual(
    Array.from({ length: 100 }, (_, index) => index + 1),
  );
  expect(statSync(log.file!).mode & 0o777).toBe(0o600);
});

it("has what was saved even when it is never closed", () => {
  const log = openRunLog(join(directory, "two.ndjson"));
  log.event(noise(1));
  log.save();
  expect(readFileSync(log.file!, "utf8")).toContain('"seq":1');
});

it("is left out where it cannot be written, and the run goes on", () => {
  writeFileSync(join(directory, "file"), "");
  const log = openRunLog(join(directory, "file", "three.ndjson"));
  log.event(noise(1));
  log.close();
  expect(log.file).toBeUndefined();
});

it.skipIf(!existsSync("/dev/full"))("ends where the disk is full, and the run goes on", () => {
  const lines = openLineFile("/dev/full");
  lines.write(`${"x".repeat(10_000)}\n`);
  lines.write("more\n");
  expect(() => lines.close()).not.toThrow();
});
