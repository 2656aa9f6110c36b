import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, expect, test } from "vitest";
import { encodeLine, type WireEvent } from "../../src/core/protocol.ts";
import { findRunStore, type RunStore } from "../../src/target/run-store.ts";

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
