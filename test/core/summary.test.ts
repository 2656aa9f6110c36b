import { expect, test } from "vitest";
import type { ErrorCode } from "../../src/core/errors.ts";
import type { ControllerEvent, Event, HostSummary, Outcome, ReceivedEvent } from "../../src/core/events.ts";
import { EMPTY_TALLY, type Result } from "../../src/core/result.ts";
import { exitCodeOf, foldSummary, MAX_FAILURES, type SummaryFold } from "../../src/core/summary.ts";

function feed(fold: SummaryFold, ...events: readonly (ReceivedEvent | ControllerEvent)[]): void {
  for (const [index, event] of events.entries()) fold.add({ ...event, seq: index + 1, time: 1_000 } as Event);
}

const start = (...hosts: readonly string[]): ControllerEvent => ({
  type: "run:start",
  run: "r1",
  playbook: "site.ts",
  hosts,
  plays: [{ name: "P", hosts }],
  check: true,
  concurrency: 2,
});

const ref = (task: number, host: string) => ({
  host,
  task,
  play: "P",
  role: "web",
  name: `t${task}`,
  action: "noop",
});

const task = (number: number, host: string, result: Result, output = ""): readonly ReceivedEvent[] => [
  { type: "task:start", ...ref(number, host) },
  ...(output === ""
    ? []
    : [{ type: "task:output", host, task: number, stream: "stdout", text: output } as const]),
  { type: "task:end", ...ref(number, host), result, elapsedMs: 1 },
];

const end = (host: string, outcome: Outcome): ControllerEvent => ({
  type: "host:end",
  host,
  outcome,
  tally: { ...EMPTY_TALLY, unchanged: 1, notExecuted: 2 },
  elapsedMs: 5,
  phases: { tasks: 3 },
  uploadedBytes: 7,
});

test("hosts are counted as they go, and as they say at their end", () => {
  const fold = foldSummary();
  feed(fold, start("a", "b"), ...task(1, "a", { state: "changed" }), ...task(2, "a", { state: "skipped" }));
  expect(fold.tallyOf("a")).toMatchObject({ changed: 1, skipped: 1 });
  expect(fold.tallyOf("nowhere")).toEqual(EMPTY_TALLY);
  feed(fold, end("a", "ok"));
  const summary = fold.summary(3_000);
  expect(summary).toMatchObject({ run: "r1", playbook: "site.ts", check: true, elapsedMs: 2_000 });
  expect(summary.hosts[0]).toMatchObject({
    host: "a",
    outcome: "ok",
    tally: { unchanged: 1, notExecuted: 2 },
    uploadedBytes: 7,
  });
  expect(summary.tally).toMatchObject({ unchanged: 1, changed: 0, notExecuted: 2 });
});

test("a host that has not ended counts as cancelled", () => {
  const fold = foldSummary();
  feed(fold, start("a", "b"), end("a", "ok"), ...task(1, "b", { state: "changed" }));
  const summary = fold.summary(3_000);
  expect(summary.hosts[1]).toMatchObject({ host: "b", outcome: "cancelled", tally: { changed: 1 } });
  expect(summary).toMatchObject({ outcomes: { ok: 1, cancelled: 1 }, exitCode: 130 });
});

test("a failure keeps the last lines its own task printed; an ignored one is none", () => {
  const fold = foldSummary();
  const error = { code: "ACTION_FAILED", message: "no" } as const;
  const lines = Array.from({ length: 30 }, (_, index) => `line ${index}\n`).join("");
  feed(
    fold,
    start("a"),
    ...task(1, "a", { state: "failed", ignored: true, error }, "ignored\n"),
    ...task(2, "a", { state: "failed", error }, lines),
    end("a", "failed"),
  );
  const { failures } = fold.summary(3_000).hosts[0]!;
  expect(failures).toHaveLength(1);
  expect(failures[0]).toMatchObject({ role: "web", name: "t2", error });
  expect(failures[0]?.output).toHaveLength(20);
  expect(failures[0]?.output.at(-1)).toBe("line 29");
});

test("a line that comes in pieces is one line", () => {
  const fold = foldSummary();
  const error = { code: "ACTION_FAILED", message: "no" } as const;
  const [started, ended] = task(1, "a", { state: "failed", error });
  const output = (text: string): ReceivedEvent => ({
    type: "task:output",
    host: "a",
    task: 1,
    stream: "stdout",
    text,
  });
  feed(
    fold,
    start("a"),
    started!,
    output("hel"),
    output("lo\nwor"),
    output("ld"),
    ended!,
    end("a", "failed"),
  );
  expect(fold.summary(3_000).hosts[0]?.failures[0]?.output).toEqual(["hello", "world"]);
});

const none: Readonly<Record<Outcome, number>> = { ok: 3, failed: 0, unreachable: 0, lost: 0, cancelled: 0 };

test.each([
  [{}, 0],
  [{ failed: 1 }, 2],
  [{ failed: 1, unreachable: 1 }, 4],
  [{ failed: 1, lost: 1 }, 4],
  [{ failed: 1, lost: 1, cancelled: 1 }, 130],
])("outcomes %j give exit code %i", (outcomes, code) => {
  expect(exitCodeOf({ ...none, ...outcomes })).toBe(code);
});

test("of many failures the last are kept; the rescue of those dropped counts", () => {
  const fold = foldSummary();
  feed(fold, start("h1"));
  const numbers = Array.from({ length: MAX_FAILURES + 2 }, (_none, index) => index + 1);
  const error = { code: "ACTION_FAILED", message: "no" } as const;
  for (const number of numbers) feed(fold, ...task(number, "h1", { state: "failed", error }));
  const kept = fold.summary(0).hosts[0]!.failures;
  expect(kept).toHaveLength(MAX_FAILURES);
  expect(kept.at(-1)?.name).toBe(`t${MAX_FAILURES + 2}`);
  for (const number of numbers.slice(0, -1)) feed(fold, { type: "task:rescued", ...ref(number, "h1") });
  expect(fold.tallyOf("h1")).toMatchObject({ failed: 1, rescued: MAX_FAILURES + 1 });
  expect(fold.summary(0).hosts[0]!.failures.map(({ name }) => name)).toEqual([`t${MAX_FAILURES + 2}`]);
});

type Ended = readonly [outcome: Outcome, code?: ErrorCode, started?: boolean];

function exitCode(...ended: readonly Ended[]): number {
  const outcomes: Record<Outcome, number> = { ok: 0, failed: 0, unreachable: 0, lost: 0, cancelled: 0 };
  for (const [outcome] of ended) outcomes[outcome]++;
  const hosts = ended.map(
    ([, code, started = false]): Pick<HostSummary, "phases" | "error"> => ({
      phases: started ? { start: 1 } : {},
      ...(code === undefined ? {} : { error: { code, message: "" } }),
    }),
  );
  return exitCodeOf(outcomes, hosts);
}

const cases: readonly (readonly [number, string, readonly Ended[]])[] = [
  [0, "all ok", [["ok"], ["ok"]]],
  [0, "no hosts", []],
  [2, "one failed", [["ok"], ["failed"]]],
  [4, "one unreachable, one failed", [["unreachable", "CONNECT_FAILED"], ["failed"]]],
  [
    4,
    "all unreachable over the network",
    [
      ["unreachable", "CONNECT_FAILED"],
      ["unreachable", "CONNECT_FAILED"],
    ],
  ],
  [4, "one lost", [["lost", "CONNECTION_LOST", true], ["ok"]]],
  [130, "one cancelled", [["cancelled"], ["failed"], ["unreachable", "AUTH_FAILED"]]],
  [
    1,
    "no key accepted anywhere",
    [
      ["unreachable", "AUTH_FAILED"],
      ["unreachable", "AUTH_FAILED"],
    ],
  ],
  [
    1,
    "different set-up faults",
    [
      ["unreachable", "HOST_KEY_UNKNOWN"],
      ["failed", "NODE_MISSING"],
      ["failed", "UPLOAD_FAILED"],
      ["failed", "BECOME_FAILED"],
    ],
  ],
  [
    4,
    "set-up faults but one that cannot be reached",
    [
      ["unreachable", "AUTH_FAILED"],
      ["unreachable", "CONNECT_FAILED"],
    ],
  ],
  [4, "set-up faults but one that is well", [["unreachable", "AUTH_FAILED"], ["ok"]]],
  [2, "a host without Node, and one that is well", [["failed", "NODE_MISSING"], ["ok"]]],
  [4, "a broken protocol amid the run", [["lost", "PROTOCOL_INVALID", true]]],
];

test.each(cases)("%i: %s", (code, _what, ended) => {
  expect(exitCode(...ended)).toBe(code);
});
