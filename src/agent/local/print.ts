import { formatLocation, type SerializedError } from "../../core/errors.ts";
import type { TargetEvent } from "../../core/events.ts";
import { encodeLine } from "../../core/protocol.ts";
import { type Diff, formatTally, type Result } from "../../core/result.ts";

// The output of a carried bundle: lines for people, or the protocol's events for programs.

/** How a carried bundle prints. */
interface TextPrinterOptions {
  readonly host: string;
  readonly verbose: boolean;
  readonly debug: boolean;
  readonly color: boolean;
}

/** Prints what happens on this machine; the last event is `bye`. */
export type Printer = (event: TargetEvent) => void;

/** Print every event as a line of JSON, with the number and the time it has on the wire. */
export function createJsonPrinter(write: (line: string) => void): Printer {
  let seq = 0;
  return (event) => write(encodeLine({ ...event, seq: ++seq, time: Date.now() }));
}

const COLORS: Readonly<Record<string, string>> = {
  changed: "33",
  unchanged: "32",
  skipped: "36",
  unknown: "35",
  failed: "31",
};

/** Print a line an action, for a person. */
export function createTextPrinter({ host, verbose, debug, color }: TextPrinterOptions): Printer {
  const write = (text: string): void => void process.stdout.write(`${text}\n`);
  const paint = (text: string, code: string | undefined): string =>
    color && code !== undefined ? `\u001b[${code}m${text}\u001b[0m` : text;
  const detail = (text: string, code?: string): void => {
    for (const line of text.replace(/\n$/, "").split("\n")) write(paint(`    ${line}`, code));
  };

  const taskEnd = (event: Extract<TargetEvent, { type: "task:end" }>): void => {
    const { result, role, name, elapsedMs, handler } = event;
    const word = result.unknown === true ? "unknown" : result.state;
    const head = paint(`[${word} ${(elapsedMs / 1000).toFixed(3)}s]`, COLORS[word]);
    write(
      `${head} ${role} ${name}${handler === true ? " (handler)" : ""}${result.ignored === true ? " (ignored)" : ""}`,
    );
    for (const diff of result.diff ?? []) printDiff(diff, detail);
    if (result.error !== undefined) detail(errorText(result.error), COLORS.failed);
    if (result.message !== undefined && (verbose || result.unknown === true || event.action === "debug"))
      detail(result.message);
    if (verbose) printItems(result, detail);
  };

  return (event) => {
    if (debug) process.stderr.write(`${JSON.stringify(event)}\n`);
    switch (event.type) {
      case "play:start":
        if (verbose) write(`play ${event.play}: ${event.total} actions`);
        return;
      case "task:output":
        if (verbose) detail(event.text);
        return;
      case "task:end":
        return taskEnd(event);
      case "log":
        return detail(event.text);
      case "bye":
        if (event.error !== undefined) write(paint(errorText(event.error), COLORS.failed));
        return write(`${host}: ${formatTally(event.tally, event.elapsedMs)}`);
      default:
        return;
    }
  };
}

function errorText({ message, hint, location }: SerializedError): string {
  const where = location === undefined ? "" : `${formatLocation(location)}: `;
  return `${where}${message}${hint === undefined ? "" : `\n${hint}`}`;
}

function printItems(result: Result, detail: (text: string, code?: string) => void): void {
  for (const { label, state, message } of result.items ?? []) {
    detail(`${label}: ${state}${message === undefined ? "" : `, ${message}`}`, COLORS[state]);
  }
}

/** The lines that differ, without the common ones at either end: the bundle carries no diff library. */
function printDiff(
  { path, before, after, attributes, binary }: Diff,
  detail: (text: string, code?: string) => void,
): void {
  detail(`--- ${path}`);
  if (binary === true) detail("(content differs)");
  for (const [name, [from, to]] of Object.entries(attributes ?? {})) detail(`${name}: ${from} -> ${to}`);
  if (before === undefined && after === undefined) return;
  const left = (before ?? "").split("\n");
  const right = (after ?? "").split("\n");
  let start = 0;
  while (start < Math.min(left.length, right.length) && left[start] === right[start]) start++;
  let same = 0;
  while (same < Math.min(left.length, right.length) - start && left.at(-1 - same) === right.at(-1 - same))
    same++;
  for (const line of left.slice(start, left.length - same)) if (before !== null) detail(`-${line}`, "31");
  for (const line of right.slice(start, right.length - same)) if (after !== null) detail(`+${line}`, "32");
}
