import { isUtf8 } from "node:buffer";
import { constants } from "node:os";
import {
  describeSignal,
  exitCodeOf,
  type FanOutListener,
  type HostResult,
  withoutName,
} from "../../fanout/exec/fan-out.ts";
import { createTextWriter, type TextWriter } from "../../reporter/reporter.ts";
import { count, formatElapsed } from "../../reporter/rows/amounts.ts";
import { BOLD, DIM, paintRow, type Row, type Style } from "../../reporter/rows/row.ts";
import { safeError, safeLine, safeWhole } from "../../reporter/rows/sanitize.ts";
import type { Symbols } from "../../reporter/rows/wording.ts";

/** Shows the output of a fan-out. */
export interface ExecPrinter {
  readonly listener: FanOutListener;
  /** Show the result; returns the user's choice of what to do next. */
  end(results: readonly HostResult[], elapsedMs: number): Promise<"shell" | undefined>;
  /** Give the terminal back; also called after a failure. */
  close(): Promise<void>;
}

/** Options of a printer. */
export interface ExecPrinterOptions {
  readonly stdout: PrinterStream;
  readonly stderr: PrinterStream;
  readonly symbols: Symbols;
  /** The names of all hosts. */
  readonly hosts: readonly string[];
}

/** A stream, and how to write to it. */
export interface PrinterStream {
  readonly writer: PacedWriter;
  readonly colors: boolean;
  /** The terminal's width; undefined: no terminal, lines are not broken. */
  readonly columns: number | undefined;
}

/** A writer that asks the source of much output to wait. */
export interface PacedWriter extends TextWriter {
  /** Return a promise to wait for when much is waiting to be written. */
  ready(): Promise<void> | undefined;
}

const MUCH = 256 * 1024;

/** Make a paced writer for a stream. */
export function createPacedWriter(stream: NodeJS.WritableStream): PacedWriter {
  const writer = createTextWriter(stream);
  let written = 0;
  let flushing: Promise<void> | undefined;
  return {
    write: (text) => {
      written += text.length;
      writer.write(text);
    },
    flush: () => writer.flush(),
    ready: () => {
      if (written < MUCH) return flushing;
      written = 0;
      flushing = writer.flush().then(() => {
        flushing = undefined;
      });
      return flushing;
    },
  };
}

/** A line of output, or a piece of one. */
export interface OutputLine {
  /** Bytes that are no UTF-8 appear as U+FFFD. */
  readonly text: string;
  /** The bytes of a line that is no UTF-8. */
  readonly bytes?: Buffer;
  /** Set when the line goes on in the next piece, because it is too long to hold. */
  readonly continues?: true;
}

/** Longer lines come in pieces, so that one host cannot fill the memory. */
export const MAX_LINE_BYTES = 1 << 20;
/** The mark at the end of a piece. */
const GOES_ON = " [the line goes on]";
const NEWLINE = 10;

/** Make a line safe to show. Text that a carriage return would overwrite stays, behind a `^M`. */
export function shownLine({ text, continues }: OutputLine): string {
  const shown = safeWhole(text.endsWith("\r") && continues === undefined ? text.slice(0, -1) : text);
  return continues === undefined ? shown : `${shown}${GOES_ON}`;
}

/** Joins the bytes of each host's streams to lines. */
export interface HostLines {
  /** Add bytes; returns the lines that are now complete. */
  add(host: string, stream: "stdout" | "stderr", chunk: Buffer): readonly OutputLine[];
  /** Return the unfinished lines of a host, and forget the host. */
  finish(host: string): readonly { readonly stream: "stdout" | "stderr"; readonly line: OutputLine }[];
}

/** Make a {@link HostLines}. */
export function createHostLines(): HostLines {
  const hosts = new Map<string, ReturnType<typeof streamLines>[]>();
  const of = (host: string) => {
    const streams = hosts.get(host) ?? [streamLines("stdout"), streamLines("stderr")];
    hosts.set(host, streams);
    return streams;
  };
  return {
    add: (host, stream, chunk) => of(host)[stream === "stdout" ? 0 : 1]!.add(chunk),
    finish: (host) => {
      const streams = hosts.get(host) ?? [];
      hosts.delete(host);
      return streams.flatMap(({ stream, rest }) => rest().map((line) => ({ stream, line })));
    },
  };
}

function streamLines(stream: "stdout" | "stderr") {
  let held: Buffer[] = [];
  let heldBytes = 0;
  let isPiece = false;
  const take = (): Buffer => {
    const bytes = held.length === 1 ? held[0]! : Buffer.concat(held);
    held = [];
    heldBytes = 0;
    return bytes;
  };
  const hold = (bytes: Buffer): void => {
    if (bytes.length === 0) return;
    held.push(bytes);
    heldBytes += bytes.length;
  };
  return {
    stream,
    add: (chunk: Buffer): readonly OutputLine[] => {
      const lines: OutputLine[] = [];
      let from = 0;
      for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, from)) {
        hold(chunk.subarray(from, end));
        lines.push(lineOf(take()));
        isPiece = false;
        from = end + 1;
      }
      // Copy: the chunk is a view of a larger packet.
      hold(Buffer.from(chunk.subarray(from)));
      if (heldBytes >= MAX_LINE_BYTES) {
        const bytes = take();
        const end = bytes.length - cutCharacter(bytes);
        lines.push({ ...lineOf(bytes.subarray(0, end)), continues: true });
        hold(bytes.subarray(end));
        isPiece = true;
      }
      return lines;
    },
    rest: (): readonly OutputLine[] => (heldBytes > 0 || isPiece ? [lineOf(take())] : []),
  };
}

function lineOf(bytes: Buffer): OutputLine {
  const text = bytes.toString("utf8");
  return isUtf8(bytes) ? { text } : { text, bytes };
}

/** Count the bytes at the end that begin an unfinished character of UTF-8. */
function cutCharacter(bytes: Buffer): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back]!;
    if (byte >= 0xc0) return back < (byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2) ? back : 0;
    if (byte < 0x80) return 0;
  }
  return 0;
}

const FAILED: Style = { color: "red" };
const OK: Style = { color: "green" };
const WAITING: Style = { color: "yellow" };
const DEFAULT_COLUMNS = 100;
const MAX_REASON = 200;

/** Outcomes, the worst first. */
const OUTCOME_ORDER = ["failed", "timedOut", "unreachable", "lost", "cancelled", "ok"] as const;

/** Describe how a command ended on a host in a few words: `exit 2`, `killed by TERM`, `timed out`. */
export function describeEnd({ outcome, exit, error }: HostResult): string {
  switch (outcome) {
    case "ok":
      return "ok";
    case "failed":
      if (exit === undefined) return "not begun";
      return exit.kind === "signalled"
        ? describeSignal(exit.signal)
        : exitText(exit.kind === "exited" ? exit.code : undefined);
    case "timedOut":
      return "timed out";
    case "unreachable":
      return error?.code === "AUTH_FAILED" ? "login failed" : "unreachable";
    case "lost":
      return "connection lost";
    case "cancelled":
      return exit === undefined ? "not started" : "cancelled";
  }
}

/** Describe an exit code; shells return 128 plus the number of the signal that ended a command. */
function exitText(code = -1): string {
  const signal = Object.entries(constants.signals).find(([, number]) => number === code - 128)?.[0];
  return signal === undefined ? `exit ${code}` : `exit ${code} (${signal.slice(3)})`;
}

/** Return why a host did not run the command, without its name; empty when there is no reason. */
export function reasonOf({ host, error, exit }: HostResult): string {
  const said = error?.message ?? (exit?.kind === "lost" ? exit.reason : "");
  // Without the name, hosts with the same reason fold together.
  const shown = safeError(withoutName(host, said).replaceAll("\n", " "));
  return shown.length > MAX_REASON ? `${shown.slice(0, MAX_REASON)}…` : shown;
}

/** The style of a state. */
export function styleOf({ outcome }: Pick<HostResult, "outcome">): Style {
  return outcome === "ok" ? OK : outcome === "cancelled" ? WAITING : FAILED;
}

/** The sign of a state. */
export function symbolOf({ outcome }: Pick<HostResult, "outcome">, symbols: Symbols): string {
  return outcome === "ok" ? symbols.ok : outcome === "cancelled" ? symbols.cancelled : symbols.failed;
}

/** Print the result to stderr: a table, failures first, unless all hosts are ok; and the total. */
export async function printStatus(
  { stderr, symbols }: Pick<ExecPrinterOptions, "stderr" | "symbols">,
  results: readonly HostResult[],
  elapsedMs: number,
): Promise<void> {
  const table = exitCodeOf(results) === 0 ? [] : await statusTable(results, symbols, stderr.columns);
  const rows = [...table, totalRow(results, elapsedMs, symbols)];
  stderr.writer.write(rows.map((row) => `${paintRow(row, stderr.colors)}\n`).join(""));
  await stderr.writer.flush();
}

function totalRow(results: readonly HostResult[], elapsedMs: number, symbols: Symbols): Row {
  const amounts = new Map<string, number>();
  for (const { outcome } of results) amounts.set(outcome, (amounts.get(outcome) ?? 0) + 1);
  const isOk = amounts.get("ok") === results.length;
  const parts = OUTCOME_ORDER.filter((outcome) => amounts.has(outcome)).map(
    (outcome) => `${amounts.get(outcome)} ${outcome === "timedOut" ? "timed out" : outcome}`,
  );
  const hosts = count(results.length, "host");
  return [
    ...(isOk ? [{ text: `${symbols.ok} `, style: OK }] : []),
    { text: isOk ? `${hosts} ok` : `${hosts}: ${parts.join(", ")}`, style: BOLD },
    { text: ` in ${formatElapsed(elapsedMs)}`, style: DIM },
  ];
}

/** Make the table of results, failures first: the result, the number of its hosts, and their names. */
async function statusTable(
  results: readonly HostResult[],
  symbols: Symbols,
  columns = DEFAULT_COLUMNS,
): Promise<readonly Row[]> {
  // Measuring the width of text takes as long to load as all else, and runs without failures need none.
  const [{ foldNodeSet }, { padText, textWidth, wrapRanges }] = await Promise.all([
    import("../../patterns/names.ts"),
    import("../../reporter/rows/layout.ts"),
  ]);
  const groups = groupResults(results);
  const stateColumns = Math.max(...groups.map(({ state }) => state.length));
  const countColumns = Math.max(...groups.map(({ hosts }) => String(hosts.length).length));
  const indent = stateColumns + countColumns + 6;
  const room = columns - indent;
  const wrapped = (text: string): readonly string[] => {
    const width = Math.max(20, room);
    return wrapRanges(text, width, width).map(([start, end]) => text.slice(start, end));
  };
  /** Node sets with commas, broken between sets. */
  const wrapSets = (sets: readonly string[]): readonly string[] => {
    const lines: string[] = [];
    for (const [index, set] of sets.entries()) {
      const text = index < sets.length - 1 ? `${set},` : set;
      const last = lines.at(-1);
      if (last !== undefined && textWidth(last) + textWidth(text) <= room)
        lines[lines.length - 1] = last + text;
      else lines.push(text);
    }
    return lines;
  };
  return groups.flatMap(({ state, hosts, reason, first }) => {
    const lead: Row = [
      { text: `${symbolOf(first, symbols)} `, style: styleOf(first) },
      { text: padText(state, stateColumns), style: styleOf(first) },
      { text: "  " },
      { text: padText(String(hosts.length), countColumns, true), style: BOLD },
      { text: "  " },
    ];
    const hint = first.error?.hint;
    const where: Row = [
      ...wrapSets(foldNodeSet(hosts)).map((text) => ({ text })),
      ...(reason === "" ? [] : wrapped(reason)).map((text) => ({ text, style: DIM })),
      ...(hint === undefined ? [] : wrapped(`hint: ${safeLine(hint)}`)).map((text) => ({ text })),
    ];
    return where.map(
      (text, index): Row => (index === 0 ? [...lead, text] : [{ text: " ".repeat(indent) }, text]),
    );
  });
}

interface ResultGroup {
  readonly state: string;
  readonly reason: string;
  readonly first: HostResult;
  readonly hosts: string[];
}

function groupResults(results: readonly HostResult[]): readonly ResultGroup[] {
  const groups = new Map<string, ResultGroup>();
  for (const result of results) {
    const [state, reason] = [describeEnd(result), reasonOf(result)];
    const key = JSON.stringify([state, reason, result.error?.hint]);
    const group = groups.get(key) ?? { state, reason, first: result, hosts: [] };
    group.hosts.push(result.host);
    groups.set(key, group);
  }
  const place = ({ first }: ResultGroup): number => OUTCOME_ORDER.indexOf(first.outcome);
  return [...groups.values()].sort(
    (one, other) => place(one) - place(other) || other.hosts.length - one.hosts.length,
  );
}
