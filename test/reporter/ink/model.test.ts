import { describe, expect, test } from "vitest";
import { hostWording, progressText, statusText } from "../../../src/reporter/host-status.ts";
import { createHostLog } from "../../../src/reporter/ink/log.ts";
import { createRunModel, fleetTally, type HostView } from "../../../src/reporter/ink/model.ts";
import { rowText } from "../../../src/reporter/rows/row.ts";
import { UNICODE_SYMBOLS } from "../../../src/reporter/rows/wording.ts";
import { modelAt, runStart, stamp } from "../lib/play.ts";
import { hostNames, simulate, summaryOf } from "../lib/simulate.ts";

const host = "web1";
const task = { task: 1, play: "Web", role: "nginx", name: "Write the site", action: "template" };
const tally = { unchanged: 0, changed: 0, skipped: 0, failed: 0, ignored: 0, rescued: 0, notExecuted: 0 };

describe("a host's status", () => {
  test("follows its events", () => {
    const model = createRunModel(UNICODE_SYMBOLS);
    const seen: string[] = [];
    const steps = stamp([
      runStart([host, "web2"]),
      { type: "host:connect", host, address: "10.0.0.1", port: 2222, user: "root" },
      { type: "host:connected", host, elapsedMs: 30 },
      { type: "host:upload", host, bytes: 524_288, totalBytes: 2_097_152, elapsedMs: 250 },
      { type: "host:upload", host, bytes: 2_097_152, totalBytes: 2_097_152, elapsedMs: 1_000 },
      { type: "hello", host, protocol: 1, bundle: "b", pid: 1, node: "20" },
      { type: "play:start", host, index: 0, play: "Base", total: 2 },
      { type: "task:start", host, ...task },
      { type: "task:end", host, ...task, result: { state: "changed" }, elapsedMs: 5 },
      { type: "play:plan", host, total: 3 },
      { type: "play:end", host, index: 0, play: "Base", failed: false },
      { type: "play:start", host, index: 1, play: "Web", total: 7 },
      {
        type: "host:end",
        host,
        outcome: "ok",
        tally: { ...tally, changed: 1, unchanged: 6 },
        elapsedMs: 400,
        phases: {},
        uploadedBytes: 1,
      },
    ]);
    for (const event of steps) {
      model.apply(event);
      const view = model.view.hosts[0] as HostView;
      seen.push(`${view.phase}: ${statusText(view)} ${progressText(view)}`.trim());
    }
    expect(seen).toEqual([
      "waiting: waiting for its turn",
      "connecting: connecting to root@10.0.0.1:2222",
      "connected: connected",
      "uploading: uploading 25% of 2.0 MB, 2.0 MB/s",
      "starting: starting",
      "facts: gathering facts",
      "running: Base 0/2",
      "running: nginx : Write the site 0/2",
      "running: nginx : Write the site 1/2",
      "running: nginx : Write the site 1/3",
      "barrier: waits for the others (Base) 1/3",
      "running: Web 1/7",
      "done: done 7/7",
    ]);
  });

  test("is running while the code goes on behind a failure, and well once that is rescued", () => {
    const model = createRunModel(UNICODE_SYMBOLS);
    const next = { ...task, task: 2, name: "Mend the site" };
    const error = { code: "ACTION_FAILED", message: "no" } as const;
    const words = stamp([
      runStart([host]),
      { type: "play:start", host, index: 0, play: "Web", total: 1 },
      { type: "task:start", host, ...task },
      { type: "task:end", host, ...task, result: { state: "failed", error }, elapsedMs: 5 },
      { type: "task:start", host, ...next },
      { type: "task:end", host, ...next, result: { state: "changed" }, elapsedMs: 5 },
      { type: "task:rescued", host, ...task },
      { type: "play:end", host, index: 0, play: "Web", failed: false },
    ]).map((event) => {
      model.apply(event);
      return hostWording(model.view.hosts[0] as HostView, UNICODE_SYMBOLS).word;
    });
    const [, ...seen] = words;
    expect(seen).toEqual(["running", "running", "failed", "running", "running", "running", "barrier"]);
    expect(model.view.hosts[0]?.tally).toMatchObject({ failed: 0, rescued: 1, changed: 1 });
  });

  test.each([
    ["unreachable", { code: "CONNECT_FAILED", message: "refused\nmore" }, "unreachable: refused"],
    ["lost", undefined, "lost: the connection ended before the run did"],
    ["cancelled", undefined, "cancelled before it started"],
    ["failed", { code: "NODE_MISSING", message: "no Node there" }, "no Node there"],
  ] as const)("says how it ended: %s", (outcome, error, text) => {
    const model = modelAt(
      stamp([
        runStart([host]),
        {
          type: "host:end",
          host,
          outcome,
          tally,
          elapsedMs: 1,
          phases: {},
          uploadedBytes: 0,
          ...(error === undefined ? {} : { error }),
        },
      ]),
    );
    expect(statusText(model.view.hosts[0] as HostView)).toBe(text);
  });
});

test("the view of a whole run agrees with its summary", () => {
  const events = simulate(hostNames(120), { seed: 5, check: true });
  const { view } = modelAt(events);
  const summary = summaryOf(events);
  expect(fleetTally(view)).toEqual(summary.tally);
  expect(view.hosts.map(({ name, outcome }) => [name, outcome])).toEqual(
    summary.hosts.map(({ host, outcome }) => [host, outcome]),
  );
  const unknown = events.filter((event) => event.type === "task:end" && event.result.unknown === true).length;
  expect(view.hosts.reduce((sum, each) => sum + each.unknown, 0)).toBe(unknown);
  expect(unknown).toBeGreaterThan(0);
});

test("a host's log tells the whole run, with output under the task that printed it, and diffs", () => {
  const log = modelAt(
    stamp([
      runStart([host]),
      { type: "play:start", host, index: 0, play: "Web", total: 1 },
      { type: "task:start", host, ...task },
      { type: "task:output", host, task: 1, stream: "stdout", text: "one\ntw" },
      { type: "task:output", host, task: 1, stream: "stdout", text: "o\nthree" },
      {
        type: "task:end",
        host,
        ...task,
        result: { state: "changed", diff: [{ path: "/a", before: "x\n", after: "y\n" }] },
        elapsedMs: 5,
      },
    ]),
  ).view.hosts[0]?.log;
  expect(log?.lines.map(({ row }) => rowText(row))).toEqual([
    "Web",
    "● nginx : Write the site",
    "    │ one",
    "    │ two",
    "    │ three",
    "~ changed   nginx : Write the site  0.01s",
    "    --- /a",
    "    +++ /a",
    "    @@ -1,1 +1,1 @@",
    "    -x",
    "    +y",
  ]);
});

test("a log keeps its last lines only, and their numbers", () => {
  const log = createHostLog(10);
  for (let number = 0; number < 95; number++) log.add([[{ text: String(number) }]]);
  expect(log.lines.map(({ number }) => number)).toEqual([85, 86, 87, 88, 89, 90, 91, 92, 93, 94]);
  expect(log.dropped).toBe(85);
});
