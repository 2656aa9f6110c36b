import type { Area } from "./cells.ts";
import type { LineEditor } from "./line-editor.ts";
import type { Pane } from "./pane.ts";

// The state of the shell: panes and who receives keys, marks of hosts that lag or differ, and the layout of panes.

/** The mode, which decides where typed keys go. */
export type ShellMode =
  /** Keys go to the hosts. */
  | { readonly kind: "keys" }
  /** The next key is a command, because the escape key was pressed; afterwards `from` is restored. */
  | {
      readonly kind: "command";
      readonly from: ShellMode;
      /** The focus was just moved: further keys may move it on, any other key ends this mode. */
      readonly isRepeating: boolean;
    }
  | { readonly kind: "help" }
  /** Keys scroll the focused pane. */
  | { readonly kind: "scroll" }
  /** Keys edit a line for the hosts' terminals. */
  | { readonly kind: "line" }
  /** Keys edit a line whose answers are folded. */
  | { readonly kind: "fold" }
  /** Keys edit a pattern of hosts to type to, or to mute. */
  | { readonly kind: "pattern"; readonly for: "select" | "mute"; readonly editor: LineEditor };

/** The visible state of the shell, besides the panes' own screens. */
export interface ShellState {
  readonly panes: readonly Pane[];
  columns: number;
  rows: number;
  layout: Layout;
  /** Most panes on a page. */
  maxPerPage: number | undefined;
  mode: ShellMode;
  /** Index of the focused pane. */
  focus: number;
  zoomed: boolean;
  readonly selected: Set<string>;
  readonly muted: Set<string>;
  readonly lagging: Set<string>;
  readonly differing: Set<string>;
  /** A message at the bottom, for a while. */
  notice: string | undefined;
}

/** List the panes that receive typed keys: open, selected and not muted. */
export function receivers({ panes, selected, muted }: ShellState): readonly Pane[] {
  return panes.filter(
    ({ name, session }) => session.state.kind === "open" && selected.has(name) && !muted.has(name),
  );
}

/** Return the focused pane. */
export function focusedPane({ panes, focus }: ShellState): Pane {
  return panes[focus]!;
}

/** List the visible panes, in the order of their places. */
export function visiblePanes(state: ShellState): readonly Pane[] {
  const { panes, layout, focus, zoomed } = state;
  if (zoomed) return [focusedPane(state)];
  const first = focus - (focus % layout.perPage);
  return panes.slice(first, first + layout.perPage);
}

/** List the marks of a pane, most important first. */
export function marksOf(state: ShellState, pane: Pane): readonly string[] {
  const { name, session, bell, recording } = pane;
  return [
    ...(session.state.kind === "dropped" ? ["gone"] : []),
    ...(session.state.kind === "ended" ? ["ended"] : []),
    ...(session.state.kind === "connecting" || session.state.kind === "waiting" ? ["connecting"] : []),
    ...(state.muted.has(name) ? ["muted"] : []),
    ...(state.lagging.has(name) ? ["lags"] : []),
    ...(state.differing.has(name) ? ["differs"] : []),
    ...(bell ? ["bell"] : []),
    ...(recording === undefined ? [] : ["rec"]),
  ];
}

/** A timer that looks for hosts that lag or differ. */
interface MarkWatch {
  stop(): void;
}

const LOOK_MS = 250;
/** Screens are compared after this time without output, or every COMPARE_MS. */
const QUIET_MS = 300;
const COMPARE_MS = 2_000;

/** Keep the marks of a state up to date, and call `changed` after a change. */
export function watchMarks(state: ShellState, changed: () => void): MarkWatch {
  let comparedAt = 0;
  let compared = "";
  const look = (): void => {
    const now = performance.now();
    const panes = state.panes.filter(
      ({ name, session }) => session.state.kind === "open" && !state.muted.has(name),
    );
    const samples = panes.map(({ name, inputAt, outputAt, session }) => ({
      host: name,
      inputAt,
      outputAt,
      pendingBytes: session.pendingBytes,
    }));
    let hasChanged = replace(state.lagging, laggingHosts(samples, now));
    const lastOutput = Math.max(0, ...samples.map(({ outputAt }) => outputAt ?? 0));
    const { paneColumns, paneRows } = state.layout;
    const key = [lastOutput, paneColumns, paneRows, state.zoomed, ...panes.map(({ name }) => name)].join();
    if (key !== compared && (now - lastOutput >= QUIET_MS || now - comparedAt >= COMPARE_MS)) {
      [comparedAt, compared] = [now, key];
      hasChanged = replace(state.differing, compare(state)) || hasChanged;
    }
    if (hasChanged) changed();
  };
  const timer = setInterval(look, LOOK_MS);
  return { stop: () => clearInterval(timer) };
}

/** Compare the open panes of equal size: a zoomed pane wraps the same text in another way. */
function compare({ panes, muted, layout }: ShellState): ReadonlySet<string> {
  const comparable = panes.filter(
    ({ name, session, emulator }) =>
      session.state.kind === "open" &&
      !muted.has(name) &&
      emulator.size.columns === layout.paneColumns &&
      emulator.size.rows === layout.paneRows,
  );
  return differingHosts(
    comparable.map(({ name, alias, emulator }) => ({
      host: name,
      aliases: alias === undefined ? [] : [alias],
      lines: emulator.text(),
    })),
  );
}

function replace(set: Set<string>, next: ReadonlySet<string>): boolean {
  if (set.size === next.size && [...next].every((name) => set.has(name))) return false;
  set.clear();
  for (const name of next) set.add(name);
  return true;
}

/** A host's screen, for the comparison of screens. */
interface ScreenSample {
  readonly host: string;
  /** Other names of the host, from its window title. */
  readonly aliases: readonly string[];
  readonly lines: readonly string[];
}

/** A host's last input and output, for the comparison of pace; times in milliseconds, undefined for never. */
interface PaceSample {
  readonly host: string;
  readonly inputAt: number | undefined;
  readonly outputAt: number | undefined;
  /** Typed bytes that its connection has not taken yet. */
  readonly pendingBytes: number;
}

/** A host lags after this time without an answer that other hosts gave. */
export const LAG_MS = 1_000;

const MIN_NAME = 3;

/**
 * List the hosts whose screens differ from the majority's; none without a majority. A host's own name, and the number
 * of blanks between words, are no differences.
 */
export function differingHosts(samples: readonly ScreenSample[]): ReadonlySet<string> {
  const names = new Set(samples.flatMap((sample) => [...namesOf(sample)]));
  const groups = new Map<string, Shown[]>();
  for (const sample of samples) {
    const shown = readScreen(sample, names);
    groups.set(shown.text, [...(groups.get(shown.text) ?? []), shown]);
  }
  const isMost = (number: number): boolean => number * 2 > samples.length;
  const large = [...groups.values()].find((group) => isMost(group.length)) ?? [];
  // A host that shows another host's name equals that host, but not the majority.
  const usual = large.filter((shown) => isMost(large.filter((other) => isSame(shown, other)).length));
  if (!isMost(usual.length)) return new Set();
  const same = new Set(usual.map(({ host }) => host));
  return new Set(samples.map(({ host }) => host).filter((host) => !same.has(host)));
}

/** A screen, without names of hosts. */
interface Shown {
  readonly host: string;
  readonly own: ReadonlySet<string>;
  readonly text: string;
  /** The removed names, in order. */
  readonly names: readonly string[];
}

function readScreen(sample: ScreenSample, known: ReadonlySet<string>): Shown {
  const names: string[] = [];
  const text = sample.lines
    .join("\n")
    .trimEnd()
    .replace(/[ \t]+/g, " ")
    .replace(/\w[\w.-]*/g, (word) => {
      if (!known.has(word)) return word;
      names.push(word);
      return "\0";
    });
  return { host: sample.host, own: namesOf(sample), text, names };
}

function isSame(one: Shown, other: Shown): boolean {
  return one.names.every((name, index) => {
    const its = other.names[index]!;
    return name === its || (one.own.has(name) && other.own.has(its));
  });
}

function namesOf({ host, aliases }: ScreenSample): ReadonlySet<string> {
  return new Set([host, host.split(".")[0]!, ...aliases].filter((name) => name.length >= MIN_NAME));
}

/** List the hosts that do not read their input, or have not answered it while more than half of the others have. */
export function laggingHosts(samples: readonly PaceSample[], now: number): ReadonlySet<string> {
  const typed = samples.filter(({ inputAt }) => inputAt !== undefined);
  const isSilent = ({ inputAt, outputAt, pendingBytes }: PaceSample): boolean =>
    now - inputAt! >= LAG_MS && (pendingBytes > 0 || outputAt === undefined || outputAt < inputAt!);
  const hasAnswered = ({ inputAt, outputAt }: PaceSample): boolean =>
    outputAt !== undefined && outputAt >= inputAt!;
  const answered = typed.filter(hasAnswered).length;
  return new Set(
    typed
      .filter((sample) => {
        if (!isSilent(sample)) return false;
        const others = typed.length - 1;
        return sample.pendingBytes > 0 || (others > 0 && answered * 2 > others);
      })
      .map(({ host }) => host),
  );
}

/** The grid of panes. All panes have the same size, so that their screens can be compared. */
interface Layout {
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
interface LayoutOptions {
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
