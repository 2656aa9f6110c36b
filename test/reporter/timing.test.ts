import { expect, it } from "vitest";
import { formatDuration } from "../../src/reporter/rows/amounts.ts";
import { rowText } from "../../src/reporter/rows/row.ts";
import { foldTaskTimes, foldTiming, quantile, spreadOf } from "../../src/reporter/timing.ts";
import { fleetRun } from "./html/fleet-run.ts";
import { stamp } from "./lib/play.ts";
import { hostNames, summaryOf } from "./lib/simulate.ts";

it("says where the time went: phases with the slowest host, and the slowest actions first", () => {
  const events = fleetRun({ hosts: hostNames(12) });
  const timing = foldTiming();
  for (const event of events) timing.add(event);
  const lines = timing
    .rows(summaryOf(events), { columns: 110, ellipsis: "…" })
    .map((row) => rowText(row).trimEnd());
  expect(lines.every((line) => line.length <= 110)).toBe(true);
  expect(lines[1]).toMatch(/^phase +median +max +slowest host$/);
  expect(lines.slice(2, 11).map((line) => line.split(" ")[0])).toEqual([
    "build",
    "connect",
    "authenticate",
    "upload",
    "start",
    "facts",
    "tasks",
    "wait",
    "collect",
  ]);
  expect(lines[7]).toMatch(/^facts +\d+ms +\d+ms +web\d\d$/);
  expect(lines[12]).toMatch(/^action +total +median +max +hosts +slowest host$/);
  expect(lines[13]).toMatch(/\(apt\) +[\d.]+s +\d+ms +\d+ms +1[12] +web\d\d$/);
  expect(lines.at(-1)).toMatch(/^\(\d+ faster actions not shown\)$/);
  const totals = lines.slice(13, -1).map((line) => Number.parseFloat(/([\d.]+)s\b/.exec(line)?.[1] ?? ""));
  expect(totals.slice(0, 5)).toEqual([...totals.slice(0, 5)].sort((one, other) => other - one));
});

it("tells tasks of the same name apart, and leaves out of the times what a host did not do itself", () => {
  const fold = foldTaskTimes();
  const ref = { play: "p", role: "r", name: "Same", action: "copy" };
  for (const event of stamp([
    { type: "task:end", host: "a", task: 1, ...ref, result: { state: "changed" }, elapsedMs: 10 },
    { type: "task:end", host: "a", task: 2, ...ref, result: { state: "skipped" }, elapsedMs: 1 },
    { type: "task:end", host: "b", task: 1, ...ref, result: { state: "changed", from: "a" }, elapsedMs: 500 },
    {
      type: "task:end",
      host: "b",
      task: 2,
      ...ref,
      result: { state: "failed", ignored: true },
      elapsedMs: 30,
    },
    { type: "task:end", host: "c", task: 1, ...ref, result: { state: "unchanged" }, elapsedMs: 20 },
    {
      type: "task:end",
      host: "c",
      task: 2,
      ...ref,
      result: { state: "skipped", unknown: true },
      elapsedMs: 9,
    },
  ]))
    fold.add(event);
  const [first, second] = fold.tasks();
  expect(fold.tasks()).toHaveLength(2);
  expect(first).toMatchObject({ nth: 1, states: { changed: 2, unchanged: 1 }, slowest: "c" });
  expect(first?.elapsed).toEqual({ count: 2, total: 30, min: 10, median: 15, max: 20 });
  expect(second).toMatchObject({ nth: 2, states: { skipped: 1, ignored: 1, unknown: 1 }, slowest: "b" });
});

it("finds quantiles between neighbours", () => {
  expect(quantile([1, 2, 3, 4], 0.25)).toBe(1.75);
  expect(quantile([5], 0.9)).toBe(5);
  expect(spreadOf([3, 1, 2])).toEqual({ count: 3, total: 6, min: 1, median: 2, max: 3 });
  expect(spreadOf([])).toEqual({ count: 0, total: 0, min: 0, median: 0, max: 0 });
});

it("writes durations with the digits that matter", () => {
  expect([0, 2.44, 9.96, 120.4, 999.6, 3_210, 125_000].map(formatDuration)).toEqual([
    "0",
    "2.4ms",
    "10ms",
    "120ms",
    "1.00s",
    "3.21s",
    "2m 05s",
  ]);
});
