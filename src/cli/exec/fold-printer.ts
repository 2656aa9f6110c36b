import type { HostResult } from "../../fanout/exec/fan-out.ts";
import { createFold, type FoldedHosts, type KeptOutput } from "../../fanout/exec/outputs.ts";
import { formatNodeSet } from "../../patterns/names.ts";
import { count } from "../../reporter/rows/amounts.ts";
import { textWidth } from "../../reporter/rows/layout.ts";
import { BOLD, DIM, line, paintRow, type Row, type Style, segment } from "../../reporter/rows/row.ts";
import type { Symbols } from "../../reporter/rows/wording.ts";
import {
  createHostLines,
  describeEnd,
  type ExecPrinter,
  type ExecPrinterOptions,
  type OutputLine,
  printStatus,
  shownLine,
  styleOf,
} from "./printer.ts";

const DEFAULT_COLUMNS = 80;
/** Longer outputs are not compared, only shown. */
const MAX_COMPARED_BYTES = 256 * 1024;
const MAX_DIFF_ROWS = 2_000;

/** Options of folded output. */
export interface FoldPrinterOptions extends ExecPrinterOptions {
  /** Show other outputs as a diff from the most frequent one. */
  readonly diff: boolean;
}

/**
 * Show outputs when all commands have ended: each once, below the hosts that printed it, the most frequent one first.
 */
export function createFoldPrinter(options: FoldPrinterOptions): ExecPrinter {
  const { stdout, symbols, diff } = options;
  const fold = createFold();
  const progress = createProgress(options);
  const columns = stdout.columns ?? DEFAULT_COLUMNS;
  const print = (rows: readonly Row[]): void =>
    stdout.writer.write(rows.map((row) => `${paintRow(row, stdout.colors)}\n`).join(""));

  const heading = ({ hosts, result }: FoldedHosts): Row =>
    headingRow(
      [
        [formatNodeSet(hosts), BOLD],
        ...(hosts.length === 1 ? [] : [[count(hosts.length, "host"), DIM] as [string, typeof DIM]]),
        ...(result.outcome === "ok"
          ? []
          : [[describeEnd(result), styleOf(result)] as [string, ReturnType<typeof styleOf>]]),
      ],
      columns,
      symbols,
    );
  const printOutput = async (output: KeptOutput, stream: "stdout" | "stderr"): Promise<void> => {
    const lines = createHostLines();
    const gutter = stream === "stdout" ? "" : paintRow([segment("!", { color: "red" })], stdout.colors);
    const lead = gutter === "" ? "" : `${gutter} `;
    const show = (all: readonly OutputLine[]): void =>
      stdout.writer.write(all.map((each) => `${lead}${shownLine(each)}\n`).join(""));
    for await (const chunk of output.read()) {
      show(lines.add("", stream, chunk));
      await stdout.writer.ready();
    }
    show(lines.finish("").map(({ line: last }) => last));
  };
  const printWhole = async (group: FoldedHosts): Promise<void> => {
    await printOutput(group.stdout, "stdout");
    await printOutput(group.stderr, "stderr");
    if (group.stdout.bytes + group.stderr.bytes === 0) print([line("(no output)", DIM)]);
  };
  const printGroup = async (group: FoldedHosts, usual: FoldedHosts): Promise<void> => {
    print([heading(group)]);
    const rows = diff && group !== usual ? await differences(usual, group) : undefined;
    if (rows === undefined) await printWhole(group);
    else print(rows);
    stdout.writer.write("\n");
  };
  return {
    listener: {
      output: fold.listener.output,
      end: async (result) => {
        await fold.listener.end(result);
        progress.add(result);
      },
    },
    end: async (results, elapsedMs) => {
      progress.clear();
      // Leave out hosts that never ran the command: the table at the end names them.
      const groups = fold
        .groups()
        .filter(({ result, stdout, stderr }) => result.exit !== undefined || stdout.bytes + stderr.bytes > 0);
      const usual = groups.find(({ result }) => result.outcome === "ok") ?? groups[0];
      if (usual !== undefined) {
        await printGroup(usual, usual);
        for (const group of groups) if (group !== usual) await printGroup(group, usual);
      }
      await stdout.writer.flush();
      await printStatus(options, results, elapsedMs);
      return undefined;
    },
    close: async () => {
      progress.clear();
      await fold.close();
    },
  };
}

/** Show on a terminal how many hosts are done: nothing else appears until all are. */
export function createProgress({ stderr, hosts }: Pick<ExecPrinterOptions, "stderr" | "hosts">): {
  add(result: Pick<HostResult, "outcome">): void;
  clear(): void;
} {
  const counts = { done: 0, failed: 0 };
  let shown = 0;
  const show = (text: string): void => {
    if (stderr.columns === undefined || (text === "" && shown === 0)) return;
    stderr.writer.write(`\r${text.padEnd(shown)}${text === "" ? "\r" : ""}`);
    shown = text.length;
  };
  return {
    add: ({ outcome }) => {
      counts.done++;
      if (outcome !== "ok") counts.failed++;
      const failed = counts.failed === 0 ? "" : `, ${counts.failed} not ok`;
      show(`${counts.done} of ${count(hosts.length, "host")}${failed}`);
    },
    clear: () => show(""),
  };
}

/**
 * Return how a group's output differs from the most frequent one; undefined when it is empty, or one of the two is too
 * long to compare.
 */
async function differences(usual: FoldedHosts, group: FoldedHosts): Promise<readonly Row[] | undefined> {
  // Loaded here, so that only `--diff` waits for it.
  const { diffRows } = await import("../../reporter/rows/details.ts");
  const rows: Row[] = [
    line(`--- ${formatNodeSet(usual.hosts)}`, { color: "red" }),
    line(`+++ ${formatNodeSet(group.hosts)}`, { color: "green" }),
  ];
  // A diff from an empty output would only repeat the most frequent one.
  if (group.stdout.bytes === 0) return undefined;
  for (const stream of ["stdout", "stderr"] as const) {
    if (usual[stream].digest === group[stream].digest) continue;
    const before = await usual[stream].text(MAX_COMPARED_BYTES);
    const after = await group[stream].text(MAX_COMPARED_BYTES);
    if (before === undefined || after === undefined) return undefined;
    if (stream === "stderr") rows.push(line("stderr:", DIM));
    // Leave out the first two rows, which name a file.
    rows.push(...diffRows([{ path: stream, before, after }], { maxRows: MAX_DIFF_ROWS }).slice(2));
  }
  return rows.length === 2 ? [line("(the same output)", DIM)] : rows;
}

/** Make a heading across the terminal: `── web[01-17] · 18 hosts ───`. */
export function headingRow(
  parts: readonly [text: string, style: Style][],
  columns: number,
  symbols: Symbols,
): Row {
  const row: Row = [
    segment(`${symbols.rule}${symbols.rule} `, DIM),
    ...parts.flatMap(([text, style], index) => [
      ...(index === 0 ? [] : [segment(" · ", DIM)]),
      segment(text, style),
    ]),
    segment(" "),
  ];
  const width = row.reduce((sum, { text }) => sum + textWidth(text), 0);
  return [...row, segment(symbols.rule.repeat(Math.max(2, columns - width)), DIM)];
}
