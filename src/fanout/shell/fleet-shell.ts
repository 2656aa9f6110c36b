import { setMaxListeners } from "node:events";
import type { FanOutHost } from "../exec/fan-out.ts";
import { type ColorDepth, safeText, type WidthOf } from "./cells.ts";
import {
  applyLayout,
  applyPattern,
  type CommandContext,
  commandOf,
  REPEATED,
  runCommand,
} from "./commands.ts";
import { createFoldScreen, type FoldScreen } from "./fold-view.ts";
import { createInputParser, type EscapeKey, type InputToken } from "./input.ts";
import { createLineEditor, type EditResult, type LineEditor } from "./line-editor.ts";
import { createPane, type Pane } from "./pane.ts";
import { createPainter, type TerminalStreams, takeTerminal } from "./screen.ts";
import {
  focusedPane,
  layoutOf,
  receivers,
  type ShellMode,
  type ShellState,
  watchMarks,
} from "./shell-state.ts";
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

/** The parts of the shell that keys can reach. */
interface RouterContext extends CommandContext {
  readonly escapeKey: EscapeKey;
  readonly lineEditor: LineEditor;
  readonly foldEditor: LineEditor;
  readonly fold: FoldScreen;
}

const KEYS: ShellMode = { kind: "keys" };
const MAX_CANDIDATES = 50;

/** Pass each key to the hosts, a command or a line editor, by the mode. */
function routeInput(tokens: readonly InputToken[], context: RouterContext): void {
  const { state, escapeKey } = context;
  let typed: InputToken[] = [];
  const send = (): void => {
    if (typed.length > 0) sendKeys(typed, context);
    typed = [];
  };
  for (const token of tokens) {
    const isEscape = token.kind === "key" && token.bytes.length === 1 && token.bytes[0] === escapeKey.byte;
    if (!isEscape && state.mode.kind === "keys") {
      typed.push(token);
      continue;
    }
    send();
    if (isEscape && state.mode.kind === "command" && !state.mode.isRepeating) {
      state.mode = state.mode.from;
      sendKeys([token], context);
    } else if (isEscape) beginCommand(context);
    else handleToken(token, context);
  }
  send();
}

function beginCommand({ state }: RouterContext): void {
  const { mode } = state;
  if (mode.kind === "scroll") focusedPane(state).offset = 0;
  state.notice = undefined;
  const from = mode.kind === "line" || mode.kind === "fold" ? mode : KEYS;
  state.mode = { kind: "command", from, isRepeating: false };
}

function sendKeys(tokens: readonly InputToken[], { state, escapeKey, notify }: RouterContext): void {
  const panes = receivers(state);
  if (panes.length === 0) notify(`typing to none: ${escapeKey.label} a types to all`);
  for (const pane of panes) pane.send(tokens);
}

function handleToken(token: InputToken, context: RouterContext): void {
  const { state, notify, escapeKey } = context;
  const { mode } = state;
  switch (mode.kind) {
    case "keys":
      return;
    case "command": {
      const command = commandOf(token);
      if (mode.isRepeating && (command === undefined || !REPEATED.has(command))) {
        state.mode = mode.from;
        // Escape only ends this mode.
        if (command !== "leave") routeInput([token], context);
        return;
      }
      if (command !== undefined) return runCommand(command, mode.from, context);
      state.mode = mode.from;
      return notify(`no command; ${escapeKey.label} ? shows what there is`);
    }
    case "help":
      state.mode = KEYS;
      return;
    case "scroll":
      return scrollPane(token, context);
    case "line":
      return handleLine(context.lineEditor.handle(token), context);
    case "fold":
      return handleFold(token, context);
    case "pattern": {
      const result = mode.editor.handle(token);
      if (result.kind === "candidates") return showCandidates(result.words, context);
      if (result.kind === "entered" || result.kind === "left") state.mode = KEYS;
      if (result.kind === "entered") applyPattern(result.line, mode.for, context);
      return;
    }
    default:
      return mode satisfies never;
  }
}

function scrollPane(token: InputToken, { state }: RouterContext): void {
  const pane = focusedPane(state);
  const { rows } = pane.emulator.size;
  const most = pane.emulator.scrollback;
  const by = token.kind === "key" ? scrollDistance(token, rows, most) : undefined;
  if (by === undefined) {
    pane.offset = 0;
    state.mode = KEYS;
  } else pane.offset = Math.min(most, Math.max(0, pane.offset + by));
}

function scrollDistance(
  { name, text }: Extract<InputToken, { kind: "key" }>,
  rows: number,
  most: number,
): number | undefined {
  const page = Math.max(1, rows - 1);
  const distances: Readonly<Record<string, number>> = {
    up: 1,
    k: 1,
    down: -1,
    j: -1,
    pageUp: page,
    "ctrl-b": page,
    pageDown: -page,
    "ctrl-f": -page,
    " ": -page,
    home: most,
    g: most,
    end: -most,
    G: -most,
  };
  return distances[name ?? text ?? ""];
}

function handleLine(result: EditResult, context: RouterContext): void {
  const { state, escapeKey, notify } = context;
  if (result.kind === "left") state.mode = KEYS;
  if (result.kind === "candidates") showCandidates(result.words, context);
  if (result.kind !== "entered") return;
  const panes = receivers(state);
  if (panes.length === 0) notify(`typing to none: ${escapeKey.label} a types to all`);
  for (const pane of panes) pane.sendText(`${result.line.replaceAll("\n", "\r")}\r`);
}

function handleFold(token: InputToken, context: RouterContext): void {
  const { state, fold, foldEditor, notify } = context;
  const page = Math.max(1, fold.emulator.size.rows - 1);
  if (token.kind === "key" && token.name === "pageUp") return fold.scroll(page);
  if (token.kind === "key" && token.name === "pageDown") return fold.scroll(-page);
  if (token.kind === "key" && token.name === "ctrl-c" && fold.isRunning) return fold.cancel();
  if (token.kind === "key" && token.name === "enter" && fold.isRunning)
    return notify("the line before is still running; Ctrl-C ends it");
  const result = foldEditor.handle(token);
  if (result.kind === "left") state.mode = KEYS;
  if (result.kind === "candidates") showCandidates(result.words, context);
  if (result.kind !== "entered" || result.line.trim() === "") return;
  const panes = receivers(state);
  if (panes.length === 0) return notify("there is no host to run it on");
  void fold.run(result.line, panes).catch((thrown: unknown) => notify(String(thrown)));
}

function showCandidates(words: readonly string[], { notify }: RouterContext): void {
  const more = words.length > MAX_CANDIDATES ? " …" : "";
  notify(words.slice(0, MAX_CANDIDATES).join("  ") + more);
}
