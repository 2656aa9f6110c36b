import type { InputToken, KeyName } from "./input-parser.ts";

/** What the keys behind the escape key ask for. */
export type ShellCommand =
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

/** A key behind the escape key. */
export interface CommandKey {
  readonly command: ShellCommand;
  /** Characters and names of keys, any of which asks for it. */
  readonly keys: readonly (string | KeyName)[];
  /** As it is shown. */
  readonly label: string;
  readonly help: string;
}

/** Every command, in the order help shows them. */
export const COMMAND_KEYS: readonly CommandKey[] = [
  { command: "focus-up", keys: ["up"], label: "arrows", help: "go to another pane" },
  { command: "focus-down", keys: ["down"], label: "", help: "" },
  { command: "focus-left", keys: ["left"], label: "", help: "" },
  { command: "focus-right", keys: ["right"], label: "", help: "" },
  { command: "focus-marked", keys: ["tab"], label: "Tab", help: "go to the next marked pane" },
  { command: "next-page", keys: ["n", "pageDown"], label: "n p", help: "next, previous page" },
  { command: "previous-page", keys: ["p", "pageUp"], label: "", help: "" },
  { command: "zoom", keys: ["z"], label: "z", help: "this pane alone, and back" },
  { command: "more-panes", keys: ["+", "="], label: "+ -", help: "more, fewer panes on a page" },
  { command: "fewer-panes", keys: ["-"], label: "", help: "" },
  { command: "scroll", keys: ["["], label: "[", help: "look back in this pane" },
  { command: "select-all", keys: ["a"], label: "a", help: "type to all" },
  { command: "select-only", keys: ["o"], label: "o", help: "type to this one only" },
  { command: "toggle-selected", keys: ["s"], label: "s", help: "type to this one, or not" },
  { command: "select-none", keys: ["x"], label: "x", help: "type to none" },
  { command: "select-pattern", keys: ["/"], label: "/", help: "type to hosts of a pattern" },
  { command: "toggle-muted", keys: ["m"], label: "m", help: "mute this one, or not" },
  { command: "mute-pattern", keys: ["M"], label: "M", help: "mute hosts of a pattern" },
  { command: "unmute-all", keys: ["u"], label: "u", help: "mute none" },
  { command: "line-mode", keys: ["l"], label: "l", help: "line mode: edit, then send" },
  { command: "fold-mode", keys: ["f"], label: "f", help: "fold mode: answers folded" },
  { command: "reconnect", keys: ["r"], label: "r R", help: "reconnect this one, all" },
  { command: "reconnect-all", keys: ["R"], label: "", help: "" },
  { command: "record", keys: ["c"], label: "c C", help: "record this one, all; stop" },
  { command: "record-all", keys: ["C"], label: "", help: "" },
  { command: "redraw", keys: ["ctrl-l"], label: "Ctrl-L", help: "draw the screen again" },
  { command: "help", keys: ["?", "h"], label: "?", help: "this help" },
  { command: "quit", keys: ["q"], label: "q", help: "end all sessions, leave" },
  { command: "leave", keys: ["escape", "enter", "ctrl-c"], label: "", help: "" },
];

/** After these more of them may follow without the escape key: none is a key that lines are typed with. */
export const REPEATED: ReadonlySet<ShellCommand> = new Set([
  "focus-up",
  "focus-down",
  "focus-left",
  "focus-right",
  "focus-marked",
]);

/** What a key asks for; undefined where it means nothing. */
export function commandOf(token: InputToken): ShellCommand | undefined {
  if (token.kind !== "key") return undefined;
  const key = token.name ?? token.text;
  return COMMAND_KEYS.find(({ keys }) => key !== undefined && keys.includes(key))?.command;
}
