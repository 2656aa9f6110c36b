import { expect, test } from "vitest";
import type { Failure, Summary } from "../../src/core/events.ts";
import { rowWidth } from "../../src/reporter/rows/layout.ts";
import { rowText } from "../../src/reporter/rows/row.ts";
import { ASCII_SYMBOLS, UNICODE_SYMBOLS } from "../../src/reporter/rows/wording.ts";
import { collectRemarks, summaryRows } from "../../src/reporter/summary.ts";
import { hostNames, simulate, summaryOf } from "./lib/simulate.ts";
import { hostSummary, summaryWith } from "./lib/summaries.ts";

const printed = (summary: Summary, columns = 80, symbols = UNICODE_SYMBOLS): string =>
  summaryRows(summary, { columns, symbols, unknown: new Map() })
    .map((row) => rowText(row).trimEnd())
    .join("\n");

const noSpace = (host: string): Failure => ({
  role: "app",
  name: "Check out",
  error: { code: "ACTION_FAILED", message: `no space left on ${host}`, hint: "free some" },
  output: ["fatal: write error", "see above"],
});

test("warnings and notices are said again, once for all hosts that have the same", () => {
  const remarks = collectRemarks();
  const say = (host: string, level: "info" | "notice" | "warn", text: string): void =>
    remarks.add({ type: "log", host, level, text, seq: 0, at: 0 } as never);
  expect(remarks.rows()).toEqual([]);
  for (const host of ["web1", "web2"]) say(host, "warn", "it is old\u001b[31m");
  say("db", "notice", "carried out from here");
  say("db", "info", "not told");
  for (let at = 0; at < 9; at++) say("db", "warn", `no. ${at}`);
  const rows = remarks.rows().map(rowText);
  expect(rows.slice(1, 3)).toEqual(["web[1-2]: warning: it is old", "db: notice: carried out from here"]);
  expect(rows).toHaveLength(12);
  expect(rows.at(-1)).toBe("and 1 more remark in the log of the run");
});

test("ignored and rescued failures have a column of their own, where there are some", () => {
  const summary = summaryWith([
    hostSummary("web1", "ok", { tally: { unchanged: 3, ignored: 2 } }),
    hostSummary("web2", "ok", { tally: { unchanged: 3, rescued: 1 } }),
  ]);
  expect(printed(summary, 120)).toMatch(/ failed {2}ignored {2}rescued {2}not executed/);
  expect(printed(summary)).toMatch(/web1 +✔ ok +3 +0 +0 +0 +2 +0 +0 /);
  expect(printed(summary)).toMatch(/web2 +✔ ok +3 +0 +0 +0 +0 +1 +0 /);
  expect(printed(summary)).toContain("0 failed, 2 ignored, 0 not executed.");
});

test("a run over a few hosts at 80 columns", () => {
  const summary = summaryWith(
    [
      hostSummary("web1", "ok", { tally: { unchanged: 87, skipped: 1 } }),
      hostSummary("web2", "failed", {
        tally: { unchanged: 3, changed: 2, failed: 1, notExecuted: 82 },
        failures: [noSpace("web2")],
        elapsedMs: 61_000,
      }),
      hostSummary("db1", "unreachable", {
        error: { code: "CONNECT_FAILED", message: "connection refused", hint: "is sshd running?" },
      }),
      hostSummary("db2", "lost", {
        tally: { unchanged: 1, notExecuted: 87 },
        error: { code: "CONNECTION_LOST", message: "gone for 30 s" },
      }),
      hostSummary("db3", "cancelled"),
    ],
    { elapsedMs: 3_723_000, logFile: "/var/log/volley/run.log" },
  );
  expect(printed(summary)).toMatchInlineSnapshot(`
    "
    site.ts
    host   outcome        unch   chg  skip  fail  not run    time
    web1   ✔ ok             87     0     1     0        0   0.31s
    db3    ⊘ cancelled       0     0     0     0        0   0.31s
    db2    ✘ lost            1     0     0     0       87   0.31s
    db1    ✘ unreachable     0     0     0     0        0   0.31s
    web2   ✘ failed          3     2     0     1       82  1m 01s

    web1: 88 total actions in 0.31s: 87 unchanged, 0 changed, 1 skipped, 0 failed, 0 not executed.
    web2: 88 total actions in 61.00s: 3 unchanged, 2 changed, 0 skipped, 1 failed, 82 not executed.
    db1: 0 total actions in 0.31s: 0 unchanged, 0 changed, 0 skipped, 0 failed, 0 not executed.
    db2: 88 total actions in 0.31s: 1 unchanged, 0 changed, 0 skipped, 0 failed, 87 not executed.
    db3: 0 total actions in 0.31s: 0 unchanged, 0 changed, 0 skipped, 0 failed, 0 not executed.

    ⊘ db3 was cancelled before it started

    ✘ db1 unreachable: no task was run there
        connection refused
        hint: is sshd running?

    ✘ db2 lost: the end of its run was not seen; what it was doing may have gone on
        gone for 30 s

    ✘ web2 failed: app : Check out
        no space left on web2
        hint: free some
        │ fatal: write error
        │ see above

    The whole log is in /var/log/volley/run.log
    5 hosts: 1 ok, 1 failed, 1 unreachable, 1 lost, 1 cancelled
    fleet: 264 total actions in 3723.00s: 91 unchanged, 2 changed, 1 skipped, 1 failed, 169 not executed."
  `);
});

test("the same error on many hosts is told once, with the hosts it is on", () => {
  const names = hostNames(200);
  const failing = new Set(names.slice(0, 17));
  const summary = summaryWith(
    names.map((name) =>
      failing.has(name)
        ? hostSummary(name, "failed", {
            tally: { changed: 4, failed: 1, notExecuted: 3 },
            failures: [noSpace(name)],
          })
        : hostSummary(name, "ok", { tally: { unchanged: 8 }, elapsedMs: 1_000 }),
    ),
    { check: true },
  );
  const text = printed(summary, 120, ASCII_SYMBOLS);
  expect(text).toMatchInlineSnapshot(`
    "
    site.ts  CHECK MODE: nothing is changed
    hosts              outcome        unchanged  changed  skipped  failed  not executed   time
    183  web[018-200]  = ok                   8        0        0       0             0  1.00s
     17  web[001-017]  x failed               0        4        0       1             3  0.31s

    x web[001-017] (17 hosts) failed: app : Check out
        on web001; the others say the same of themselves:
        no space left on web001
        hint: free some
        | fatal: write error
        | see above

    200 hosts: 183 ok, 17 failed
    fleet: 1600 total actions in 1.50s: 1464 unchanged, 68 changed, 0 skipped, 17 failed, 51 not executed.
    CHECK MODE: nothing is changed"
  `);
  expect(text.match(/no space left/g)).toHaveLength(1);
});

test("different errors stay apart", () => {
  const summary = summaryWith([
    hostSummary("web1", "failed", { failures: [noSpace("web1")] }),
    hostSummary("web2", "failed", {
      failures: [{ ...noSpace("web2"), error: { code: "TIMEOUT", message: "took too long" } }],
    }),
  ]);
  expect(printed(summary)).toContain("✘ web1 failed: app : Check out");
  expect(printed(summary)).toContain("✘ web2 failed: app : Check out");
});

test("without failures no log is mentioned, and nothing but the table and the totals is printed", () => {
  const text = printed(
    summaryWith([hostSummary("web1", "ok", { tally: { unchanged: 88 } })], { logFile: "/x.log" }),
  );
  expect(text).not.toContain("/x.log");
  expect(text).toContain(
    "web1: 88 total actions in 0.31s: 88 unchanged, 0 changed, 0 skipped, 0 failed, 0 not executed.",
  );
});

test("the counts of a run on one host are said once", () => {
  const text = printed(summaryWith([hostSummary("web1", "ok", { tally: { unchanged: 7, changed: 3 } })]));
  expect(text.match(/7 unchanged|3 changed/g)).toHaveLength(2);
  expect(text).not.toMatch(/^host |fleet:/m);
});

test("a run of no hosts", () => {
  expect(printed(summaryWith([]))).toContain("0 hosts");
});

test.each([30, 40, 50, 60, 80, 120, 200])("no line of the table is wider than %i columns", (columns) => {
  const hosts = hostNames(60, "a-very-long-name-in-some-data-centre-of-which-nobody-remembers-where-it-is-");
  const table = summaryRows(summaryOf(simulate(hosts)), {
    columns,
    symbols: UNICODE_SYMBOLS,
    unknown: new Map(),
  }).filter((row) => /^ *(?:hosts|\d+ {2}a)/.test(rowText(row)));
  expect(table.length).toBeGreaterThan(2);
  expect(Math.max(...table.map(rowWidth))).toBeLessThanOrEqual(columns);
});
