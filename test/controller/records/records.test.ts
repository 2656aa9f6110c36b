import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, expect, it } from "vitest";
import { openLineFile, openRunLog } from "../../../src/controller/records/recorder.ts";
import {
  isControlled,
  listRuns,
  logFileOf,
  readEvents,
  readRecord,
  recordFanOut,
  writeRecord,
} from "../../../src/controller/records/records.ts";
import type { Event } from "../../../src/core/events.ts";

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "volley-records-"));
  return () => rmSync(directory, { recursive: true, force: true });
});

const startedAt = new Date(0).toISOString();
const nameOf = (index: number): string => `20260101-000000-${String(index).padStart(5, "0")}`;

function write(run: string): void {
  writeFileSync(logFileOf(directory, run), "");
  writeRecord(directory, { run, startedAt, bundle: "", options: {} });
}

/** Makes a run one that no process works on any more. */
function leave(run: string): void {
  const file = join(directory, `${run}.json`);
  const record = JSON.parse(readFileSync(file, "utf8"));
  writeFileSync(file, JSON.stringify({ ...record, process: { start: "1", boot: "another" } }));
}

it("keeps the newest 200 runs with their logs, apart from other commands, and any that goes on", () => {
  recordFanOut({ kind: "exec", title: "id", startedAt: 0, concurrency: 1, ends: [] }, directory);
  const [exec] = listRuns(directory);
  for (let index = 0; index < 205; index++) {
    write(nameOf(index));
    if (index !== 1) leave(nameOf(index));
  }
  const kept = [1, ...Array.from({ length: 200 }, (_none, index) => index + 5)].map(nameOf);
  expect(listRuns(directory).toReversed()).toEqual([exec, ...kept]);
  expect([0, 1, 4, 5].map((index) => existsSync(logFileOf(directory, nameOf(index))))).toEqual([
    false,
    true,
    false,
    true,
  ]);
});

it("removes what has ended though its process goes on with others", () => {
  for (let startedAt = 0; startedAt < 52; startedAt++)
    recordFanOut({ kind: "exec", title: "id", startedAt, concurrency: 1, ends: [] }, directory);
  expect(listRuns(directory)).toHaveLength(50);
});

it("is not taken in by another process that has the number of a controller that was ended", () => {
  write(nameOf(0));
  const record = readRecord(directory, nameOf(0));
  expect(isControlled(record)).toBe(true);
  expect(isControlled({ ...record, process: { ...record.process!, start: "1" } })).toBe(false);
  expect(isControlled({ ...record, process: { ...record.process!, boot: "another" } })).toBe(false);
});

const logs = mkdtempSync(join(tmpdir(), "volley-log-"));
afterAll(() => rmSync(logs, { recursive: true, force: true }));

const noise = (seq: number): Event => ({
  type: "host:noise",
  host: "web1",
  text: "x".repeat(500),
  seq,
  time: 1,
});

it("holds every event, one a line, and only its owner may read it", () => {
  const log = openRunLog(join(logs, "one.ndjson"));
  for (let seq = 1; seq <= 100; seq++) log.event(noise(seq));
  log.close();
  expect([...readEvents(logs, "one")].map(({ seq }) => seq)).toEqual(
    Array.from({ length: 100 }, (_, index) => index + 1),
  );
  expect(statSync(log.file!).mode & 0o777).toBe(0o600);
});

it("is read in pieces, each time anew, up to its end at the call", () => {
  const log = openRunLog(join(logs, "long.ndjson"));
  // Lines of more bytes than are read at a time, and of characters of several bytes at any place.
  for (let seq = 1; seq <= 20; seq++) log.event({ ...noise(seq), text: "ä€".repeat(seq * 7_001) } as Event);
  log.save();
  const events = readEvents(logs, "long");
  log.event(noise(21));
  log.close();
  for (let pass = 0; pass < 2; pass++) {
    const texts = [...events].map((event) => (event.type === "host:noise" ? event.text : ""));
    expect(texts).toEqual(Array.from({ length: 20 }, (_, index) => "ä€".repeat((index + 1) * 7_001)));
  }
  expect([...readEvents(logs, "long")]).toHaveLength(21);
});

it("has what was saved even when it is never closed", () => {
  const log = openRunLog(join(logs, "two.ndjson"));
  log.event(noise(1));
  log.save();
  expect(readFileSync(log.file!, "utf8")).toContain('"seq":1');
});

it("is left out where it cannot be written, and the run goes on", () => {
  writeFileSync(join(logs, "file"), "");
  const log = openRunLog(join(logs, "file", "three.ndjson"));
  log.event(noise(1));
  log.close();
  expect([log.file, log.isWhole]).toEqual([undefined, false]);
});

it.skipIf(!existsSync("/dev/full"))("ends where the disk is full, and the run goes on", () => {
  const lines = openLineFile("/dev/full");
  lines.write(`${"x".repeat(10_000)}\n`);
  lines.write("more\n");
  expect(() => lines.close()).not.toThrow();
  expect(lines.isWhole).toBe(false);
});
