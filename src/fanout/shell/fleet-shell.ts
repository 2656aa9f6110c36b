import { setMaxListeners } from "node:events";
import type { FanOutHost } from "../exec/exec-host.ts";
import { type ColorDepth, safeText, type WidthOf } from "./cells.ts";
import { applyLayout } from "./commands.ts";
import { createFoldScreen } from "./fold-view.ts";
import { createInputParser, type EscapeKey } from "./input.ts";
import { routeInput } from "./input-router.ts";
import { layoutOf } from "./layout.ts";
import { createLineEditor } from "./line-editor.ts";
import { createPane, type Pane } from "./pane.ts";
import { createPainter, type TerminalStreams, takeTerminal } from "./screen.ts";
import { type ShellState, watchMarks } from "./shell-state.ts";
import { composeFrame } from "./view.ts";

/** Options of {@link runFleetShell}. */
export interface FleetShellOptions extends TerminalStreams {
  readonly hosts: readonly FanOutHost[];
  readonly escapeKey: EscapeKey;
  /** Number of hosts to connect to at a time. */
  readonly forks: number;
  /** Lines to keep above each host's screen. */
  readonly scrollback: number;
  /** Most panes on a page. Default: as many as fit. */
  readonly maxPerPage?: number;
  readonly recordDirectory: string;
  /** Record every host from the start. */
  readonly recordAll: boolean;
  readonly widthOf: WidthOf;
  readonly depth: ColorDepth;
  /** The terminal shows ASCII only. */
  readonly ascii: boolean;
  /** Words for completion in line editors. */
  readonly words: readonly string[];
  /** Return the hosts of a pattern. Fails with `PATTERN_UNKNOWN`. */
  readonly select: (pattern: string) => readonly string[];
  /** Closes the shell. */
  readonly signal: AbortSignal;
}

/** The end of the shell. */
export interface FleetShellEnd {
  /** Number of hosts on which a shell was opened. */
  readonly reached: number;
  /** Hosts without a connection at the end, and why. */
  readonly gone: readonly { readonly host: string; readonly reason: string }[];
}

const NOTICE_MS = 4_000;
const RESIZE_MS = 50;
/** After ESC, the rest of a key's sequence arrives within this time. */
const SEQUENCE_MS = 40;
const BELL_MS = 1_000;
const BELL = "\x07";

/** Open a login shell on every host, and connect the terminal to them until the user quits or all shells have ended. */
export async function runFleetShell(options: FleetShellOptions): Promise<FleetShellEnd> {
  const { hosts, stdin, stdout, escapeKey, forks, scrollback, widthOf, depth, ascii, words, signal } =
    options;
  const connecting = new AbortController();
  // Every connecting host listens.
  setMaxListeners(0, connecting.signal);
  const reached = new Set<string>();
  const history: string[] = [];
  const lineEditor = createLineEditor({ history, words, keepsLines: true });
  const foldEditor = createLineEditor({ history, words, keepsLines: true });
  let noticeTimer: NodeJS.Timeout | undefined;
  let rangAt = Number.NEGATIVE_INFINITY;
  let finish!: () => void;
  const finished = new Promise<void>((resolve) => {
    finish = resolve;
  });

  const size = { columns: Math.max(1, stdout.columns), rows: Math.max(2, stdout.rows) };
  const layout = layoutOf({
    panes: hosts.length,
    columns: size.columns,
    rows: size.rows,
    ...(options.maxPerPage === undefined ? {} : { maxPerPage: options.maxPerPage }),
  });
  const changed = (): void => {
    painter?.invalidate();
  };
  const sessionChanged = (): void => {
    changed();
    for (const { name, session } of panes) if (session.state.kind === "open") reached.add(name);
    const states = panes.map(({ session }) => session.state.kind);
    const isOver = states.every((kind) => kind === "ended" || kind === "dropped");
    // A lost connection can be reopened.
    if (isOver && (reached.size === 0 || !states.includes("dropped"))) finish();
  };
  const panes: readonly Pane[] = hosts.map((host) =>
    createPane({
      host,
      columns: layout.paneColumns,
      rows: layout.paneRows,
      scrollback,
      widthOf,
      changed: () => sessionChanged(),
      rang: () => {
        if (performance.now() - rangAt < BELL_MS) return;
        rangAt = performance.now();
        screen.output.write(BELL);
      },
      signal: connecting.signal,
    }),
  );
  const state: ShellState = {
    panes,
    ...size,
    layout,
    maxPerPage: options.maxPerPage,
    mode: { kind: "keys" },
    focus: 0,
    zoomed: false,
    selected: new Set(hosts.map(({ name }) => name)),
    muted: new Set(),
    lagging: new Set(),
    differing: new Set(),
    notice: undefined,
  };
  applyLayout(state);
  if (options.recordAll) for (const pane of panes) await pane.record(options.recordDirectory);

  const screen = takeTerminal({ stdin, stdout });
  const fold = createFoldScreen({ ...size, rows: Math.max(1, size.rows - 1), widthOf, changed });
  const view = { widthOf, escapeLabel: escapeKey.label, lineEditor, foldEditor, fold };
  const painter = createPainter(screen.output, () => composeFrame(state, view), { depth, ascii });
  const notify = (text: string): void => {
    state.notice = safeText(text);
    clearTimeout(noticeTimer);
    noticeTimer = setTimeout(() => {
      state.notice = undefined;
      changed();
    }, NOTICE_MS);
    changed();
  };
  const open = async (wanted: readonly Pane[]): Promise<void> => {
    const waiting = [...wanted];
    const work = async (): Promise<void> => {
      for (let pane = waiting.shift(); pane !== undefined; pane = waiting.shift()) await pane.open();
    };
    await Promise.all(Array.from({ length: Math.min(forks, wanted.length) }, work));
  };
  const context = {
    state,
    escapeKey,
    lineEditor,
    foldEditor,
    fold,
    words,
    select: options.select,
    recordDirectory: options.recordDirectory,
    notify,
    redraw: () => painter.redraw(),
    quit: finish,
    open: (wanted: readonly Pane[]) => void open(wanted),
  };

  const parser = createInputParser();
  let sequenceTimer: NodeJS.Timeout | undefined;
  const onInput = (chunk: Buffer | string): void => {
    clearTimeout(sequenceTimer);
    // An earlier screen of ink's has set an encoding on stdin, which cannot be undone.
    routeInput(parser.feed(typeof chunk === "string" ? Buffer.from(chunk) : chunk), context);
    if (parser.isPending) {
      sequenceTimer = setTimeout(() => {
        routeInput(parser.flush(), context);
        changed();
      }, SEQUENCE_MS);
    }
    changed();
  };
  let resizeTimer: NodeJS.Timeout | undefined;
  const onResize = (): void => {
    clearTimeout(resizeTimer);
    resizeTimer = setTimeout(() => {
      state.columns = Math.max(1, stdout.columns);
      state.rows = Math.max(2, stdout.rows);
      applyLayout(state);
      fold.resize({ columns: Math.max(2, state.columns), rows: Math.max(1, state.rows - 1) });
      painter.redraw();
    }, RESIZE_MS);
  };
  // After SIGSTOP and SIGCONT: another program has used the terminal meanwhile.
  const onContinue = (): void => {
    screen.enter();
    painter.redraw();
  };
  const marks = watchMarks(state, changed);
  signal.addEventListener("abort", finish, { once: true });
  // An earlier password prompt has paused stdin.
  stdin.on("data", onInput).on("end", finish).on("error", finish).resume();
  stdin.ref();
  stdout.on("resize", onResize);
  process.on("SIGCONT", onContinue);
  try {
    painter.invalidate();
    void open(panes);
    if (signal.aborted) finish();
    await finished;
    return {
      reached: reached.size,
      gone: panes.flatMap(({ name, session }) =>
        session.state.kind === "dropped" ? [{ host: name, reason: session.state.reason }] : [],
      ),
    };
  } finally {
    painter.stop();
    screen.leave();
    marks.stop();
    for (const timer of [noticeTimer, sequenceTimer, resizeTimer]) clearTimeout(timer);
    signal.removeEventListener("abort", finish);
    stdin.off("data", onInput).off("end", finish).pause();
    // A lost terminal may report its error later.
    if (!signal.aborted) stdin.off("error", finish);
    stdout.off("resize", onResize);
    process.off("SIGCONT", onContinue);
    connecting.abort();
    fold.close();
    await Promise.all(panes.map((pane) => pane.close()));
  }
}
