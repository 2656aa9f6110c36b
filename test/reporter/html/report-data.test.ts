import { expect, it } from "vitest";
import { PHASES } from "../../../src/core/events.ts";
import { foldReport } from "../../../src/reporter/html/report-data.ts";
import { stamp } from "../lib/play.ts";
import { hostNames } from "../lib/simulate.ts";
import { fleetRun } from "./fleet-run.ts";

const hosts = hostNames(60);
const events = fleetRun({ hosts, concurrency: 10 });

it("draws each host's time without gaps or overlaps, as long as its phases say", () => {
  const data = foldReport(events);
  expect(data.hosts.map(({ host }) => host)).toEqual(hosts);
  for (const { host, segments, phases } of data.hosts) {
    for (const [index, { fromMs, toMs }] of segments.entries()) {
      expect(toMs, host).toBeGreaterThan(fromMs);
      expect(toMs, host).toBeLessThanOrEqual(data.elapsedMs);
      if (index > 0) expect(fromMs, host).toBe(segments[index - 1]?.toMs);
    }
    for (const phase of PHASES) {
      const drawnMs = segments
        .filter((segment) => segment.phase === phase)
        .reduce((sum, { fromMs, toMs }) => sum + toMs - fromMs, 0);
      // Times of events are whole milliseconds.
      expect(Math.abs(drawnMs - (phases[phase] ?? 0)), `${host} ${phase}`).toBeLessThan(5);
    }
  }
});

it("tells what hosts have in common once, with the output and difference of the first", () => {
  const { failures } = foldReport(events);
  expect(failures.map(({ outcome, hosts }) => [outcome, hosts])).toEqual([
    ["failed", ["web06", "web29", "web52"]],
    ["unreachable", ["web41"]],
  ]);
  const [failed] = failures;
  expect(failed?.details?.output).toContain("E: line 12 of what went wrong");
  expect(failed?.details?.diff).toHaveLength(1);
});

it("counts no host among failures that was still at work when the log was cut off", () => {
  const half = events.slice(0, Math.floor(events.length / 2));
  const data = foldReport(half);
  expect(data.state).toBe("cut off");
  expect(foldReport(half, true).state).toBe("going on");
  const open = data.hosts.filter(({ outcome }) => outcome === "open");
  expect(open.length).toBeGreaterThan(10);
  expect(data.failures.flatMap((failure) => failure.hosts)).not.toEqual(
    expect.arrayContaining(open.map(({ host }) => host)),
  );
  // A host at work is at work until the log's last event.
  expect(Math.max(...open.flatMap(({ segments }) => segments.map(({ toMs }) => toMs)))).toBe(data.elapsedMs);
});

it("shows a connection that was lost and came back, and notes it", () => {
  const [host] = ["web1"];
  const { hosts: told, notes } = foldReport(
    stamp([
      {
        type: "run:start",
        run: "r",
        playbook: "p",
        hosts: ["web1"],
        plays: [],
        check: false,
        concurrency: 1,
      },
      { type: "host:connect", host: "web1", address: "web1", port: 22, user: "u" },
      { type: "host:connected", host: "web1", elapsedMs: 100 },
      { type: "host:cached", host: "web1" },
      { type: "host:start", host: "web1" },
      { type: "facts", host: "web1", elapsedMs: 1, facts: {} },
      { type: "host:lost", host: "web1", reason: "reset by peer" },
      { type: "host:back", host: "web1", awayMs: 100 },
    ]),
  );
  expect(told[0]?.segments.map(({ phase }) => phase)).toEqual(["connect", "start", "facts", "tasks", "away"]);
  expect(notes.map(({ text, hosts: names }) => [text, names])).toEqual([
    ["connection lost: reset by peer", [host]],
    ["connected again after 0.10s", [host]],
  ]);
});

it("makes something of nothing", () => {
  expect(foldReport([]).hosts).toEqual([]);
});
