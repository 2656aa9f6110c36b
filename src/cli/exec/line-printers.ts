import { exitCodeOf, type HostResult } from "../../fanout/exec/fan-out.ts";
import { type Color, paintRow, type Segment } from "../../reporter/rows/row.ts";
import {
  createHostLines,
  describeEnd,
  type ExecPrinter,
  type ExecPrinterOptions,
  type OutputLine,
  type PacedWriter,
  type PrinterStream,
  printStatus,
  reasonOf,
  shownLine,
  styleOf,
  symbolOf,
} from "./printer.ts";

/** Colours of hosts; red is for failures. */
const COLORS: readonly Color[] = ["cyan", "green", "yellow", "magenta"];
/** Names take at most a third of the columns. */
const NAME_SHARE = 3;
const MIN_TEXT_COLUMNS = 20;
/** The mark between a host's name and its stderr. */
const STDERR_GUTTER = "!";

/** Formats host names in front of lines: all of the same width, each host in one colour. */
type NameOf = (host: string, stream: PrinterStream) => string;

/**
 * Print each line as it arrives, behind its host's name; the hosts' stderr goes to stderr. On a terminal long lines
 * continue behind the gutter.
 */
export async function createLivePrinter(options: ExecPrinterOptions): Promise<ExecPrinter> {
  const { stdout, stderr, symbols } = options;
  const lines = createHostLines();
  const { nameOf, nameColumns } = await createNames(options);
  const breakUp = await createBreaker([stdout, stderr]);
  const streamOf = (stream: "stdout" | "stderr"): PrinterStream => (stream === "stdout" ? stdout : stderr);
  const gutters = {
    stdout: paintRow([{ text: symbols.gutter, style: { dim: true } }], stdout.colors),
    stderr: paintRow([{ text: STDERR_GUTTER, style: { color: "red" } }], stderr.colors),
  };
  const print = (host: string, stream: "stdout" | "stderr", all: readonly OutputLine[]): void => {
    const to = streamOf(stream);
    const first = `${nameOf(host, to)} ${gutters[stream]} `;
    const next = `${" ".repeat(nameColumns)} ${gutters[stream]} `;
    const columns = to.columns === undefined ? undefined : to.columns - nameColumns - 3;
    let shown = "";
    for (const each of all) {
      const [start = "", ...rest] = breakUp(shownLine(each), columns);
      shown += `${first}${start}\n`;
      for (const piece of rest) shown += `${next}${piece}\n`;
    }
    to.writer.write(shown);
  };
  return {
    listener: {
      output: (host, stream, chunk) => {
        print(host, stream, lines.add(host, stream, chunk));
        return streamOf(stream).writer.ready();
      },
      end: (result) => {
        const { host, outcome } = result;
        for (const { stream, line } of lines.finish(host)) print(host, stream, [line]);
        // Hosts not begun because of a Ctrl-C are listed together at the end.
        if (outcome === "ok" || (outcome === "cancelled" && result.exit === undefined)) return undefined;
        const reason = reasonOf(result);
        const said = `${symbolOf(result, symbols)} ${describeEnd(result)}${reason === "" ? "" : `: ${reason}`}`;
        const text = paintRow([{ text: said, style: styleOf(result) }], stderr.colors);
        stderr.writer.write(`${nameOf(host, stderr)} ${text}\n`);
        return undefined;
      },
    },
    end: async (results, elapsedMs) => {
      await stdout.writer.flush();
      await printStatus(options, results, elapsedMs);
      return undefined;
    },
    close: async () => {},
  };
}

async function createNames({
  hosts,
  stdout,
  symbols,
}: ExecPrinterOptions): Promise<{ readonly nameOf: NameOf; readonly nameColumns: number }> {
  const longest = Math.max(...hosts.map(({ length }) => length), 0);
  const limit = Math.floor(Math.max(stdout.columns ?? Number.POSITIVE_INFINITY, 30) / NAME_SHARE);
  const areSimple = longest <= limit && hosts.every((host) => /^[\x20-\x7e]*$/.test(host));
  // The module that measures text takes longer to load than most commands take.
  const width = areSimple ? undefined : await import("../../reporter/rows/layout.ts");
  const nameColumns =
    width === undefined ? longest : Math.min(limit, Math.max(...hosts.map(width.textWidth)));
  const places = new Map(hosts.map((host, index) => [host, index]));
  const painted = new Map<string, string>();
  const nameOf: NameOf = (host, { colors }) => {
    const key = `${colors} ${host}`;
    let name = painted.get(key);
    if (name === undefined) {
      const text = width === undefined ? host : width.truncateText(host, nameColumns, symbols.ellipsis);
      const blanks = nameColumns - (width === undefined ? text.length : width.textWidth(text));
      const segment: Segment = { text, style: { color: COLORS[(places.get(host) ?? 0) % COLORS.length]! } };
      name = paintRow([segment], colors) + " ".repeat(blanks);
      painted.set(key, name);
    }
    return name;
  };
  return { nameOf, nameColumns };
}

/** Make the function that breaks lines for streams that are terminals. */
async function createBreaker(
  streams: readonly PrinterStream[],
): Promise<(text: string, columns: number | undefined) => readonly string[]> {
  if (streams.every(({ columns }) => columns === undefined)) return (text) => [text];
  const { textWidth, wrapRanges } = await import("../../reporter/rows/layout.ts");
  return (text, columns) => {
    if (columns === undefined) return [text];
    const room = Math.max(MIN_TEXT_COLUMNS, columns);
    if (textWidth(text) <= room) return [text];
    return wrapRanges(text, room, room).map(([start, end]) => text.slice(start, end));
  };
}

/**
 * Print one JSON object per line: `exec:start`, `exec:line`, `exec:end` for each host, then `exec:total`. An
 * `exec:line` whose bytes are no UTF-8 holds them in `base64` too. An `exec:line` that `continues` is a piece of a line.
 */
export function createJsonPrinter(writer: PacedWriter): ExecPrinter {
  const lines = createHostLines();
  const emit = (...events: readonly Readonly<Record<string, unknown>>[]): void => {
    const time = new Date().toISOString();
    writer.write(events.map((event) => `${JSON.stringify({ time, ...event })}\n`).join(""));
  };
  return {
    listener: {
      start: (host) => emit({ type: "exec:start", host }),
      output: (host, stream, chunk) => {
        emit(...lines.add(host, stream, chunk).map((line) => lineEvent(host, stream, line)));
        return writer.ready();
      },
      end: (result) => {
        const { host, outcome, exit, error, elapsedMs, stdoutBytes, stderrBytes } = result;
        for (const { stream, line } of lines.finish(host)) emit(lineEvent(host, stream, line));
        emit({
          type: "exec:end",
          host,
          outcome,
          ...exitFields(exit),
          elapsedMs: Math.round(elapsedMs),
          stdoutBytes,
          stderrBytes,
          ...(error === undefined
            ? {}
            : { error: { code: error.code, message: error.message, hint: error.hint } }),
        });
        return writer.ready();
      },
    },
    end: async (results, elapsedMs) => {
      const outcomes: Record<string, number> = {};
      for (const { outcome } of results) outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
      emit({
        type: "exec:total",
        hosts: results.length,
        outcomes,
        elapsedMs: Math.round(elapsedMs),
        exitCode: exitCodeOf(results),
      });
      await writer.flush();
      return undefined;
    },
    close: async () => {},
  };
}

function lineEvent(
  host: string,
  stream: "stdout" | "stderr",
  { text, bytes, continues }: OutputLine,
): Readonly<Record<string, unknown>> {
  const base64 = bytes === undefined ? {} : { base64: bytes.toString("base64") };
  return {
    type: "exec:line",
    host,
    stream,
    text,
    ...base64,
    ...(continues === undefined ? {} : { continues }),
  };
}

function exitFields(exit: HostResult["exit"]): Readonly<Record<string, unknown>> {
  switch (exit?.kind) {
    case "exited":
      return { exitCode: exit.code };
    case "signalled":
      return { signal: exit.signal };
    case "lost":
      return { reason: exit.reason };
    case undefined:
      return {};
  }
}
