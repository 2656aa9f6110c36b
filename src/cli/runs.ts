import { basename } from "node:path";
import {
  fanOutKindOf,
  isControlled,
  listRuns,
  type RunRecord,
  readRecord,
  readSummary,
  runsDirectory,
} from "../controller/records/records.ts";
import type { Outcome, Summary } from "../core/events.ts";
import { count } from "../reporter/rows/amounts.ts";

const OUTCOMES: readonly Outcome[] = ["ok", "failed", "unreachable", "lost", "cancelled"];

/** The latest runs, a line each: when, what, on how many hosts, and how they ended. */
export function formatRuns(most: number): string {
  const directory = runsDirectory();
  const runs = listRuns(directory).slice(0, most);
  if (runs.length === 0) return "There has been no run yet.\n";
  const rows = runs.map((run) => {
    try {
      return rowOf(readRecord(directory, run), readSummary(directory, run));
    } catch {
      return [run, "", "", "its record cannot be read"];
    }
  });
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => row[column]!.length)));
  return `${rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n")}\n`;
}

function rowOf(record: RunRecord, summary: Summary | undefined): readonly string[] {
  const { run, options } = record;
  const playbook = basename(String(options.playbook ?? "")) + (options.check === true ? " (check)" : "");
  const started = new Date(record.startedAt).toLocaleString("sv");
  return [run, started, playbook, summary === undefined ? openState(record) : endState(summary)];
}

function openState(record: RunRecord): string {
  return isControlled(record)
    ? `going on, process ${record.pid}`
    : `its controller was ended: volley attach ${record.run} asks the hosts how it goes on`;
}

/** What a fan-out did on a host is no task: it has hosts that are ok or not. */
function endState({ run, outcomes, hosts, tally }: Summary): string {
  const counts = OUTCOMES.filter((outcome) => outcomes[outcome] > 0).map(
    (outcome) => `${outcomes[outcome]} ${outcome}`,
  );
  const tasks =
    fanOutKindOf(run) === undefined ? `; tasks: ${tally.changed} changed, ${tally.failed} failed` : "";
  return `${count(hosts.length, "host")}: ${counts.join(", ")}${tasks}`;
}
