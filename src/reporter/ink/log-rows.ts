import type { Event } from "../../core/events.ts";
import { formatTally } from "../../core/result.ts";
import { formatElapsed, uploadedText } from "../rows/amounts.ts";
import { errorRows, taskDetails, taskRow } from "../rows/details.ts";
import { BOLD, DIM, line, type Row, segment } from "../rows/row.ts";
import { safeLine, safeLines } from "../rows/sanitize.ts";
import { outcomeWording, resultWording, type Symbols, taskTitle } from "../rows/wording.ts";

import type { HostState, RunKind } from "./model.ts";

const INDENT = segment("    ");

/** What an event adds to its host's log; `host` is as it was before the event. */
export function logRows(
  event: Extract<Event, { host: string }>,
  host: HostState,
  symbols: Symbols,
  kind: RunKind,
): readonly Row[] {
  const note = (text: string): readonly Row[] => [line(`${symbols.bullet} ${text}`, DIM)];
  switch (event.type) {
    case "host:connect":
      return note(`connecting to ${safeLine(event.user)}@${safeLine(event.address)}, port ${event.port}`);
    case "host:connected":
      return note(`connected in ${formatElapsed(event.elapsedMs)}`);
    case "host:upload":
      return event.bytes < event.totalBytes ? [] : note(`uploaded ${uploadedText(event)}`);
    case "host:cached":
      return note("the bundle was there already");
    case "host:lost":
      return [
        line(`${symbols.bullet} connection lost: ${safeLine(event.reason)}; trying again`, {
          color: "yellow",
        }),
      ];
    case "host:back":
      return note(`connected again after ${formatElapsed(event.awayMs)}`);
    case "restart":
      return note("the host restarts");
    case "host:noise":
      return safeLines(event.text).map((text) => line(`${symbols.gutter} ${text}`, DIM));
    case "hello":
      return note(`started under Node ${safeLine(event.node)}, process ${event.pid}`);
    case "facts":
      return note(`facts gathered in ${formatElapsed(event.elapsedMs)}`);
    case "play:start":
      return [line(safeLine(event.play), BOLD)];
    case "task:output":
      return printed(host, host.output.add(event.stream, event.text), symbols);
    case "task:end":
      return kind === "run" ? taskEnd(event, host, symbols) : printed(host, host.output.rest(), symbols);
    case "task:rescued":
      return note(`rescued: ${taskTitle(event)}`);
    case "log":
      return safeLines(event.text).map((text) =>
        line(`${symbols.bullet} ${text}`, event.level === "warn" ? { color: "yellow" } : DIM),
      );
    case "host:end": {
      const { word, symbol, style } = outcomeWording(event.outcome, symbols);
      return [
        [
          segment(`${symbol} ${word}  `, style),
          segment(
            kind === "run"
              ? formatTally(event.tally, event.elapsedMs)
              : `in ${formatElapsed(event.elapsedMs)}`,
          ),
        ],
        ...(event.error === undefined ? [] : indent(errorRows(event.error))),
      ];
    }
    case "host:start":
    case "play:plan":
    case "play:end":
    case "task:start":
    case "task:once":
    case "task:delegate":
    case "gone":
    case "task:result":
    case "bye":
      return [];
  }
}

/** Lines a task printed, under its title, which is put there once. */
function printed(host: HostState, lines: readonly string[], symbols: Symbols): readonly Row[] {
  if (lines.length === 0) return [];
  const rows = lines
    .flatMap(safeLines)
    .map((text): Row => [INDENT, segment(`${symbols.gutter} `, DIM), segment(text)]);
  if (host.titled || host.task === undefined) return rows;
  host.titled = true;
  return [[segment(`${symbols.running} `, DIM), segment(taskTitle(host.task))], ...rows];
}

function taskEnd(
  event: Extract<Event, { type: "task:end" }>,
  host: HostState,
  symbols: Symbols,
): readonly Row[] {
  const { result, elapsedMs } = event;
  const rest = printed(host, host.output.rest(), symbols);
  const { word, symbol, style } = resultWording(result, symbols);
  const end = { task: event, result, elapsedMs };
  // What it printed stands right above.
  const details = taskDetails(end, { symbols, diff: true, output: [] });
  return [...rest, [segment(`${symbol} ${word.padEnd(9)} `, style), ...taskRow(end)], ...indent(details)];
}

function indent(rows: readonly Row[]): readonly Row[] {
  return rows.map((row) => [INDENT, ...row]);
}
