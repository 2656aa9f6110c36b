import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { beforeEach, expect, test } from "vitest";
import { findRunStore, lookAtRuns, partName, pruneRuns, type RunStore } from "../../src/agent/journal.ts";
import { encodeLine, type WireEvent } from "../../src/core/protocol.ts";

const MAX_BYTES = 4_096;
const PART = { run: "r1", host: "web1" };

beforeEach(() => {
  const before = process.env.HOME;
  const home = mkdtempSync(join(tmpdir(), "volley-store-"));
  process.env.HOME = home;
  return () => {
    process.env.HOME = before;
    rmSync(home, { recursive: true, force: true });
  };
});

const output = (seq: number): string =>
  encodeLine({ type: "task:output", seq, time: 1, task: 1, stream: "stdout", text: "x".repeat(1_000) });

function toldBy(store: RunStore): readonly WireEvent[] {
  return store.lines().map(({ event }) => event);
}

test("a journal keeps every number and every result, but only so much of what is printed", () => {
  const store = findRunStore(PART, MAX_BYTES);
  store.open("bundle");
  for (let seq = 1; seq <= 20; seq++) store.append(output(seq));
  const result = { state: "changed", data: { stdout: "y".repeat(2_000) } };
  store.append(encodeLine({ type: "task:end", seq: 21, time: 1, task: 1, result }));
  store.close();
  const kept = toldBy(store);
  expect(kept.map(({ seq }) => seq)).toEqual(Array.from({ length: 21 }, (_none, index) => index + 1));
  expect(kept.at(-1)).toMatchObject({ type: "task:end", result });
  const texts = kept.flatMap((event) => (event.type === "task:output" ? [event.text] : []));
  const cut = texts.findIndex((text) => !text.startsWith("x"));
  expect(cut).toBeGreaterThan(0);
  expect(texts[cut]).toMatch(/is not in this run's journal, which is full/);
  expect(texts.slice(cut + 1).every((text) => text === "")).toBe(true);
  expect(statSync(join(store.directory, "journal.ndjson")).size).toBeLessThan(2 * MAX_BYTES + 2_000);
});

test("a journal that is gone on with counts what it holds already", () => {
  for (const seq of [1, 4]) {
    const store = findRunStore(PART, MAX_BYTES);
    store.open("bundle");
    for (let next = seq; next < seq + 3; next++) store.append(output(next));
    store.close();
  }
  const texts = toldBy(findRunStore(PART)).map((event) =>
    event.type === "task:output" ? event.text[0] : "",
  );
  expect(texts).toEqual(["x", "x", "x", "(", undefined, undefined]);
});

/** Begins the journal of a run, as a process that has ended since did unless it goes on. */
function begin(run: string, at: number, { check = false, goesOn = false, host = "web1" } = {}): void {
  const store = findRunStore({ run, host });
  pruneRuns(lookAtRuns(), run);
  store.open("bundle", check);
  store.append(output(1));
  store.close();
  const journal = join(store.directory, "journal.ndjson");
  if (!goesOn)
    writeFileSync(journal, readFileSync(journal, "utf8").replace(`"pid":${process.pid},`, '"pid":1,'));
  for (const path of [journal, store.directory, join(store.directory, "..")]) utimesSync(path, at, at);
}

const runs = (): readonly string[] => readdirSync(join(process.env.HOME!, ".cache/volley/runs")).sort();
const runName = (kind: string, number: number): string => `${kind}-${String(number).padStart(2, "0")}`;

test("a run that goes on is kept however many come after it, and so is one that was just ended", () => {
  begin("a-goes-on", 1, { goesOn: true, host: "web2" });
  begin("a-goes-on", 2);
  begin("b-long", 1_000);
  for (let number = 1; number <= 25; number++) begin(runName("run", number), 100 + number);
  expect(runs()).toEqual([
    "a-goes-on",
    "b-long",
    ...Array.from({ length: 20 }, (_none, index) => runName("run", index + 6)),
  ]);
  expect(toldBy(findRunStore({ run: "a-goes-on", host: "web2" }))).toHaveLength(1);
});

test("a run that is used between the look at the runs and the next journal is kept", () => {
  for (let number = 1; number <= 21; number++) begin(runName("run", number), 100 + number);
  const seen = lookAtRuns();
  const open = (run: string): void => {
    const store = findRunStore({ run, host: "web1" });
    pruneRuns(seen, run);
    store.open("bundle");
    store.close();
  };
  const first = dirname(findRunStore({ run: runName("run", 1), host: "web1" }).directory);
  utimesSync(first, 1_000, 1_000);
  open("z-next");
  expect(runs()).toHaveLength(22);
  utimesSync(first, 101, 101);
  open("z-next");
  expect(runs()).toEqual([...Array.from({ length: 20 }, (_none, at) => runName("run", at + 2)), "z-next"]);
});

test("runs in check mode push out others of theirs alone", () => {
  begin("a-failed", 1);
  for (let number = 1; number <= 25; number++) begin(runName("check", number), 100 + number, { check: true });
  expect(runs()).toEqual([
    "a-failed",
    ...Array.from({ length: 21 }, (_none, at) => runName("check", at + 5)),
  ]);
});

test("what lies among the runs and is no run of this version is in nobody's way", () => {
  mkdirSync(join(process.env.HOME!, ".cache/volley/runs/20250101-000000"), { recursive: true });
  // Of a version that knew no parts.
  writeFileSync(join(process.env.HOME!, ".cache/volley/runs/20250101-000000/journal.ndjson"), "{}\n");
  writeFileSync(join(process.env.HOME!, ".cache/volley/runs/note"), "");
  utimesSync(join(process.env.HOME!, ".cache/volley/runs/20250101-000000"), 1, 1);
  for (let number = 1; number <= 25; number++) begin(runName("run", number), 100 + number);
  expect(runs()).not.toContain("20250101-000000");
});

test.each(["web1", "Web1", "web1.", "a".repeat(300), "äöü", "../../x", "./", "..", "", "con~1", "web 1\n"])(
  "the name %j is one of a file, and no other's",
  (host) => {
    const { directory } = findRunStore({ run: "r1", host });
    expect(dirname(directory)).toBe(join(process.env.HOME!, ".cache/volley/runs/r1"));
    expect(Buffer.byteLength(basename(directory))).toBeLessThan(100);
    for (const other of ["web2", "WEB1", "web1~", "a".repeat(299)])
      expect(partName(other).toLowerCase()).not.toBe(partName(host).toLowerCase());
  },
);

test("a journal that cannot be written is refused with why, in one line", () => {
  writeFileSync(join(process.env.HOME!, ".cache"), "");
  expect(() => findRunStore(PART).open("bundle")).toThrow(
    expect.objectContaining({
      code: "FILE_FAILED",
      message: expect.stringMatching(/^the run's journal cannot be written: .*\.cache/),
    }),
  );
});
