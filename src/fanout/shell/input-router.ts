import { type ActionContext, applyPattern, commandOf, REPEATED, runCommand } from "./commands.ts";
import type { FoldScreen } from "./fold-view.ts";
import type { EscapeKey, InputToken } from "./input.ts";
import type { EditResult, LineEditor } from "./line-editor.ts";
import { focusedPane, receivers, type ShellMode } from "./shell-state.ts";

/** The parts of the shell that keys can reach. */
export interface RouterContext extends ActionContext {
  readonly escapeKey: EscapeKey;
  readonly lineEditor: LineEditor;
  readonly foldEditor: LineEditor;
  readonly fold: FoldScreen;
}

const KEYS: ShellMode = { kind: "keys" };
const MAX_CANDIDATES = 50;

/** Pass each key to the hosts, a command or a line editor, by the mode. */
export function routeInput(tokens: readonly InputToken[], context: RouterContext): void {
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
