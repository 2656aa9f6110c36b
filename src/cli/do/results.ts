import type { Event, HostEnd, Summary, TaskRef } from "../../core/events.ts";
import type { Result } from "../../core/result.ts";
import { isRecord } from "../../core/values/value.ts";
import { withoutName } from "../../fanout/exec/fan-out.ts";
import { formatNodeSet } from "../../patterns/names.ts";
import { encodeLine } from "../../reporter/kinds.ts";
import type { Reporter } from "../../reporter/reporter.ts";
import { count, formatElapsed } from "../../reporter/rows/amounts.ts";
import { diffRows, errorRows, taskDetails } from "../../reporter/rows/details.ts";
import {
  BOLD,
  DIM,
  line,
  paintRow,
  type Row,
  rowText,
  type Style,
  segment,
} from "../../reporter/rows/row.ts";
import { safeError, safeLine, safeLines, safeWhole } from "../../reporter/rows/sanitize.ts";
import {
  CHECK_MODE,
  cancelText,
  outcomeWording,
  resultWording,
  type Symbols,
  taskTitle,
} from "../../reporter/rows/wording.ts";
import { createProgress, headingRow } from "../exec/fold-printer.ts";
import type { PrinterStream } from "../exec/printer.ts";

// The results of one action on many hosts: each once, below the hosts that have it.

/** Options of {@link createResultsReporter}. */
export interface ResultsOptions {
  readonly stdout: PrinterStream;
  readonly stderr: PrinterStream;
  readonly symbols: Symbols;
  readonly diff: boolean;
  /** At 1 the data of all results is shown. */
  readonly verbosity: number;
}

/** The end of a task on a host. */
interface Done {
  readonly task: TaskRef;
  readonly result: Result;
  readonly elapsedMs: number;
}

/** Hosts with the same result. */
interface Group {
  readonly hosts: string[];
  readonly state: readonly (readonly [text: string, style: Style])[];
  readonly rows: readonly Row[];
  readonly rank: number;
}

const DEFAULT_COLUMNS = 80;
const MAX_DIFF_ROWS = 2_000;

/** Show results when all hosts are done: those of most hosts first, failures last, and the total on stderr. */
export function createResultsReporter(options: ResultsOptions): Reporter {
  const { stdout, stderr, symbols } = options;
  const columns = stdout.columns ?? DEFAULT_COLUMNS;
  const done = new Map<string, Done[]>();
  const groups = new Map<string, Group>();
  const told = new Set<string>();
  let progress: ReturnType<typeof createProgress> | undefined;

  const print = (rows: readonly Row[]): void =>
    stdout.writer.write(rows.map((row) => `${paintRow(row, stdout.colors)}\n`).join(""));
  const tell = (row: Row): void => {
    progress?.clear();
    stderr.writer.write(`${paintRow(row, stderr.colors)}\n`);
  };
  const hostEnd = (end: HostEnd): void => {
    const { state, rows, rank } = groupOf(done.get(end.host) ?? [], end, options);
    done.delete(end.host);
    const key = JSON.stringify([state, rows.map(rowText)]);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { hosts: [end.host], state, rows, rank });
    else group.hosts.push(end.host);
    progress?.add(end);
  };
  return {
    event(event: Event) {
      switch (event.type) {
        case "run:start":
          progress = createProgress({ stderr, hosts: event.hosts });
          if (event.check) tell(line(CHECK_MODE, { color: "magenta", bold: true }));
          break;
        case "run:cancel":
          tell(line(cancelText(event.how), { color: "cyan", bold: true }));
          break;
        case "log":
          if (event.level !== "info" && !told.has(event.text)) {
            told.add(event.text);
            tell(line(safeLine(`${event.host}: ${event.text}`), { color: "yellow" }));
          }
          break;
        case "task:end":
          if (isShown(event, event.result))
            done.set(event.host, [...(done.get(event.host) ?? []), doneOf(event)]);
          break;
        case "host:end":
          hostEnd(event);
          break;
      }
    },
    async end(summary) {
      progress?.clear();
      const sorted = [...groups.values()].sort(
        (one, other) => one.rank - other.rank || other.hosts.length - one.hosts.length,
      );
      for (const { hosts, state, rows } of sorted) {
        const size = hosts.length === 1 ? [] : [[count(hosts.length, "host"), DIM] as [string, Style]];
        const heading = headingRow(
          [
            [formatNodeSet(hosts), BOLD],
            ...size,
            ...state.map(([text, style]): [string, Style] => [text, style]),
          ],
          columns,
          symbols,
        );
        print([heading, ...rows, []]);
      }
      await stdout.writer.flush();
      tell(totalRow(summary, symbols));
      await stderr.writer.flush();
    },
    close: async () => {
      progress?.clear();
      await stdout.writer.flush();
      await stderr.writer.flush();
    },
  };
}

function doneOf({ task, play, role, name, action, result, elapsedMs }: TaskRef & Omit<Done, "task">): Done {
  return { task: { task, play, role, name, action }, result, elapsedMs };
}

/** Facts that the action asks for are gathered by a task of its own, which no one asked for. */
function isShown({ action, name }: TaskRef, { state }: Result): boolean {
  return state === "failed" || action !== "setup" || name !== "Gathering Facts";
}

function groupOf(
  done: readonly Done[],
  { host, outcome, error }: HostEnd,
  options: ResultsOptions,
): Pick<Group, "state" | "rows" | "rank"> {
  const { symbols } = options;
  const [only] = done;
  // A failure of the host itself is no result of the action.
  const ended = error === undefined ? [] : errorRows({ ...error, message: withoutName(host, error.message) });
  const isOk = outcome === "ok";
  const wording = outcomeWording(outcome, symbols);
  const end: readonly (readonly [string, Style])[] = isOk ? [] : [[wording.word, wording.style]];
  const rank = isOk ? 0 : outcome === "failed" ? 1 : 2;
  if (only === undefined) return { state: end, rows: ended, rank };
  if (done.length > 1)
    return { state: end, rows: [...done.flatMap((each) => stepRows(each, options)), ...ended], rank };
  const { result } = only;
  const isFailed = result.state === "failed" && outcome === "failed";
  return {
    state: [...stateOf(result, symbols), ...(isFailed ? [] : end)],
    rows: [...resultRows(only, options), ...ended],
    rank,
  };
}

/** Return the state of a result in words; nothing for a command that has ended well. */
function stateOf(result: Result, symbols: Symbols): readonly (readonly [string, Style])[] {
  const { word, style } = resultWording(result, symbols);
  const rc = exitCodeOf(result);
  if (rc === undefined) return [[word, style]];
  if (result.state === "failed" && rc !== 0) return [[`exit ${rc}`, style]];
  return result.state === "changed" && rc === 0 ? [] : [[word, style]];
}

/** Return the exit code of a command that has run. */
function exitCodeOf({ data, hidden }: Result): number | undefined {
  if (hidden === true || !isRecord(data)) return undefined;
  const { rc, stdout, start, skipped } = data;
  const isCommand = typeof stdout === "string" && (typeof start === "string" || !("cmd" in data));
  return typeof rc === "number" && isCommand && skipped !== true ? rc : undefined;
}

/** Actions whose data is the answer to a question. */
const ASKING: ReadonlySet<string> = new Set([
  ...["debug", "find", "getent", "mysql_info", "mysql_query", "package_facts", "ping", "postgresql_ping"],
  ...["postgresql_query", "service_facts", "setup", "gather_facts", "slurp", "stat"],
]);

function resultRows(done: Done, options: ResultsOptions): readonly Row[] {
  const { task, result } = done;
  const isCommand = ["command", "shell", "script", "raw"].includes(task.action);
  if (isCommand && exitCodeOf(result) !== undefined) return outputOf(result, options);
  const isTold = result.state !== "failed" && result.message !== undefined && result.message !== "";
  const isAsking = ASKING.has(task.action) && result.state !== "failed";
  const message = isTold ? safeLines(result.message!).map((text) => line(text)) : [];
  return [
    ...message,
    ...detailsOf(done, options),
    ...(isAsking || options.verbosity > 0 ? dataRows(done) : []),
  ];
}

/** Return the rows of one of several tasks. */
function stepRows(done: Done, options: ResultsOptions): readonly Row[] {
  const { symbol, word, style } = resultWording(done.result, options.symbols);
  const { message, state } = done.result;
  const text = state === "failed" || message === undefined ? "" : safeLines(message)[0]!;
  const rows = [...detailsOf(done, options), ...(options.verbosity > 0 ? dataRows(done) : [])];
  return [
    [
      segment(`${symbol} ${word}  `, style),
      segment(taskTitle(done.task)),
      ...(text === "" ? [] : [segment(`  ${text}`, DIM)]),
    ],
    ...rows.map((row): Row => [segment("    "), ...row]),
  ];
}

/** Return items, warnings, differences and errors. */
function detailsOf(done: Done, { symbols, diff }: ResultsOptions): readonly Row[] {
  const { result } = done;
  const { error } = result;
  // The place in the play of one action tells nothing.
  const { location: _place, ...plain } = error ?? { code: "ACTION_FAILED", message: "" };
  const shown = { ...done, result: error === undefined ? result : { ...result, error: plain } };
  return [
    ...warningsOf(result).map((text) => line(safeLine(`warning: ${text}`), { color: "yellow" })),
    ...(diff && result.diff !== undefined ? diffRows(result.diff, { maxRows: MAX_DIFF_ROWS }) : []),
    ...taskDetails(shown, { symbols, diff: false, output: [] }),
  ];
}

function warningsOf({ data, hidden }: Result): readonly string[] {
  if (hidden === true || !isRecord(data) || !Array.isArray(data.warnings)) return [];
  return data.warnings.filter((each): each is string => typeof each === "string");
}

/** Return the output of a command: as it is, and standard error behind a mark. */
function outputOf({ data, error }: Result, { verbosity }: ResultsOptions): readonly Row[] {
  const { stdout = "", stderr = "", cmd } = data as Readonly<Record<string, string | undefined>>;
  const rows = [
    ...linesOf(stdout).map((text) => line(text)),
    ...linesOf(stderr).map((text): Row => [segment("! ", { color: "red" }), segment(text)]),
  ];
  const why =
    rows.length === 0 && error !== undefined ? errorRows({ code: error.code, message: error.message }) : [];
  return [
    ...(verbosity > 0 && cmd !== undefined ? [line(safeLine(`$ ${[cmd].flat().join(" ")}`), DIM)] : []),
    ...rows,
    ...(rows.length > 0 ? [] : why.length > 0 ? why : [line("(no output)", DIM)]),
  ];
}

function linesOf(text: string): readonly string[] {
  const lines = text.replace(/(?:\r?\n)+$/, "");
  return lines === "" ? [] : lines.split(/\r?\n/).map(safeWhole);
}

/** Keys that say what the other rows say, or say it twice. */
const UNSHOWN =
  /^(?:changed|failed|skipped|msg|invocation|diff|exception|warnings|deprecations|skip_reason|(?:stdout|stderr)_lines|_ansible_.*)$/;

/** Return the data of a result: values that are no dicts as `name: value`, the others as JSON. */
function dataRows({ result: { data, hidden } }: Done): readonly Row[] {
  if (hidden === true || !isRecord(data)) return [];
  const entries = Object.entries(data).filter(([key]) => !UNSHOWN.test(key));
  const [[first, facts] = []] = entries;
  const isFacts = entries.length === 1 && first === "ansible_facts" && isRecord(facts);
  return (isFacts ? Object.entries(facts) : entries).flatMap(([key, value]) =>
    safeLines(`${key}: ${typeof value === "string" ? value : JSON.stringify(value, null, 2)}`).map((text) =>
      line(text),
    ),
  );
}

/** Return `3 hosts: 2 changed, 1 failed in 0.8s`. */
function totalRow(summary: Summary, symbols: Symbols): Row {
  const { hosts, elapsedMs, exitCode } = summary;
  const amounts = new Map<string, number>();
  for (const { outcome, tally } of hosts) {
    const word = outcome !== "ok" ? outcome : tally.changed > 0 ? "changed" : stillWord(tally);
    amounts.set(word, (amounts.get(word) ?? 0) + 1);
  }
  const parts = [...amounts].map(([word, many]) => `${many} ${word}`).join(", ");
  const isOk = exitCode === 0;
  return [
    ...(isOk ? [segment(`${symbols.ok} `, { color: "green" })] : []),
    segment(`${count(hosts.length, "host")}: ${safeError(parts)}`, BOLD),
    segment(` in ${formatElapsed(elapsedMs)}`, DIM),
  ];
}

function stillWord({ unchanged, skipped }: Summary["tally"]): string {
  return unchanged === 0 && skipped > 0 ? "skipped" : "unchanged";
}

/** Write the result of each task as a line of JSON, and one for each host that has none. */
export function createJsonResultsReporter(stdout: PrinterStream): Reporter {
  const begun = new Set<string>();
  const write = (value: object): void => stdout.writer.write(`${encodeLine(value)}\n`);
  return {
    event(event: Event) {
      if (event.type === "task:end" && isShown(event, event.result)) {
        const { host, action, name, result, elapsedMs } = event;
        begun.add(host);
        write({ host, action, ...(name === action ? {} : { task: name }), ...result, elapsedMs });
      } else if (event.type === "host:end" && (event.error !== undefined || !begun.has(event.host))) {
        const { host, outcome, error, elapsedMs } = event;
        const { stack: _stack, ...told } = error ?? {};
        write({ host, outcome, ...(error === undefined ? {} : { error: told }), elapsedMs });
      }
    },
    end: () => stdout.writer.flush(),
    close: () => stdout.writer.flush(),
  };
}
