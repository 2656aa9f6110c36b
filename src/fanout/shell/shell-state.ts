import type { Layout } from "./layout.ts";
import type { LineEditor } from "./line-editor.ts";
import type { Pane } from "./pane.ts";

/** Where typed keys go. */
export type ShellMode =
  /** To the hosts. */
  | { readonly kind: "keys" }
  /** The key behind the escape key; afterwards keys go where they went before. */
  | {
      readonly kind: "command";
      readonly from: ShellMode;
      /** Whether the focus was just moved: it can be moved on, and any other key ends this. */
      readonly isRepeating: boolean;
    }
  | { readonly kind: "help" }
  /** Looking back in the pane that has the focus. */
  | { readonly kind: "scroll" }
  /** A line for the hosts' terminals. */
  | { readonly kind: "line" }
  /** A line whose answers are folded. */
  | { readonly kind: "fold" }
  /** A pattern that says whom to type to, or whom to mute. */
  | { readonly kind: "pattern"; readonly for: "select" | "mute"; readonly editor: LineEditor };

/** All that is to be seen of a shell, beside the panes' own screens. */
export interface ShellState {
  readonly panes: readonly Pane[];
  columns: number;
  rows: number;
  layout: Layout;
  /** Panes on a page at most. */
  maxPerPage: number | undefined;
  mode: ShellMode;
  /** An index into the panes. */
  focus: number;
  zoomed: boolean;
  readonly selected: Set<string>;
  readonly muted: Set<string>;
  readonly lagging: Set<string>;
  readonly differing: Set<string>;
  /** Said for a while at the bottom. */
  notice: string | undefined;
}

/** The hosts' panes that get what is typed: selected, not muted, and there. */
export function receivers({ panes, selected, muted }: ShellState): readonly Pane[] {
  return panes.filter(
    ({ name, session }) => session.state.kind === "open" && selected.has(name) && !muted.has(name),
  );
}

/** The pane that has the focus. */
export function focusedPane({ panes, focus }: ShellState): Pane {
  return panes[focus]!;
}

/** Those that can be seen now, in the order of their places. */
export function visiblePanes(state: ShellState): readonly Pane[] {
  const { panes, layout, focus, zoomed } = state;
  if (zoomed) return [focusedPane(state)];
  const first = focus - (focus % layout.perPage);
  return panes.slice(first, first + layout.perPage);
}

/** What is to be noticed of a pane, the weightiest first. */
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

/** Looks again and again at which hosts lag and which differ. */
interface MarkWatch {
  stop(): void;
}

const LOOK_MS = 250;
/** Screens that are still being drawn are not compared, unless they never rest. */
const QUIET_MS = 300;
const COMPARE_MS = 2_000;

/** Keeps the marks of a state up to date, and tells when one has changed. */
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

/** A pane of another size, as one that is zoomed, shows the same in another way. */
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

/** What is known of a host when its screen is judged. */
interface ScreenSample {
  readonly host: string;
  /** Other names it shows of itself: what its prompt or its window title says. */
  readonly aliases: readonly string[];
  readonly lines: readonly string[];
}

/** What is known of a host when its pace is judged; times in milliseconds of one clock, undefined: never. */
interface PaceSample {
  readonly host: string;
  readonly inputAt: number | undefined;
  readonly outputAt: number | undefined;
  /** Bytes typed that its connection has not taken yet. */
  readonly pendingBytes: number;
}

/** After this long without an answer that others gave, a host lags. */
export const LAG_MS = 1_000;

const MIN_NAME = 3;

/**
 * The hosts whose screens differ from what most show; none where no screen is that of more than half. Where each shows
 * its own name they do not differ, nor in how many blanks stand between words.
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
  // A host that shows another's name is like that one, but not like most.
  const usual = large.filter((shown) => isMost(large.filter((other) => isSame(shown, other)).length));
  if (!isMost(usual.length)) return new Set();
  const same = new Set(usual.map(({ host }) => host));
  return new Set(samples.map(({ host }) => host).filter((host) => !same.has(host)));
}

/** A screen, with the names of hosts taken out of it. */
interface Shown {
  readonly host: string;
  readonly own: ReadonlySet<string>;
  readonly text: string;
  /** Those that were taken out, in order. */
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

/** The hosts that have not answered what was typed while more than half of the others have, or do not take it in. */
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
