import type { ControllerEvent, Outcome, TaskRef } from "../../core/events.ts";
import type { Result } from "../../core/result.ts";
import { foldNodeSet } from "../../patterns/names.ts";
import type { Style } from "./row.ts";
import { safeLine } from "./sanitize.ts";

/** A word, the sign beside it, and the style of both. */
export interface Wording {
  readonly word: string;
  readonly symbol: string;
  readonly style: Style;
}

/** Return the wording of a task's result. */
export function resultWording(result: Result, symbols: Symbols): Wording {
  if (result.unknown === true)
    return { word: "unknown", symbol: symbols.unknown, style: { color: "magenta", bold: true } };
  switch (result.state) {
    case "unchanged":
      return { word: "unchanged", symbol: symbols.ok, style: { color: "green" } };
    case "changed":
      return { word: "changed", symbol: symbols.changed, style: { color: "yellow" } };
    case "skipped":
      return { word: "skipped", symbol: symbols.skipped, style: { color: "cyan" } };
    case "failed":
      return result.ignored === true
        ? { word: "ignored", symbol: symbols.ignored, style: { color: "red" } }
        : { word: "failed", symbol: symbols.failed, style: { color: "red", bold: true } };
  }
}

/** Return the wording of a host's outcome. */
export function outcomeWording(outcome: Outcome, symbols: Symbols): Wording {
  switch (outcome) {
    case "ok":
      return { word: "ok", symbol: symbols.ok, style: { color: "green" } };
    case "failed":
      return { word: "failed", symbol: symbols.failed, style: { color: "red", bold: true } };
    case "unreachable":
      return { word: "unreachable", symbol: symbols.failed, style: { color: "magenta", bold: true } };
    case "lost":
      return { word: "lost", symbol: symbols.failed, style: { color: "magenta", bold: true } };
    case "cancelled":
      return { word: "cancelled", symbol: symbols.cancelled, style: { color: "cyan" } };
  }
}

/** Return the title of a task: `nginx : Write the site`. */
export function taskTitle({ role, name }: Pick<TaskRef, "role" | "name">): string {
  const title = safeLine(name);
  return role === "" ? title : `${safeLine(role)} : ${title}`;
}

/** Fold names of hosts into sets: `web[01-17], db1`; each set stands where its first name stood. */
export function foldHostNames(names: readonly string[]): string {
  return foldNodeSet(names).join(", ");
}

/** `Deploy, batch 2 of 3: web[02-06]`, with the seed of a shuffled play. */
export function batchText({
  play,
  batch,
  batches,
  hosts,
  seed,
}: Extract<ControllerEvent, { type: "play:batch" }>): string {
  const title = batches === 1 ? safeLine(play) : `${safeLine(play)}, batch ${batch} of ${batches}`;
  // A shuffled play shows its order.
  const names = seed === undefined ? foldHostNames(hosts.map(safeLine)) : hosts.map(safeLine).join(" ");
  return `${title}: ${names}${seed === undefined ? "" : ` (shuffled, seed ${safeLine(seed)})`}`;
}

/** The reason of a run's early end. */
export function stopText({ reason }: Extract<ControllerEvent, { type: "play:stop" }>): string {
  return `The run ends early: ${reason.message}`;
}

/** The notice of check mode. */
export const CHECK_MODE = "CHECK MODE: nothing is changed";

/** Return the notice of a cancelled run, or of commands that are ended; it fits into 80 columns. */
export function cancelText(how: "clean" | "now", kind: "run" | "command" = "run"): string {
  if (how === "now") return "stopping now";
  return kind === "run"
    ? "stopping cleanly after the running actions; press Ctrl-C again to stop now"
    : "ending the commands; press Ctrl-C again to leave at once";
}

/** The signs beside colours, so that no state is shown by colour alone; each takes one column. */
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
  readonly pointer: string;
  readonly bullet: string;
  readonly gutter: string;
  readonly barFull: string;
  readonly barEmpty: string;
  readonly rule: string;
  /** Ends a text that was cut; one column, or two. */
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

/** For all other terminals. */
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
