import { describe, expect, test } from "vitest";
import type { RunModel } from "../../../src/reporter/ink/model.ts";
import type { ViewState } from "../../../src/reporter/ink/view-state.ts";
import { textWidth } from "../../../src/reporter/rows/layout.ts";
import { ASCII_SYMBOLS, UNICODE_SYMBOLS } from "../../../src/reporter/rows/wording.ts";
import { screenRows } from "../lib/draw.ts";
import { CONTROL, HOSTILE, modelAt, runStart, stamp } from "../lib/play.ts";
import { hostNames, START_MS, simulate } from "../lib/simulate.ts";

const events = simulate(hostNames(200), { seed: 2, slowness: 1, concurrency: 60 });

function draw(model: RunModel, view: Partial<ViewState> = {}, columns = 80, rows = 24, atMs = 2_000): string {
  const surface = { columns, rows, symbols: UNICODE_SYMBOLS, nowMs: START_MS + atMs };
  return screenRows(model, view, surface).join("\n");
}

test("the address for browsers has a row of its own, on a screen that has room for it", () => {
  const model = modelAt(events, 2_000);
  const surface = { columns: 79, rows: 24, symbols: UNICODE_SYMBOLS, nowMs: START_MS };
  const address = "http://127.0.0.1:41234/AbCdEfGhIjKlMnOpQrStUvWxYz012345/";
  const rows = screenRows(model, {}, { ...surface, address });
  expect(rows).toHaveLength(screenRows(model, {}, surface).length);
  expect(rows[3]).toBe(address);
  expect(screenRows(model, {}, { ...surface, rows: 8, address }).join("")).not.toContain("http:");
});

describe("the fleet", () => {
  test("200 hosts at 80 columns", () => {
    expect(draw(modelAt(events, 2_000))).toMatchInlineSnapshot(`
      "volley site.ts                                                            ⠋ 0:02
      hosts 1/200 done  ✘ 1 failed  ● 57 running  ◐ 3 at barrier  ○ 139 waiting
      fleet 130 unchanged  76 changed  23 skipped  1 failed  15 not executed
          host    doing                                  tasks    time   ✔   ~   -   ✘
        ✘ web011  base : Set the host name: Set the …     1/16    0:00   .   .   .   1
        ● web001  time : Enable systemd-timesyncd          7/8    0:01   3   2   2   .
        ● web002  ssh : Write sshd_config                  4/8    0:01   4   .   .   .
        ● web003  ssh : Restart sshd                       5/8    0:01   3   1   1   .
        ● web004  nginx : Install nginx                   8/16    0:01   6   2   .   .
        ● web005  ssh : Restart sshd                       5/8    0:01   1   3   1   .
        ● web006  ssh : Restart sshd                       5/8    0:01   4   1   .   .
        ● web007  base : Install the packages every …      1/8    0:01   .   1   .   .
        ● web008  time : Enable systemd-timesyncd          7/8    0:01   4   1   2   .
        ● web009  ssh : Write sshd_config                  4/8    0:01   1   3   .   .
        ● web010  base : Install the packages every …      1/8    0:01   1   .   .   .
        ● web012  base : Install the packages every …      1/8    0:01   1   .   .   .
        ● web013  base : Make the deploy user              2/8    0:01   2   .   .   .
        ● web014  ssh : Restart sshd                       5/8    0:01   2   3   .   .
        ● web015  base : Install the packages every …      1/8    0:01   1   .   .   .
        ● web016  base : Make the deploy user              2/8    0:01   1   1   .   .
        ● web017  base : Install the packages every …      1/8    0:01   .   1   .   .
        ● web018  time : Set the time zone                 6/8    0:01   3   3   .   .
      ↑↓ choose  Enter log  f failed  / filter  ? help  Ctrl-C stop        1-18 of 200"
    `);
  });

  test("200 hosts at 120 columns, failed only", () => {
    expect(draw(modelAt(events, 5_000), { failedOnly: true }, 120, 16, 5_000)).toMatchInlineSnapshot(`
      "volley site.ts                                                                                                    ⠴ 0:05
      hosts 45/200 done ████░░░░░░░░░░░░░░░░  ✘ 3 failed  ● 60 running  ○ 95 waiting
      fleet 524 unchanged  320 changed  87 skipped  3 failed  32 not executed
          host    doing                                                  tasks    time unchanged   changed   skipped    failed
        ✘ web011  base : Set the host name: Set the host name: not p…     1/16    0:00         .         .         .         1
        ✘ web012  time : Enable systemd-timesyncd: Enable systemd-ti…     8/16    0:02         5         1         1         1
        ✘ web040  time : Set the time zone: Set the time zone: not p…     7/16    0:02         4         2         .         1







      [failed only] ↑↓ choose  Enter log  f failed  / filter  ? help  Ctrl-C stop"
    `);
  });

  test("check mode and a cancel are told at the top", () => {
    const check = stamp([runStart(["web1"], true), { type: "run:cancel", how: "clean" }]);
    const text = draw(modelAt(check), {}, 80, 8);
    expect(text).toContain("CHECK MODE: nothing is changed");
    expect(text).toContain("stopping cleanly after the running actions; press Ctrl-C again to stop now\n");
    expect(text).toMatch(/\? help {2}Ctrl-C stop now( |$)/);
    const now = draw(modelAt(stamp([runStart(["web1"]), { type: "run:cancel", how: "now" }])), {}, 80, 8);
    expect(now).toContain("stopping now\n");
    expect(now.split("\n").at(-1)).not.toContain("Ctrl-C");
  });

  test("the chosen host stays in sight wherever it is sorted", () => {
    for (const selected of ["web001", "web100", "web200"]) {
      expect(draw(modelAt(events, 2_000), { selected })).toMatch(new RegExp(`❯ . ${selected} `));
    }
  });

  test("a filter looks at names, states and what is being done", () => {
    const model = modelAt(events, 2_000);
    expect(draw(model, { filter: "web01" }).match(/^ {2}. web\d+/gm)).toHaveLength(10);
    expect(draw(model, { filter: "WAITING for" })).toContain("waiting for its turn");
    expect(draw(model, { filter: "nowhere" })).toContain('no host matches "nowhere"; Esc shows all');
  });
});

test("a host's log at 80 columns", () => {
  expect(
    draw(modelAt(events, 2_500), { screen: "host", selected: "web007" }, 80, 20, 2_500),
  ).toMatchInlineSnapshot(`
    "● web007  running  6/8  0:02  deploy@10.0.0.7                   fleet 2/200 done
    time : Set the time zone
    ────────────────────────────────────────────────────────────────────────────────
    • started under Node 20.19.0, process 4242
    • facts gathered in 0.15s
    Every host
    ~ changed   base : Set the host name  0.12s
    ● base : Install the packages every host has
        │ Reading package lists...
        │ Building dependency tree...
        │ Setting up curl (7.88.1) ...
    ~ changed   base : Install the packages every host has  0.96s
    ~ changed   base : Make the deploy user  0.09s
        user deploy
        shell: /bin/sh -> /bin/bash
    ✔ unchanged base : Authorize the team's keys  0.11s
    ✔ unchanged ssh : Write sshd_config  0.13s
    ✔ unchanged ssh : Restart sshd  0.10s
    Esc back  ←→ other hosts  ↑↓ PgUp PgDn g G scroll  ? help              following"
  `);
});

test("the help", () => {
  expect(draw(modelAt([]), { help: 0 })).toMatchInlineSnapshot(`
    "Keys
      ↑↓ PgUp PgDn       choose a host; in a log: scroll
      g G                first and last; G follows a log's end
      Enter              open the log of the chosen host
      ←→                 in a log: the host before, the next host
      Esc                back; take back filter and choice
      f                  show only hosts on which something failed
      /                  filter by name, state, or what is being done
      Ctrl-C             stop cleanly after the running actions; twice: at once
      Ctrl-L             draw the screen anew
      q s                after exec: leave; a shell where it failed

    Signs
      ● ◐ ○              running, waiting at a barrier, waiting for its turn
      ✔ ~ -              unchanged or ok, changed, skipped
      ✘ ! ⊘              failed or out of reach, failed but ignored, cancelled
      ?                  check mode cannot know





    any key goes back"
  `);
});

test("the help on a small terminal is wrapped, and scrolls to its end", () => {
  expect(draw(modelAt([]), { help: 0 }, 40, 10)).toMatchInlineSnapshot(`
    "Keys
      ↑↓ PgUp PgDn choose a host; in a log:
                   scroll
      g G          first and last; G follows
                   a log's end
      Enter        open the log of the
                   chosen host
      ←→           in a log: the host
    ↑↓ scroll  Esc back            1-8 of 32"
  `);
  const shown = [0, 8, 16, 24].map((help) => draw(modelAt([]), { help }, 40, 10)).join("\n");
  expect(shown).not.toContain("…");
  for (const key of ["g G", "Enter", "←→", "Esc", "f", "/", "Ctrl-C", "Ctrl-L", "q s", "✘ ! ⊘", "?"])
    expect(shown).toMatch(new RegExp(`^  ${key.replace(/[?/]/, "\\$&")} +[a-z]`, "m"));
  expect(draw(modelAt([]), { help: 99 }, 40, 10)).toMatch(/check mode cannot know\n.* 25-32 of 32$/);
});

test.each<[string, Partial<ViewState>]>([
  ["? help  Ctrl-C stop", {}],
  ["↑↓ choose  Enter log  ? help  q leave", { held: true }],
  ["Esc back  ? help", { screen: "host", selected: "web007" }],
])("a narrow terminal keeps the keys that lead to the help: %s", (keys, view) => {
  const model = view.held === true ? modelAt(simulate(hostNames(3), { seed: 2 })) : modelAt(events, 2_500);
  const rows = draw(model, view, 40, 10, 2_500).split("\n");
  expect(rows.at(-1)?.split(/ {3,}/)[0]).toBe(keys);
});

describe("whatever the size", () => {
  const hostile = stamp([
    runStart([HOSTILE, `${HOSTILE}${HOSTILE}`, "日本語のホスト名前".repeat(5)], true),
    { type: "host:connect", host: HOSTILE, address: HOSTILE, port: 22, user: HOSTILE },
    { type: "host:noise", host: HOSTILE, text: `${HOSTILE}\n${HOSTILE.repeat(50)}` },
    { type: "play:start", host: HOSTILE, index: 0, play: HOSTILE, total: 1 },
    {
      type: "task:start",
      host: HOSTILE,
      task: 1,
      play: HOSTILE,
      role: HOSTILE,
      name: HOSTILE,
      action: HOSTILE,
    },
    { type: "task:output", host: HOSTILE, task: 1, stream: "stdout", text: `${HOSTILE}\n`.repeat(700) },
    { type: "run:cancel", how: "clean" },
  ]);
  const models = { simulated: modelAt(events, 2_000), hostile: modelAt(hostile), empty: modelAt([]) };
  const views: readonly Partial<ViewState>[] = [
    {},
    { selected: "web050", filter: "web", typing: true },
    { filter: HOSTILE, failedOnly: true },
    { screen: "host", selected: "web003" },
    { screen: "host", selected: HOSTILE },
    { help: 0 },
    { help: 7 },
  ];
  const sizes = [
    [1, 1],
    [2, 3],
    [10, 5],
    [20, 8],
    [40, 10],
    [80, 24],
    [120, 40],
    [200, 60],
    [500, 300],
  ] as const;

  test.each(sizes)(
    "%i × %i: never more than rows - 1, none too wide, no control characters",
    (columns, rows) => {
      for (const symbols of [UNICODE_SYMBOLS, ASCII_SYMBOLS]) {
        for (const model of Object.values(models)) {
          for (const view of views) {
            const drawn = screenRows(model, view, { columns, rows, symbols, nowMs: START_MS });
            expect(drawn.length).toBeLessThanOrEqual(Math.max(1, rows - 1));
            expect(Math.max(...drawn.map(textWidth))).toBeLessThanOrEqual(columns);
            for (const row of drawn) expect(row).not.toMatch(CONTROL);
          }
        }
      }
    },
  );

  test("a frame fills the screen, so that nothing of the one before remains", () => {
    for (const view of views) {
      const surface = { columns: 80, rows: 24, symbols: UNICODE_SYMBOLS, nowMs: START_MS };
      expect(screenRows(models.simulated, view, surface)).toHaveLength(23);
    }
  });
});
