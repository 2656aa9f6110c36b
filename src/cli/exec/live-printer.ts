import { paintRow } from "../../reporter/rows/paint.ts";
import { type Color, DIM, segment } from "../../reporter/rows/row.ts";
import { safeLines } from "../../reporter/rows/sanitize.ts";
import { padText, textWidth, truncateText, wrapRanges } from "../../reporter/rows/width.ts";
import { createHostLines } from "./lines.ts";
import type { ExecPrinter, ExecPrinterOptions, PrinterStream } from "./printer.ts";
import { describeEnd, reasonOf, statusRows, styleOf, symbolOf } from "./status-rows.ts";

/** Red is for failures. */
const COLORS: readonly Color[] = ["cyan", "green", "yellow", "magenta"];
/** Of a terminal's columns, at most a third are names. */
const NAME_SHARE = 3;
const MIN_TEXT_COLUMNS = 20;
/** What stands between a host's name and what it wrote to its stderr, whatever the colours. */
const STDERR_GUTTER = "!";

/**
 * Shows each line as it arrives, behind its host's name; what hosts write to stderr goes to stderr. On a terminal long
 * lines go on behind the gutter.
 */
export function createLivePrinter(options: ExecPrinterOptions): ExecPrinter {
  const { stdout, stderr, symbols, hosts } = options;
  const lines = createHostLines();
  const widest = Math.max(...hosts.map(textWidth), 0);
  const limit = Math.floor(Math.max(stdout.columns ?? Number.POSITIVE_INFINITY, 30) / NAME_SHARE);
  const nameColumns = Math.min(widest, limit);
  const names = new Map<string, string>();
  const nameOf = (host: string, stream: PrinterStream): string => {
    const key = `${stream.colors} ${host}`;
    let name = names.get(key);
    if (name === undefined) {
      const text = padText(truncateText(host, nameColumns, symbols.ellipsis), nameColumns);
      const color = COLORS[hosts.indexOf(host) % COLORS.length]!;
      // Painting cuts blanks off at the end, which are wanted here.
      const painted = paintRow([segment(text.trimEnd(), { color })], stream.colors);
      name = painted + text.slice(text.trimEnd().length);
      names.set(key, name);
    }
    return name;
  };
  const streamOf = (stream: "stdout" | "stderr"): PrinterStream => (stream === "stdout" ? stdout : stderr);
  const print = (host: string, stream: "stdout" | "stderr", text: string): void => {
    const to = streamOf(stream);
    const name = nameOf(host, to);
    const gutter =
      stream === "stdout"
        ? paintRow([segment(symbols.gutter, DIM)], to.colors)
        : paintRow([segment(STDERR_GUTTER, { color: "red" })], to.colors);
    for (const each of safeLines(text)) to.writer.write(broken(each, name, gutter, to.columns));
  };
  const broken = (text: string, name: string, gutter: string, columns: number | undefined): string => {
    const room = columns === undefined ? undefined : Math.max(MIN_TEXT_COLUMNS, columns - nameColumns - 3);
    if (room === undefined || textWidth(text) <= room) return `${name} ${gutter} ${text}\n`;
    const blank = " ".repeat(nameColumns);
    return wrapRanges(text, room, room)
      .map(([start, end], index) => `${index === 0 ? name : blank} ${gutter} ${text.slice(start, end)}\n`)
      .join("");
  };
  return {
    listener: {
      output: (host, stream, chunk) => {
        for (const text of lines.add(host, stream, chunk)) print(host, stream, text);
        return streamOf(stream).writer.ready();
      },
      end: (result) => {
        const { host, outcome } = result;
        for (const { stream, text } of lines.finish(host)) print(host, stream, text);
        // Those that are not begun after a Ctrl-C are told together, at the end.
        if (outcome === "ok" || (outcome === "cancelled" && result.exit === undefined)) return undefined;
        const reason = reasonOf(result);
        const said = `${symbolOf(result, symbols)} ${describeEnd(result)}${reason === "" ? "" : `: ${reason}`}`;
        const text = paintRow([segment(said, styleOf(result))], stderr.colors);
        stderr.writer.write(`${nameOf(host, stderr)} ${text}\n`);
        return undefined;
      },
    },
    end: async (results, elapsedMs) => {
      await stdout.writer.flush();
      const rows = statusRows(results, elapsedMs, { symbols, columns: stderr.columns });
      stderr.writer.write(rows.map((row) => `${paintRow(row, stderr.colors)}\n`).join(""));
      await stderr.writer.flush();
    },
    close: async () => {},
  };
}
