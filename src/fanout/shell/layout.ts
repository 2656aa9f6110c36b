import type { Area } from "./cells.ts";

/** How panes lie on the screen. Every pane of a fleet has the same size, so that their screens can be compared. */
export interface Layout {
  /** Panes on one page. */
  readonly perPage: number;
  readonly pages: number;
  /** Panes beside each other. */
  readonly across: number;
  /** Panes above each other. */
  readonly down: number;
  /** The terminal in each pane, its title line not counted. */
  readonly paneColumns: number;
  readonly paneRows: number;
}

/** What a layout is made for. */
export interface LayoutOptions {
  readonly panes: number;
  /** The room for panes, in cells. */
  readonly columns: number;
  readonly rows: number;
  /** Panes on one page at most. Default: as many as fit. */
  readonly maxPerPage?: number;
}

/** The least a shell can be used in; smaller screens show one pane a page. */
export const MIN_PANE_COLUMNS = 24;
/** The least a shell can be used in, its title line not counted. */
export const MIN_PANE_ROWS = 5;

/** Rows below the panes, for the status line. */
export const STATUS_ROWS = 1;

const TITLE_ROWS = 1;
const SEPARATOR_COLUMNS = 1;
/** How much wider than high, in cells, a terminal usually is. */
const USUAL_RATIO = 80 / 24;

/** Lays panes out in a grid; those that do not fit go on further pages. */
export function layoutOf({ panes, columns, rows, maxPerPage }: LayoutOptions): Layout {
  const mostAcross = Math.max(
    1,
    Math.floor((columns + SEPARATOR_COLUMNS) / (MIN_PANE_COLUMNS + SEPARATOR_COLUMNS)),
  );
  const mostDown = Math.max(1, Math.floor(rows / (MIN_PANE_ROWS + TITLE_ROWS)));
  const onPage = Math.max(1, Math.min(panes, maxPerPage ?? panes, mostAcross * mostDown));
  let best: Layout | undefined;
  let bestCost = Number.POSITIVE_INFINITY;
  for (let across = 1; across <= Math.min(mostAcross, onPage); across++) {
    const down = Math.ceil(onPage / across);
    if (down > mostDown) continue;
    const paneColumns = Math.floor((columns - (across - 1) * SEPARATOR_COLUMNS) / across);
    const paneRows = Math.floor(rows / down) - TITLE_ROWS;
    const unused = (across * down - onPage) / (across * down);
    const cost = Math.abs(Math.log(paneColumns / Math.max(1, paneRows) / USUAL_RATIO)) + unused;
    if (cost >= bestCost) continue;
    bestCost = cost;
    best = {
      perPage: onPage,
      pages: Math.max(1, Math.ceil(panes / onPage)),
      across,
      down,
      paneColumns: Math.max(2, paneColumns),
      paneRows: Math.max(1, paneRows),
    };
  }
  return best!;
}

/** Where the terminal of the pane at a place of its page lies; its title line is the row above. */
export function paneArea(layout: Layout, place: number): Area {
  const { across, paneColumns, paneRows } = layout;
  return {
    column: (place % across) * (paneColumns + SEPARATOR_COLUMNS),
    row: Math.floor(place / across) * (paneRows + TITLE_ROWS) + TITLE_ROWS,
    columns: paneColumns,
    rows: paneRows,
  };
}

/** Where a pane alone on the screen lies. */
export function zoomedArea(columns: number, rows: number): Area {
  return {
    column: 0,
    row: TITLE_ROWS,
    columns: Math.max(2, columns),
    rows: Math.max(1, rows - TITLE_ROWS),
  };
}

/** The pane that lies in a direction, from page to page where the edge is reached; the same one at the last edge. */
export function neighbourOf(
  { perPage, across }: Layout,
  pane: number,
  direction: "up" | "down" | "left" | "right",
  panes: number,
): number {
  const place = pane % perPage;
  const page = pane - place;
  const to = ((): number => {
    switch (direction) {
      case "left":
        return pane - 1;
      case "right":
        return pane + 1;
      case "up":
        return place - across >= 0 ? pane - across : pane;
      case "down":
        return place + across < perPage ? Math.min(pane + across, page + perPage - 1) : pane;
    }
  })();
  return to < 0 || to >= panes ? pane : to;
}
