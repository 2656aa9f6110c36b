import { appendFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, it } from "vitest";
import { followEvents } from "../../../src/controller/records/follow.ts";
import { logFileOf, writeRecord } from "../../../src/controller/records/records.ts";

const RUN = "20260101-120000-000aa";
const directory = mkdtempSync(join(tmpdir(), "volley-follow-"));
const file = logFileOf(directory, RUN);
afterEach(() => {
  rmSync(directory, { recursive: true });
});

const noise = (text: string): string =>
  `${JSON.stringify({ type: "host:noise", host: "web1", text, seq: 1, time: 1 })}\n`;

it("yields what is written later, whole lines only, until nobody waits", async () => {
  // This process is the controller.
  writeRecord(directory, { run: RUN, startedAt: "", bundle: "", options: {} });
  appendFileSync(file, noise("one"));
  const left = new AbortController();
  const seen: unknown[] = [];
  const second = noise("two");
  for await (const event of followEvents(RUN, file, { everyMs: 5, signal: left.signal })) {
    seen.push("text" in event ? event.text : event.type);
    if (seen.length === 1) {
      appendFileSync(file, second.slice(0, 20));
      setTimeout(() => appendFileSync(file, second.slice(20) + noise("three")), 20);
    }
    if (seen.length === 3) left.abort();
  }
  expect(seen).toEqual(["one", "two", "three"]);
});
