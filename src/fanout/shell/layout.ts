import type { Area } from "./cells.ts";

/** The grid of panes. All panes have the same size, so that their screens can be compared. */
export interface Layout {
  /** Panes on one page. */
  readonly perPage: number;
  readonly pages: number;
  /** Panes per row. */
  readonly across: number;
  /** Panes per column. */
  readonly down: number;
  /** Size of each pane's terminal, without its title line. */
  readonly paneColumns: number;
  readonly paneRows: number;
}

/** Options of {@link layoutOf}. */
export interface LayoutOptions {
  readonly panes: number;
  /** Room for panes, in cells. */
  readonly columns: number;
  readonly rows: number;
  /** Panes on one page at most. Default: as many as fit. */
  readonly maxPerPage?: number;
}

/** Least width of a usable shell; smaller screens show one pane per page. */
export const MIN_PANE_COLUMNS = 24;
/** Least height of a usable shell, without its title line. */
export const MIN_PANE_ROWS = 5;

/** Rows below the panes, for the status line. */
export const STATUS_ROWS = 1;

const TITLE_ROWS = 1;
const SEPARATOR_COLUMNS = 1;
/** Usual ratio of a terminal's columns to its rows. */
const USUAL_RATIO = 80 / 24;

/** Lay panes out in a grid, on as many pages as needed. */
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

/** Return the area of a pane's terminal by its place on the page; the title line is the row above. */
export function paneArea(layout: Layout, place: number): Area {
  const { across, paneColumns, paneRows } = layout;
  return {
    column: (place % across) * (paneColumns + SEPARATOR_COLUMNS),
    row: Math.floor(place / across) * (paneRows + TITLE_ROWS) + TITLE_ROWS,
    columns: paneColumns,
    rows: paneRows,
  };
}

/** Return the area of a zoomed pane. */
export function zoomedArea(columns: number, rows: number): Area {
  return {
    column: 0,
    row: TITLE_ROWS,
    columns: Math.max(2, columns),
    rows: Math.max(1, rows - TITLE_ROWS),
  };
}

/** Return the pane in a direction, across pages; the same pane at the last edge. */
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
