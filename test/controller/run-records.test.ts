import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, expect, it } from "vitest";
import {
  isControlled,
  listRuns,
  logFileOf,
  readRecord,
  recordFanOut,
  writeRecord,
} from "../../src/controller/records/records.ts";

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
