import { describe, expect, it } from "vitest";
import { nameInTitle } from "../../../src/fanout/shell/pane.ts";
import {
  differingHosts,
  LAG_MS,
  laggingHosts,
  layoutOf,
  MIN_PANE_COLUMNS,
  MIN_PANE_ROWS,
  neighbourOf,
  paneArea,
} from "../../../src/fanout/shell/shell-state.ts";

const screen = (host: string, ...lines: readonly string[]) => ({ host, aliases: [], lines });
const pace = (host: string, inputAt: number | undefined, outputAt: number | undefined, pendingBytes = 0) => ({
  host,
  inputAt,
  outputAt,
  pendingBytes,
});

describe("differingHosts", () => {
  it("names those whose screen is not that of most", () => {
    const samples = [screen("a1x", "ok"), screen("a2x", "ok"), screen("a3x", "failed")];
    expect(differingHosts(samples)).toEqual(new Set(["a3x"]));
  });

  it("does not count a host's own name, whole or short, nor what its title calls it", () => {
    const samples = [
      screen("web1.example.org", "deploy@web1:~$ ls"),
      screen("web22.example.org", "deploy@web22:~$ ls", "", ""),
      { host: "10.0.0.9", aliases: ["ip-10-0-0-9"], lines: ["deploy@ip-10-0-0-9:~$ ls"] },
    ];
    expect(differingHosts(samples)).toEqual(new Set());
    expect(differingHosts([...samples, screen("web3.example.org", "deploy@web1:~$ ls")])).toEqual(
      new Set(["web3.example.org"]),
    );
  });

  it("does not count names that all of them show", () => {
    const samples = ["web1", "web2", "web3"].map((host) =>
      screen(host, `${host}:~$ ping web3`, "web3 is up"),
    );
    expect(differingHosts(samples)).toEqual(new Set());
  });

  it("names nobody where there is no majority, as with top", () => {
    expect(differingHosts([screen("a", "1"), screen("b", "2"), screen("c", "3")])).toEqual(new Set());
    expect(differingHosts([screen("a", "1"), screen("b", "2")])).toEqual(new Set());
  });
});

describe("laggingHosts", () => {
  it("names who has not answered while most others have", () => {
    const samples = [pace("a", 100, 150), pace("b", 100, 150), pace("c", 100, 50)];
    expect(laggingHosts(samples, 100 + LAG_MS)).toEqual(new Set(["c"]));
    expect(laggingHosts(samples, 99 + LAG_MS)).toEqual(new Set());
  });

  it("names nobody while nobody answers, as at a password prompt", () => {
    expect(laggingHosts([pace("a", 100, 50), pace("b", 100, undefined)], 5_000)).toEqual(new Set());
  });

  it("names who does not take in what is typed, alone or not", () => {
    expect(laggingHosts([pace("a", 100, 150, 10)], 5_000)).toEqual(new Set(["a"]));
  });

  it("leaves alone those that nothing was typed to", () => {
    expect(laggingHosts([pace("a", 100, 150), pace("b", undefined, 20)], 5_000)).toEqual(new Set());
  });
});

describe("nameInTitle", () => {
  it("finds the host in what shells write there", () => {
    expect(nameInTitle("deploy@web-1.lan: /etc")).toBe("web-1.lan");
    expect(nameInTitle("vim")).toBeUndefined();
  });
});

describe("layoutOf", () => {
  it("gives one host all of the screen but a title line", () => {
    expect(layoutOf({ panes: 1, columns: 80, rows: 23 })).toMatchObject({
      pages: 1,
      across: 1,
      down: 1,
      paneColumns: 80,
      paneRows: 22,
    });
  });

  it("shows nine hosts on 80×24, three by three", () => {
    const layout = layoutOf({ panes: 9, columns: 80, rows: 23 });
    expect(layout).toMatchObject({ perPage: 9, pages: 1, across: 3, down: 3, paneColumns: 26, paneRows: 6 });
    expect(paneArea(layout, 8)).toEqual({ column: 54, row: 15, columns: 26, rows: 6 });
  });

  it("turns to pages what does not fit", () => {
    const layout = layoutOf({ panes: 40, columns: 80, rows: 23 });
    expect(layout).toMatchObject({ perPage: 9, pages: 5 });
    expect(layoutOf({ panes: 40, columns: 200, rows: 59 })).toMatchObject({ perPage: 40, pages: 1 });
  });

  it("keeps to the number of panes that is asked for", () => {
    expect(layoutOf({ panes: 9, columns: 200, rows: 59, maxPerPage: 4 })).toMatchObject({
      perPage: 4,
      pages: 3,
      across: 2,
      down: 2,
    });
  });

  it("never lays a pane outside of the screen, nor over another, whatever the sizes", () => {
    for (let panes = 1; panes <= 60; panes += 7) {
      for (let columns = MIN_PANE_COLUMNS; columns <= 300; columns += 23) {
        for (let rows = MIN_PANE_ROWS + 1; rows <= 100; rows += 9) {
          const layout = layoutOf({ panes, columns, rows });
          const taken = new Set<string>();
          expect(layout.pages * layout.perPage).toBeGreaterThanOrEqual(panes);
          for (let place = 0; place < layout.perPage; place++) {
            const area = paneArea(layout, place);
            expect(area.column + area.columns).toBeLessThanOrEqual(columns);
            expect(area.row + area.rows).toBeLessThanOrEqual(rows);
            expect(area.row).toBeGreaterThanOrEqual(1);
            const key = `${area.column},${area.row}`;
            expect(taken.has(key)).toBe(false);
            taken.add(key);
          }
        }
      }
    }
  });

  it("survives a screen that is too small for anything", () => {
    expect(layoutOf({ panes: 3, columns: 1, rows: 1 })).toMatchObject({ perPage: 1, pages: 3, paneRows: 1 });
  });
});

describe("neighbourOf", () => {
  const layout = layoutOf({ panes: 11, columns: 80, rows: 23 });

  it("goes from pane to pane, and to the next page at the edge", () => {
    expect(neighbourOf(layout, 0, "right", 11)).toBe(1);
    expect(neighbourOf(layout, 8, "right", 11)).toBe(9);
    expect(neighbourOf(layout, 9, "left", 11)).toBe(8);
    expect(neighbourOf(layout, 1, "down", 11)).toBe(4);
    expect(neighbourOf(layout, 4, "up", 11)).toBe(1);
  });

  it("stays at the last edge", () => {
    expect(neighbourOf(layout, 0, "left", 11)).toBe(0);
    expect(neighbourOf(layout, 10, "right", 11)).toBe(10);
    expect(neighbourOf(layout, 1, "up", 11)).toBe(1);
    expect(neighbourOf(layout, 10, "down", 11)).toBe(10);
  });
});
