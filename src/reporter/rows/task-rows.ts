import type { TaskRef } from "../../core/events.ts";
import type { ItemResult, Result } from "../../core/result.ts";
import { formatElapsed } from "./amounts.ts";
import { diffRows } from "./diff-rows.ts";
import { errorRows, outputRows } from "./error-rows.ts";
import { DIM, type Row, segment } from "./row.ts";
import { safeLine, safeLines } from "./sanitize.ts";
import type { Symbols } from "./symbols.ts";
import { resultWording, taskTitle } from "./wording.ts";

const MAX_ITEMS = 20;

/** What is shown of a task that ended. */
export interface TaskEnd {
  readonly task: TaskRef;
  readonly result: Result;
  readonly elapsedMs: number;
}

/** How a task is told in one row, after its state: its title, how long it took, and why. */
export function taskRow({ task, result, elapsedMs }: TaskEnd): Row {
  const message =
    result.state === "failed" || result.message === undefined ? "" : safeLines(result.message)[0];
  return [
    segment(taskTitle(task)),
    ...(task.handler === true ? [segment(" (handler)", DIM)] : []),
    segment(`  ${formatElapsed(elapsedMs)}`, DIM),
    ...(message === "" ? [] : [segment(`  ${message}`, DIM)]),
  ];
}

/** What is told of a task beyond its row: items, diff, error, and for a failure the last lines it printed. */
export function taskDetails(
  { result }: TaskEnd,
  options: { readonly symbols: Symbols; readonly diff: boolean; readonly output: readonly string[] },
): readonly Row[] {
  const { symbols, diff, output } = options;
  return [
    ...itemRows(result.items ?? [], symbols),
    ...(diff && result.diff !== undefined ? diffRows(result.diff) : []),
    ...(result.error === undefined ? [] : errorRows(result.error)),
    ...(result.state === "failed" ? outputRows(output, symbols.gutter) : []),
  ];
}

function itemRows(items: readonly ItemResult[], symbols: Symbols): readonly Row[] {
  const telling = items.filter(({ state }) => state === "changed" || state === "failed");
  const rows = telling.slice(0, MAX_ITEMS).flatMap((item): readonly Row[] => {
    const { symbol, word, style } = resultWording(item, symbols);
    const message = item.error?.message ?? item.message;
    return [
      [
        segment(`${symbol} ${word} `, style),
        segment(`item ${safeLine(item.label)}`),
        ...(message === undefined ? [] : [segment(`  ${safeLine(message)}`, DIM)]),
      ],
    ];
  });
  return telling.length > MAX_ITEMS
    ? [...rows, [segment(`(${telling.length - MAX_ITEMS} more items)`, DIM)]]
    : rows;
}
