import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, it } from "vitest";
import { startRecording } from "../../../src/fanout/shell/pane.ts";

const directory = mkdtempSync(join(tmpdir(), "volley-cast-"));
afterEach(() => rmSync(directory, { recursive: true, force: true }));

it("writes an asciicast of what was shown, with sizes, that only its owner can read", async () => {
  let now = 1_700_000_000_500;
  const recording = await startRecording({ host: "web1", directory, columns: 80, rows: 24, now: () => now });
  await recording.output(Buffer.from("héllo").subarray(0, 2));
  now += 1_500;
  await recording.output(Buffer.from("héllo").subarray(2));
  recording.resize({ columns: 100, rows: 30 });
  await recording.close();
  expect(recording.path).toBe(join(directory, "web1.cast"));
  expect(statSync(recording.path).mode & 0o777).toBe(0o600);
  const [header, ...events] = readFileSync(recording.path, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as unknown);
  expect(header).toEqual({
    version: 2,
    width: 80,
    height: 24,
    timestamp: 1_700_000_000,
    title: "web1",
    env: { TERM: "xterm-256color" },
  });
  expect(events).toEqual([
    [0, "o", "h"],
    [1.5, "o", "éllo"],
    [1.5, "r", "100x30"],
  ]);
});

it("overwrites no recording, and leaves the directory it was given", async () => {
  const first = await startRecording({ host: "../../x", directory, columns: 1, rows: 1 });
  const second = await startRecording({ host: "../../x", directory, columns: 1, rows: 1 });
  await first.close();
  await second.close();
  expect(readdirSync(directory).sort()).toEqual([".._.._x-2.cast", ".._.._x.cast"]);
});

it("says where it cannot record", async () => {
  const file = join(mkdtempSync(join(tmpdir(), "volley-cast-")), "file");
  writeFileSync(file, "");
  const started = startRecording({ host: "a", directory: file, columns: 1, rows: 1 });
  await expect(started).rejects.toThrow(`cannot record in ${file}`);
  rmSync(join(file, ".."), { recursive: true });
});
