import { describe, expect, test } from "vitest";
import { helpRoom, helpRows } from "../../../src/reporter/ink/help.tsx";
import { type Key, press } from "../../../src/reporter/ink/keys.ts";
import { firstRow, logLayout } from "../../../src/reporter/ink/log.ts";
import type { RunModel } from "../../../src/reporter/ink/model.ts";
import { INITIAL_VIEW, listedHosts, type ViewState } from "../../../src/reporter/ink/view-state.ts";
import { rowText } from "../../../src/reporter/rows/row.ts";
import { UNICODE_SYMBOLS } from "../../../src/reporter/rows/wording.ts";
import { modelAt, runStart, stamp } from "../lib/play.ts";
import { hostNames, START_MS, simulate } from "../lib/simulate.ts";

const surface = { columns: 40, rows: 14, symbols: UNICODE_SYMBOLS, nowMs: START_MS };
const fleet = modelAt(simulate(hostNames(30), { seed: 2, failing: 0.2 }));

function pressed(keys: readonly Key[], model: RunModel = fleet, view: ViewState = INITIAL_VIEW): ViewState {
  return keys.reduce((current, key) => press(current, key, model.view, surface), view);
}
const typed = (text: string): readonly Key[] => [...text].map((each) => ({ text: each }));

describe("once all is over, where the screen stays", () => {
  const held = { ...INITIAL_VIEW, held: true };
  const over = (failing: number): RunModel => modelAt(simulate(hostNames(3), { seed: 2, failing }));

  test("q leaves, and so does Ctrl-C; s asks for a shell where something failed", () => {
    expect(pressed(typed("q"), over(0), held).choice).toBe("leave");
    expect(pressed(["ctrl-c"], over(0), held)).toMatchObject({ choice: "leave", cancels: 0 });
    expect(pressed(typed("s"), over(0), held).choice).toBeUndefined();
    expect(pressed(typed("s"), over(1), held).choice).toBe("shell");
  });

  test("not before, not where it does not stay, and not while typing", () => {
    const going = modelAt(simulate(hostNames(3), { seed: 2, failing: 1 }), 1_000);
    expect(pressed(["ctrl-c"], going, held)).toMatchObject({ choice: undefined, cancels: 1 });
    expect(pressed(typed("q"), over(1)).choice).toBeUndefined();
    expect(pressed(typed("/qs"), over(1), held)).toMatchObject({ choice: undefined, filter: "qs" });
  });

  test("in a host's log q goes back first", () => {
    expect(pressed(["enter", ...typed("q")], over(1), held)).toMatchObject({
      choice: undefined,
      screen: "fleet",
    });
  });
});

describe("in the fleet", () => {
  const order = listedHosts(fleet.view, INITIAL_VIEW).map(({ name }) => name);

  test("failures come first", () => {
    const failed = listedHosts(fleet.view, { ...INITIAL_VIEW, failedOnly: true }).map(({ name }) => name);
    expect(failed.length).toBeGreaterThan(0);
    expect(order.slice(0, failed.length)).toEqual(failed);
  });

  test("arrows choose, and stop at both ends", () => {
    expect(pressed(["down"]).selected).toBe(order[0]);
    expect(pressed(["down", "down", "down", "up"]).selected).toBe(order[1]);
    expect(pressed(["down", "up", "up"]).selected).toBe(order[0]);
    expect(pressed(["end", "down"]).selected).toBe(order.at(-1));
    expect(pressed(["down", "pageDown"]).selected).toBe(order[7]);
    expect(pressed([...typed("G"), ...typed("g")]).selected).toBe(order[0]);
  });

  test("Enter opens the chosen host, or the first; Esc goes back to where one was", () => {
    expect(pressed(["enter"])).toMatchObject({ screen: "host", selected: order[0] });
    expect(pressed(["down", "down", "enter"])).toMatchObject({ screen: "host", selected: order[1] });
    expect(pressed(["down", "down", "enter", "right", "right", "left"])).toMatchObject({
      screen: "host",
      selected: order[2],
    });
    expect(pressed(["down", "down", "enter", "escape"])).toMatchObject({
      screen: "fleet",
      selected: order[1],
    });
  });

  test("f, / and ?", () => {
    expect(pressed(typed("f")).failedOnly).toBe(true);
    expect(pressed(typed("ff")).failedOnly).toBe(false);
    expect(pressed(typed("/f?"))).toMatchObject({
      typing: true,
      filter: "f?",
      failedOnly: false,
      help: undefined,
    });
    expect(pressed([...typed("/web1"), "backspace", "enter"])).toMatchObject({
      typing: false,
      filter: "web",
    });
    expect(pressed([...typed("/web1"), "enter", "escape"])).toMatchObject({ filter: "" });
    expect(pressed([...typed("/web1"), "escape"])).toMatchObject({ typing: false, filter: "" });
    expect(pressed(typed("?")).help).toBe(0);
    expect(pressed([...typed("?"), "escape"])).toMatchObject({ help: undefined, selected: undefined });
  });

  test("the help scrolls where it is longer than the screen; any other key goes back", () => {
    const total = helpRows(surface).length;
    const room = helpRoom(surface);
    expect(total).toBeGreaterThan(2 * room);
    const help = (...keys: readonly Key[]): number | undefined => pressed([...typed("?"), ...keys]).help;
    expect(help("down", ...typed("j"), "up")).toBe(1);
    expect(help("up", "pageUp", ...typed("k"))).toBe(0);
    expect([help("pageDown"), help(...typed(" "))]).toEqual([room - 1, room - 1]);
    expect(help("pageDown", "pageUp")).toBe(0);
    expect([help("end", "down"), help(...typed("G"))]).toEqual([total - room, total - room]);
    expect([help("end", "home"), help("end", ...typed("g"))]).toEqual([0, 0]);
    expect(help("down", "enter")).toBeUndefined();
    // Scrolled to the end before the terminal grew.
    const higher = { ...surface, rows: total };
    expect(press({ ...INITIAL_VIEW, help: total - room }, "up", fleet.view, higher).help).toBe(1);
    const all = { ...surface, rows: total + 2 };
    expect(press({ ...INITIAL_VIEW, help: 0 }, "down", fleet.view, all).help).toBeUndefined();
  });

  test("Ctrl-C is counted on every screen", () => {
    expect(pressed(["ctrl-c", "enter", "ctrl-c", ...typed("?"), "ctrl-c"]).cancels).toBe(3);
    expect(pressed([...typed("/"), "ctrl-c"])).toMatchObject({ cancels: 1, filter: "" });
  });
});

describe("in a log", () => {
  const lines = (from: number, to: number) =>
    Array.from(
      { length: to - from },
      (_, index) => ({ type: "host:noise", host: "web1", text: `line ${from + index}` }) as const,
    );
  const model = (to: number): RunModel => modelAt(stamp([runStart(["web1"]), ...lines(0, to)]));
  const room = surface.rows - 1 - 4;
  const top = (view: ViewState, run: RunModel): string | undefined => {
    const rows = logLayout(run.view.hosts[0]!.log, surface.columns);
    const row = rows[firstRow(rows, view.scroll, room)]?.row;
    return row === undefined ? undefined : rowText(row);
  };

  test("the end is followed until one scrolls up, and again from the end on", () => {
    const run = model(100);
    expect(top(pressed(["enter"], run), run)).toBe(`│ line ${100 - room}`);
    const up = pressed(["enter", "up", "up"], run);
    expect(top(up, run)).toBe(`│ line ${98 - room}`);
    expect(top(up, model(200))).toBe(`│ line ${98 - room}`);
    const down = pressed(["down", "down"], run, up);
    expect(down.scroll).toBeUndefined();
    expect(top(pressed(["pageUp"], run, down), run)).toBe(`│ line ${101 - 2 * room}`);
    expect(top(pressed(typed("g"), run, down), run)).toBe("│ line 0");
    expect(pressed(typed("gG"), run, down).scroll).toBeUndefined();
    expect(top(pressed(["home", "pageDown"], run, down), run)).toBe(`│ line ${room - 1}`);
  });

  test("what was in sight stays there while old lines are dropped", () => {
    const before = model(500);
    const view = pressed(["enter", ...Array.from({ length: 20 }, () => "up" as const)], before);
    expect(top(view, before)).toBe(`│ line ${480 - room}`);
    expect(top(view, model(900))).toBe(`│ line ${480 - room}`);
    expect(top(view, model(1_200))).toBe("│ line 700");
  });

  test("long lines are wrapped, not cut", () => {
    const text = "the quick brown fox jumps over the lazy dog and runs on and on";
    const run = modelAt(stamp([runStart(["web1"]), { type: "host:noise", host: "web1", text }]));
    expect(logLayout(run.view.hosts[0]!.log, 40).map(({ row }) => rowText(row))).toEqual([
      "│ the quick brown fox jumps over the",
      "  lazy dog and runs on and on",
    ]);
  });
});
