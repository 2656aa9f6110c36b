/** The signs used beside colours, so that nothing is said by colour alone; each takes one column. */
export interface Symbols {
  readonly ok: string;
  readonly changed: string;
  readonly failed: string;
  readonly skipped: string;
  readonly unknown: string;
  readonly ignored: string;
  readonly running: string;
  readonly waiting: string;
  readonly paused: string;
  readonly cancelled: string;
  readonly none: string;
  readonly pointer: string;
  readonly bullet: string;
  readonly gutter: string;
  readonly barFull: string;
  readonly barEmpty: string;
  readonly rule: string;
  /** Ends what was cut; one column, or two. */
  readonly ellipsis: string;
  readonly range: string;
  readonly upDown: string;
  readonly leftRight: string;
  readonly spinner: readonly string[];
}

/** For terminals that show UTF-8. */
export const UNICODE_SYMBOLS: Symbols = {
  ok: "✔",
  changed: "~",
  failed: "✘",
  skipped: "-",
  unknown: "?",
  ignored: "!",
  running: "●",
  waiting: "○",
  paused: "◐",
  cancelled: "⊘",
  none: "·",
  pointer: "❯",
  bullet: "•",
  gutter: "│",
  barFull: "█",
  barEmpty: "░",
  rule: "─",
  ellipsis: "…",
  range: "–",
  upDown: "↑↓",
  leftRight: "←→",
  spinner: ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"],
};

/** For all others. */
export const ASCII_SYMBOLS: Symbols = {
  ok: "=",
  changed: "~",
  failed: "x",
  skipped: "-",
  unknown: "?",
  ignored: "!",
  running: "*",
  waiting: "o",
  paused: "%",
  cancelled: "#",
  none: ".",
  pointer: ">",
  bullet: "-",
  gutter: "|",
  barFull: "#",
  barEmpty: ".",
  rule: "-",
  ellipsis: "..",
  range: "-",
  upDown: "up/down",
  leftRight: "left/right",
  spinner: ["-", "\\", "|", "/"],
};
