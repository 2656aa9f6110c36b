import { tallyTotal } from "../core/result.ts";
import type { HostState } from "./host-state.ts";
import { formatBytes, formatRate } from "./rows/amounts.ts";
import { safeLine } from "./rows/sanitize.ts";
import { outcomeWording, type Symbols, taskTitle, type Wording } from "./rows/wording.ts";

/**
 * Return whether a task failed on a host, or the host itself; true as soon as it happened. While the role's code goes on
 * behind a failure, which may be rescued, the host is running.
 */
export function hasFailed({ failedTask, task, outcome }: HostState): boolean {
  if (outcome !== undefined && outcome !== "ok" && outcome !== "cancelled") return true;
  if (failedTask === undefined) return false;
  return outcome !== undefined || task === undefined || task.task <= failedTask.task;
}

/** Return the wording of a host's phase or outcome. */
export function hostWording(host: HostState, symbols: Symbols): Wording {
  if (host.outcome !== undefined) return outcomeWording(host.outcome, symbols);
  if (hasFailed(host)) return { word: "failed", symbol: symbols.failed, style: { color: "red", bold: true } };
  switch (host.phase) {
    case "waiting":
      return { word: "waiting", symbol: symbols.waiting, style: { dim: true } };
    case "barrier":
      return { word: "barrier", symbol: symbols.paused, style: { color: "cyan" } };
    case "running":
      return { word: "running", symbol: symbols.running, style: { color: "yellow" } };
    case "away":
      return { word: "away", symbol: symbols.paused, style: { color: "red" } };
    default:
      return { word: host.phase, symbol: symbols.running, style: { color: "cyan" } };
  }
}

/** Return one line about the present work of a host, or about its end. */
export function statusText(host: HostState): string {
  if (host.phase === "done") return endText(host);
  switch (host.phase) {
    case "waiting":
      return "waiting for its turn";
    case "connecting":
      return `connecting to ${safeLine(host.address ?? "")}`;
    case "connected":
      return "connected";
    case "uploading":
      return uploadText(host);
    case "starting":
      return "starting";
    case "facts":
      return "gathering facts";
    case "ending":
      return "ending";
    case "away":
      return "connection lost: trying again";
    case "barrier":
      return `waits for the others (${safeLine(host.play ?? "play")})`;
    case "running":
      return host.task === undefined ? safeLine(host.play ?? "running") : taskTitle(host.task);
  }
}

function endText({ outcome, error, failedTask, tally }: HostState): string {
  const message = error === undefined ? "" : safeLine(error.message.split("\n", 1)[0] ?? "");
  switch (outcome) {
    case "failed":
      return failedTask === undefined ? message : `${taskTitle(failedTask)}: ${message}`;
    case "unreachable":
      return `unreachable: ${message}`;
    case "lost":
      return `lost: ${message === "" ? "the connection ended before the run did" : message}`;
    case "cancelled":
      return tallyTotal(tally) === 0 ? "cancelled before it started" : "cancelled";
    default:
      return "done";
  }
}

function uploadText({ upload }: HostState): string {
  if (upload === undefined || upload.totalBytes === 0) return "uploading";
  const percent = Math.floor((100 * upload.bytes) / upload.totalBytes);
  const rate = formatRate(upload.bytes, upload.elapsedMs);
  return `uploading ${percent}% of ${formatBytes(upload.totalBytes)}${rate === "" ? "" : `, ${rate}`}`;
}

/** Return the number of ended and of known tasks: `34/88`; empty before any is known. */
export function progressText({ tally, total, phase }: HostState): string {
  const done = tallyTotal(tally) - tally.notExecuted;
  const known = phase === "done" ? tallyTotal(tally) : Math.max(total, done);
  return known === 0 ? "" : `${done}/${known}`;
}
