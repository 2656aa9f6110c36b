import { describeError } from "../../core/errors.ts";
import { formatNodeSet } from "../../patterns/names.ts";
import type { InputToken, KeyName } from "./input.ts";
import { createLineEditor } from "./line-editor.ts";
import type { Pane } from "./pane.ts";
import {
  focusedPane,
  layoutOf,
  marksOf,
  neighbourOf,
  type ShellMode,
  type ShellState,
  STATUS_ROWS,
  zoomedArea,
} from "./shell-state.ts";

/** The commands behind the escape key. */
type ShellCommand =
  | "next-page"
  | "previous-page"
  | "focus-up"
  | "focus-down"
  | "focus-left"
  | "focus-right"
  | "focus-marked"
  | "zoom"
  | "more-panes"
  | "fewer-panes"
  | "toggle-selected"
  | "select-all"
  | "select-none"
  | "select-only"
  | "select-pattern"
  | "toggle-muted"
  | "mute-pattern"
  | "unmute-all"
  | "line-mode"
  | "fold-mode"
  | "scroll"
  | "reconnect"
  | "reconnect-all"
  | "record"
  | "record-all"
  | "redraw"
  | "help"
  | "quit"
  | "leave";

/** A command with its keys. */
interface CommandKey {
  readonly command: ShellCommand;
  /** Characters and names of keys that run the command. */
  readonly keys: readonly (string | KeyName)[];
  /** The keys as help shows them; empty for a command explained by the one before. */
  readonly label: string;
  readonly help: string;
}

/** All commands, in the order of the help. */
export const COMMAND_KEYS: readonly CommandKey[] = [
  { command: "focus-up", keys: ["up"], label: "arrows", help: "focus another pane" },
  { command: "focus-down", keys: ["down"], label: "", help: "" },
  { command: "focus-left", keys: ["left"], label: "", help: "" },
  { command: "focus-right", keys: ["right"], label: "", help: "" },
  { command: "focus-marked", keys: ["tab"], label: "Tab", help: "focus the next marked pane" },
  { command: "next-page", keys: ["n", "pageDown"], label: "n p", help: "show the next, previous page" },
  { command: "previous-page", keys: ["p", "pageUp"], label: "", help: "" },
  { command: "zoom", keys: ["z"], label: "z", help: "zoom this pane, or all again" },
  { command: "more-panes", keys: ["+", "="], label: "+ -", help: "show more, fewer panes a page" },
  { command: "fewer-panes", keys: ["-"], label: "", help: "" },
  { command: "scroll", keys: ["["], label: "[", help: "scroll this pane" },
  { command: "select-all", keys: ["a"], label: "a", help: "type to all" },
  { command: "select-only", keys: ["o"], label: "o", help: "type to this one only" },
  { command: "toggle-selected", keys: ["s"], label: "s", help: "toggle typing to this one" },
  { command: "select-none", keys: ["x"], label: "x", help: "type to none" },
  { command: "select-pattern", keys: ["/"], label: "/", help: "type to hosts of a pattern" },
  { command: "toggle-muted", keys: ["m"], label: "m", help: "mute or unmute this one" },
  { command: "mute-pattern", keys: ["M"], label: "M", help: "mute hosts of a pattern" },
  { command: "unmute-all", keys: ["u"], label: "u", help: "unmute all" },
  { command: "line-mode", keys: ["l"], label: "l", help: "line mode: edit, then send" },
  { command: "fold-mode", keys: ["f"], label: "f", help: "fold mode: group same answers" },
  { command: "reconnect", keys: ["r"], label: "r R", help: "reconnect this one, all" },
  { command: "reconnect-all", keys: ["R"], label: "", help: "" },
  { command: "record", keys: ["c"], label: "c C", help: "record this one, all; or stop" },
  { command: "record-all", keys: ["C"], label: "", help: "" },
  { command: "redraw", keys: ["ctrl-l"], label: "Ctrl-L", help: "redraw the screen" },
  { command: "help", keys: ["?", "h"], label: "?", help: "show this help" },
  { command: "quit", keys: ["q"], label: "q", help: "close all sessions and quit" },
  { command: "leave", keys: ["escape", "enter", "ctrl-c"], label: "", help: "" },
];

/** Commands that may be repeated without the escape key, because their keys type no text. */
export const REPEATED: ReadonlySet<ShellCommand> = new Set([
  "focus-up",
  "focus-down",
  "focus-left",
  "focus-right",
  "focus-marked",
]);

/** Return the command of a key, or undefined. */
export function commandOf(token: InputToken): ShellCommand | undefined {
  if (token.kind !== "key") return undefined;
  const key = token.name ?? token.text;
  return COMMAND_KEYS.find(({ keys }) => key !== undefined && keys.includes(key))?.command;
}

/** The state that commands change, and functions they use. */
export interface CommandContext {
  readonly state: ShellState;
  /** Return the hosts of a pattern. Fails with `PATTERN_UNKNOWN`. */
  readonly select: (pattern: string) => readonly string[];
  readonly words: readonly string[];
  /** Directory of recordings. */
  readonly recordDirectory: string;
  readonly notify: (text: string) => void;
  readonly redraw: () => void;
  readonly quit: () => void;
  readonly open: (panes: readonly Pane[]) => void;
}

const KEYS: ShellMode = { kind: "keys" };

/** Fit the panes into the screen, and send the new sizes to the hosts. */
export function applyLayout(state: ShellState): void {
  const { panes, columns, rows, maxPerPage } = state;
  const room = { columns, rows: Math.max(2, rows - STATUS_ROWS) };
  state.layout = layoutOf({
    panes: panes.length,
    ...room,
    ...(maxPerPage === undefined ? {} : { maxPerPage }),
  });
  const { paneColumns, paneRows } = state.layout;
  const zoomed = zoomedArea(room.columns, room.rows);
  for (const pane of panes) {
    const isZoomed = state.zoomed && pane === focusedPane(state);
    pane.resize(
      isZoomed ? { columns: zoomed.columns, rows: zoomed.rows } : { columns: paneColumns, rows: paneRows },
    );
  }
}

/** Run a command; `from` is the mode before the escape key. */
export function runCommand(command: ShellCommand, from: ShellMode, context: CommandContext): void {
  const { state } = context;
  const mode = state.mode;
  runInMode(command, from, context);
  // A command without a mode of its own restores the earlier mode.
  if (state.mode === mode)
    state.mode = REPEATED.has(command) ? { kind: "command", from, isRepeating: true } : from;
}

function runInMode(command: ShellCommand, from: ShellMode, context: CommandContext): void {
  const { state, notify } = context;
  const pane = focusedPane(state);
  switch (command) {
    case "focus-up":
    case "focus-down":
    case "focus-left":
    case "focus-right": {
      const direction = command.slice("focus-".length) as "up" | "down" | "left" | "right";
      return setFocus(state, neighbourOf(state.layout, state.focus, direction, state.panes.length));
    }
    case "focus-marked":
      return focusMarked(state, notify);
    case "next-page":
      return turnPage(state, 1);
    case "previous-page":
      return turnPage(state, -1);
    case "zoom":
      state.zoomed = !state.zoomed;
      return applyLayout(state);
    case "more-panes":
      return changePanes(state, 1);
    case "fewer-panes":
      return changePanes(state, -1);
    case "toggle-selected":
      return toggle(state.selected, pane.name);
    case "select-all":
      return setAll(
        state.selected,
        state.panes.map(({ name }) => name),
      );
    case "select-none":
      return state.selected.clear();
    case "select-only":
      state.muted.delete(pane.name);
      return setAll(state.selected, [pane.name]);
    case "toggle-muted":
      return toggle(state.muted, pane.name);
    case "unmute-all":
      return state.muted.clear();
    case "select-pattern":
    case "mute-pattern": {
      const editor = createLineEditor({ history: [], words: context.words });
      state.mode = { kind: "pattern", for: command === "select-pattern" ? "select" : "mute", editor };
      return;
    }
    case "line-mode":
    case "fold-mode": {
      const kind = command === "line-mode" ? "line" : "fold";
      state.mode = from.kind === kind ? KEYS : { kind };
      return;
    }
    case "scroll":
      state.mode = { kind: "scroll" };
      return;
    case "help":
      state.mode = { kind: "help" };
      return;
    case "reconnect":
      return reconnect([isGone(pane) ? pane : undefined], context);
    case "reconnect-all":
      return reconnect(state.panes.filter(isGone), context);
    case "record":
      return record([pane], context);
    case "record-all":
      return record(state.panes, context);
    case "redraw":
      return context.redraw();
    case "quit":
      return context.quit();
    case "leave":
      state.mode = from.kind === "command" ? KEYS : from;
      return;
    default:
      return command satisfies never;
  }
}

/** Select or mute the hosts of a pattern. */
export function applyPattern(pattern: string, purpose: "select" | "mute", context: CommandContext): void {
  const { state, select, notify } = context;
  if (pattern.trim() === "") return;
  try {
    const names = select(pattern.trim());
    if (purpose === "select") setAll(state.selected, names);
    else for (const name of names) state.muted.add(name);
  } catch (thrown) {
    notify(describeError(thrown).split("\n")[0]!);
  }
}

function setFocus(state: ShellState, focus: number): void {
  if (focus === state.focus) return;
  focusedPane(state).offset = 0;
  state.focus = focus;
  focusedPane(state).bell = false;
  if (state.zoomed) applyLayout(state);
}

function focusMarked(state: ShellState, notify: (text: string) => void): void {
  const { panes, focus } = state;
  for (let step = 1; step <= panes.length; step++) {
    const index = (focus + step) % panes.length;
    if (marksOf(state, panes[index]!).some((mark) => mark !== "rec" && mark !== "connecting"))
      return setFocus(state, index);
  }
  notify("no pane has a mark");
}

function turnPage(state: ShellState, by: 1 | -1): void {
  const { layout, panes, focus } = state;
  const page = Math.floor(focus / layout.perPage);
  const next = (page + by + layout.pages) % layout.pages;
  if (next !== page) setFocus(state, Math.min(panes.length - 1, next * layout.perPage));
}

function changePanes(state: ShellState, by: 1 | -1): void {
  const before = state.layout.perPage;
  // The same grid may result for a pane more or less: then keep the old number.
  state.maxPerPage = Math.min(state.panes.length, Math.max(1, before + by));
  applyLayout(state);
  if (state.layout.perPage === before) state.maxPerPage = before;
}

function isGone({ session }: Pane): boolean {
  return session.state.kind === "dropped" || session.state.kind === "ended";
}

function reconnect(wanted: readonly (Pane | undefined)[], { state, open, notify }: CommandContext): void {
  const panes = wanted.filter((pane) => pane !== undefined);
  if (panes.length === 0)
    notify(
      state.panes.some(isGone) ? "this host is there; R reconnects all that are gone" : "no host is gone",
    );
  else open(panes);
}

function record(panes: readonly Pane[], { recordDirectory, notify }: CommandContext): void {
  const stopping = panes.filter(({ recording }) => recording !== undefined);
  const working =
    stopping.length > 0
      ? stopping.map((pane) => pane.stopRecording())
      : panes.map((pane) => pane.record(recordDirectory));
  const names = formatNodeSet((stopping.length > 0 ? stopping : panes).map(({ name }) => name));
  const said =
    stopping.length > 0 ? `stopped recording ${names}` : `recording ${names} in ${recordDirectory}`;
  void Promise.all(working).then(
    () => notify(said),
    (thrown: unknown) => notify(describeError(thrown)),
  );
}

function toggle(set: Set<string>, name: string): void {
  if (!set.delete(name)) set.add(name);
}

function setAll(set: Set<string>, names: readonly string[]): void {
  set.clear();
  for (const name of names) set.add(name);
}
