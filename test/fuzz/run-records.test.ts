import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, test } from "vitest";
import { EarlierRun } from "../../src/controller/records/recall.ts";
import {
  hostsOfRuns,
  isControlled,
  listRuns,
  readEvents,
  readRecord,
  readSummary,
} from "../../src/controller/records/records.ts";
import { fullTally } from "../../src/controller/session/told.ts";
import { foldSummary } from "../../src/core/summary.ts";
import { createRunModel } from "../../src/reporter/ink/model.ts";
import { UNICODE_SYMBOLS } from "../../src/reporter/rows/wording.ts";
import { summaryRows } from "../../src/reporter/summary.ts";
import { FUZZ_TIMEOUT_MS, fuzz } from "./lib/fuzz.ts";
import { must, orRefusal } from "./lib/judge.ts";
import { type Material, mutate } from "./lib/mutate.ts";
import { mutateJson } from "./lib/mutate-json.ts";
import type { Draw } from "./lib/random.ts";

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "volley-fuzz-"));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

function mutateLines(draw: Draw, { corpus }: Material): Buffer {
  const lines = draw.pick(corpus).toString().split("\n");
  return Buffer.from(
    lines
      .map((line) =>
        line !== "" && draw.chance(0.2) ? JSON.stringify(mutateJson(draw, JSON.parse(line))) : line,
      )
      .join("\n"),
  );
}

test(
  "a run's log: what is left of it can be gone on with, shown, and asked for hosts",
  () =>
    fuzz({
      corpus: "run-log",
      inputs: 300,
      tokens: ['"host":', '"hostSeq":', '"summary":', '"type":"host:end"', '"type":"task:end"', "{}", "\n"],
      make: (draw, material) => (draw.chance(0.7) ? mutateLines(draw, material) : mutate(draw, material)),
      check: (bytes, draw) => {
        writeFileSync(join(directory, "r1.ndjson"), bytes);
        writeFileSync(join(directory, "r1.json"), "{}");
        const events = readEvents(directory, "r1");
        const fold = foldSummary();
        const model = createRunModel(UNICODE_SYMBOLS);
        const earlier = new EarlierRun();
        for (const event of events) {
          earlier.add(event);
          fold.add(event);
          model.apply(event);
        }
        for (const part of earlier.parts.values()) {
          must(Number.isSafeInteger(part.lastSequence), `event ${part.lastSequence}`);
          must(Number.isFinite(part.total) && Number.isFinite(part.tally.failed), "a count that is none");
          must(Number.isFinite(fullTally(part).notExecuted), "a count that is none");
        }
        const summary = readSummary(directory, "r1") ?? fold.summary(1_760_000_000_020);
        summaryRows(summary, { columns: 80, symbols: UNICODE_SYMBOLS, unknown: new Map() });
        const hosts = orRefusal(["USAGE"], () =>
          hostsOfRuns(directory, draw.pick(["r1", "failed", "changed", "r2", "\u001b"])),
        );
        for (const host of hosts ?? []) must(typeof host === "string", "a host that is no text");
      },
    }),
  FUZZ_TIMEOUT_MS,
);

test(
  "a run's record: whole, or none",
  () =>
    fuzz({
      corpus: "run-record",
      inputs: 500,
      tokens: ['"run":"r1"', '"pid":', '"options":', "{}"],
      make: (draw, material) =>
        draw.chance(0.5)
          ? Buffer.from(
              JSON.stringify(mutateJson(draw, JSON.parse(draw.pick(material.corpus).toString()))) ?? "",
            )
          : mutate(draw, material),
      check: (bytes) => {
        writeFileSync(join(directory, "r1.json"), bytes);
        must(listRuns(directory).join() === "r1", "another run");
        const record = orRefusal(["USAGE"], () => readRecord(directory, "r1"));
        if (record === undefined) return;
        must(
          record.run === "r1" && typeof record.bundle === "string" && typeof record.startedAt === "string",
          "no record",
        );
        must(Number.isInteger(record.pid) && record.pid > 0, `process ${record.pid}`);
        isControlled(record);
      },
    }),
  FUZZ_TIMEOUT_MS,
);
