import type { ControllerEvent, Event, ReceivedEvent, Summary } from "../core/events.ts";
import { formatTally } from "../core/result.ts";
import {
  createOutputLines,
  createTextWriter,
  type OutputLines,
  type Reporter,
  type ReporterOptions,
} from "./reporter.ts";
import { count, formatBytes, formatElapsed, uploadedText } from "./rows/amounts.ts";
import { errorRows, taskDetails, taskRow } from "./rows/details.ts";
import { padText, textWidth } from "./rows/layout.ts";
import { BOLD, DIM, line, paintRow, type Row, rowText, type Style, segment } from "./rows/row.ts";
import { safeLine, safeLines } from "./rows/sanitize.ts";
import {
  batchText,
  CHECK_MODE,
  cancelText,
  outcomeWording,
  resultWording,
  type Symbols,
  stopText,
  taskTitle,
} from "./rows/wording.ts";
import { countUnknownResults, summaryRows } from "./summary.ts";

const MAX_NAME_COLUMNS = 32;
const STATE_COLUMNS = 9;
const INDENT = "    ";
const KEPT_OUTPUT_LINES = 10;
const DEFAULT_COLUMNS = 120;

/** The options of plain output. */
export interface PlainOptions {
  readonly stdout: NodeJS.WritableStream & { readonly columns?: number };
  readonly colors: boolean;
  readonly symbols: Symbols;
  readonly verbosity: ReporterOptions["verbosity"];
  readonly diff: boolean;
}

interface HostOutput {
  readonly lines: OutputLines;
  last: string[];
}

type Unstamped = ControllerEvent | ReceivedEvent;
type EventOf<Type extends Unstamped["type"]> = Extract<Unstamped, { type: Type }>;

/** Print one line for each change and failure, prefixed by its host; failures again, together, at the end. */
export function createPlainReporter({ stdout, colors, symbols, verbosity, diff }: PlainOptions): Reporter {
  const writer = createTextWriter(stdout);
  const unknown = countUnknownResults();
  const foldDetails = createDetailsFold();
  const outputs = new Map<string, HostOutput>();
  let nameColumns = 0;
  let isSingle = false;

  const print = (rows: readonly Row[]): void =>
    writer.write(rows.map((row) => `${paintRow(row, colors)}\n`).join(""));
  const say = (host: string, state: string, style: Style, rest: Row, details: readonly Row[] = []): void => {
    const name = padText(safeLine(host), nameColumns);
    print([
      [
        segment(name, BOLD),
        segment("  "),
        segment(padText(state, STATE_COLUMNS), style),
        segment("  "),
        ...rest,
      ],
      ...details.map((row): Row => [segment(INDENT), ...row]),
    ]);
  };
  const outputOf = (host: string): HostOutput => {
    const known = outputs.get(host);
    if (known !== undefined) return known;
    const fresh: HostOutput = { lines: createOutputLines(), last: [] };
    outputs.set(host, fresh);
    return fresh;
  };
  const takeOutput = (host: string, lines: readonly string[]): void => {
    if (lines.length === 0) return;
    const output = outputOf(host);
    output.last = [...output.last, ...lines].slice(-KEPT_OUTPUT_LINES);
    if (verbosity < 2) return;
    for (const text of lines.flatMap(safeLines)) say(host, symbols.gutter, DIM, line(text));
  };

  const runStart = (event: EventOf<"run:start">): void => {
    nameColumns = Math.min(
      MAX_NAME_COLUMNS,
      Math.max(0, ...event.hosts.map((host) => textWidth(safeLine(host)))),
    );
    const { hosts, concurrency } = event;
    isSingle = hosts.length === 1;
    const scope = `${count(hosts.length, "host")}${concurrency < hosts.length ? `, ${concurrency} at a time` : ""}`;
    print([
      [segment(safeLine(event.playbook), BOLD), segment(` on ${scope}`)],
      ...(event.check ? [line(CHECK_MODE, { color: "magenta", bold: true })] : []),
    ]);
  };
  const taskEnd = (event: EventOf<"task:end">): void => {
    const { host, result } = event;
    const output = outputOf(host);
    takeOutput(host, output.lines.rest());
    const quiet = result.unknown !== true && (result.state === "unchanged" || result.state === "skipped");
    if (!quiet || verbosity >= 1) {
      const end = { task: event, result, elapsedMs: event.elapsedMs };
      const { word, style } = resultWording(result, symbols);
      // Verbosity 2 has just shown these lines.
      const details = taskDetails(end, { symbols, diff, output: verbosity >= 2 ? [] : output.last });
      say(host, word, style, taskRow(end), foldDetails(host, details));
    }
    output.last = [];
  };
  const hostEnd = (event: EventOf<"host:end">): void => {
    const { host, outcome, tally, elapsedMs, error } = event;
    const { word, style } = outcomeWording(outcome, symbols);
    // The summary's last line has the counts of a single host.
    const counts = isSingle ? `in ${formatElapsed(elapsedMs)}` : formatTally(tally, elapsedMs);
    say(host, word, style, line(counts), error === undefined ? [] : errorRows(error));
    outputs.delete(host);
  };
  const hearTarget = (event: ReceivedEvent): void => {
    const { host } = event;
    switch (event.type) {
      case "play:start":
        if (verbosity >= 1) say(host, "play", BOLD, line(safeLine(event.play), BOLD));
        break;
      case "task:start":
        outputs.delete(host);
        break;
      case "task:output":
        takeOutput(host, outputOf(host).lines.add(event.stream, event.text));
        break;
      case "task:end":
        taskEnd(event);
        break;
      case "task:rescued":
        say(host, "rescued", { color: "magenta" }, line(taskTitle(event)));
        break;
      case "log":
        if (event.level === "warn")
          say(host, "warning", { color: "yellow", bold: true }, line(safeLine(event.text)));
        else if (verbosity >= 1 || event.level === "notice")
          say(host, "info", DIM, line(safeLine(event.text)));
        break;
      case "hello":
        if (verbosity >= 4)
          say(
            host,
            "process",
            DIM,
            line(safeLine(`${event.pid}, Node ${event.node}, bundle ${event.bundle}`)),
          );
        break;
      case "facts":
        if (verbosity >= 3) say(host, "facts", DIM, line(safeLine(factsText(event))));
        break;
      case "play:plan":
      case "play:end":
      case "bye":
        break;
    }
  };
  const hearController = (event: ControllerEvent): void => {
    switch (event.type) {
      case "run:start":
        runStart(event);
        break;
      case "run:build":
        print([line(buildText(event), DIM)]);
        break;
      case "play:batch":
        print([line(batchText(event), BOLD)]);
        break;
      case "play:stop":
        print([line(safeLine(stopText(event)), { color: "red", bold: true })]);
        break;
      case "run:cancel":
        print([line(cancelText(event.how), { color: "cyan", bold: true })]);
        break;
      case "host:connected":
        if (verbosity >= 1) say(event.host, "connected", DIM, line(`in ${formatElapsed(event.elapsedMs)}`));
        break;
      case "host:upload":
        if (event.bytes >= event.totalBytes) say(event.host, "uploaded", DIM, line(uploadedText(event)));
        break;
      case "host:cached":
        if (verbosity >= 1) say(event.host, "cached", DIM, line("the bundle was there already"));
        break;
      case "host:lost":
        say(
          event.host,
          "away",
          { color: "yellow" },
          line(`connection lost: ${safeLine(event.reason)}; trying again`),
        );
        break;
      case "host:back":
        say(event.host, "back", DIM, line(`after ${formatElapsed(event.awayMs)}`));
        break;
      case "host:noise":
        if (verbosity >= 2) say(event.host, "noise", DIM, line(safeLine(event.text), DIM));
        break;
      case "host:end":
        hostEnd(event);
        break;
      case "host:connect":
        if (verbosity >= 3)
          say(
            event.host,
            "connect",
            DIM,
            line(safeLine(`${event.user}@${event.address}, port ${event.port}`)),
          );
        break;
      case "host:start":
        if (event.method === "direct")
          say(event.host, "directly", DIM, line("without a bundle, over the connection"));
        else if (verbosity >= 3) say(event.host, "started", DIM, line("the bundle is at work"));
        break;
      case "run:end":
        break;
    }
  };

  return {
    event(event) {
      unknown.add(event);
      if (isReceived(event)) hearTarget(event);
      else hearController(event);
    },
    end(summary: Summary) {
      print(
        summaryRows(summary, {
          columns: stdout.columns ?? DEFAULT_COLUMNS,
          symbols,
          unknown: unknown.counts,
        }),
      );
      return writer.flush();
    },
    close: writer.flush,
  };
}

function factsText({ facts, elapsedMs }: EventOf<"facts">): string {
  const told = Object.values(facts).filter((fact) => typeof fact === "string");
  return `${told.join(", ")}; gathered in ${formatElapsed(elapsedMs)}`;
}

function buildText({ bytes, reused, elapsedMs }: EventOf<"run:build">): string {
  const how = reused ? "unchanged since it was last built" : `built in ${formatElapsed(elapsedMs)}`;
  return `bundle: ${formatBytes(bytes)}, ${how}`;
}

function isReceived(event: Event): event is Extract<Event, ReceivedEvent> {
  return "host" in event && !event.type.startsWith("host:");
}

/** Shorter details are repeated. */
const MIN_FOLDED_ROWS = 3;
const MAX_REMEMBERED = 500;

/** Returns the details of a host, or a reference to another host with the same ones. */
export type DetailsFold = (host: string, details: readonly Row[]) => readonly Row[];

/** Start remembering: a diff or an error that many hosts have in common is printed once, then by the name of the first host. */
export function createDetailsFold(): DetailsFold {
  const told = new Map<string, string>();
  return (host, details) => {
    if (details.length < MIN_FOLDED_ROWS) return details;
    const key = details.map(rowText).join("\n");
    const before = told.get(key);
    if (before !== undefined)
      return [line(`(${details.length} lines, the same as on ${safeLine(before)})`, DIM)];
    if (told.size >= MAX_REMEMBERED) told.clear();
    told.set(key, host);
    return details;
  };
}
