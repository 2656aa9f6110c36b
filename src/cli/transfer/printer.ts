import type { NoHashes } from "../../fanout/transfer/hashes.ts";
import {
  type FileAction,
  NO_FILES,
  type TransferListener,
  type TransferOutcome,
  type TransferResult,
} from "../../fanout/transfer/result.ts";
import { foldNodeSet } from "../../inventory/node-set.ts";
import { count, formatBytes, formatElapsed, formatRate } from "../../reporter/rows/amounts.ts";
import { padText } from "../../reporter/rows/layout.ts";
import { BOLD, DIM, type Row, type Style, segment } from "../../reporter/rows/row.ts";
import { safeError } from "../../reporter/rows/sanitize.ts";
import type { Symbols } from "../../reporter/rows/wording.ts";
import type { PacedWriter } from "../exec/printer.ts";

/** Shows a transfer. */
export interface TransferPrinter {
  readonly listener: TransferListener;
  /** Show the result. */
  end(results: readonly TransferResult[], elapsedMs: number): Promise<void>;
  /** Give the terminal back; also called after a failure. */
  close(): void;
}

/** The transfer to show. */
export interface TransferShown {
  readonly kind: "put" | "get";
  /** Check mode: show the files that a transfer would send, and send none. */
  readonly check: boolean;
  readonly hosts: readonly string[];
  /** Undefined where the size is known only to the hosts. */
  readonly bytesPerHost: number | undefined;
}

/** Options of a printer. */
export interface TransferPrinterOptions extends TransferShown {
  readonly writer: PacedWriter;
  readonly colors: boolean;
  readonly symbols: Symbols;
  readonly verbose: boolean;
  /** Return the terminal's current size; undefined: no terminal, lines are not cut. */
  size(): { readonly columns: number; readonly rows: number } | undefined;
}

const ORDER: readonly TransferOutcome[] = ["failed", "unreachable", "lost", "cancelled", "ok"];
const FAILED: Style = { color: "red" };
const OK: Style = { color: "green" };
const WAITING: Style = { color: "yellow" };

/** The style of an outcome. */
export function styleOf(outcome: TransferOutcome): Style {
  return outcome === "ok" ? OK : outcome === "cancelled" ? WAITING : FAILED;
}

/** The sign of an outcome. */
export function signOf(outcome: TransferOutcome, symbols: Symbols): string {
  return outcome === "ok" ? symbols.ok : outcome === "cancelled" ? symbols.cancelled : symbols.failed;
}

/** Add up the results of all hosts. */
export function sumOf(results: readonly TransferResult[]): {
  readonly files: Readonly<Record<FileAction, number>>;
  readonly sentBytes: number;
  readonly keptBytes: number;
} {
  const files: Record<FileAction, number> = { ...NO_FILES };
  let sentBytes = 0;
  let keptBytes = 0;
  for (const result of results) {
    for (const action of Object.keys(files) as FileAction[]) files[action] += result.files[action];
    sentBytes += result.sentBytes;
    keptBytes += result.keptBytes;
  }
  return { files, sentBytes, keptBytes };
}

/** Return why a host failed, without its name, so that hosts with the same reason fold together. */
export function reasonOf({ host, error }: Pick<TransferResult, "host" | "error">): string {
  if (error === undefined) return "";
  const { message } = error;
  const own = message.startsWith(`${host}: `) ? message.slice(host.length + 2) : message;
  return safeError(own.replaceAll("\n", " "));
}

/** Make the table of results: failed hosts first, by reason, then the sum. */
export function endRows(
  results: readonly TransferResult[],
  elapsedMs: number,
  { check, kind, symbols }: Pick<TransferShown, "check" | "kind"> & { readonly symbols: Symbols },
): readonly Row[] {
  const groups = groupsOf(results);
  const wide = Math.max(0, ...groups.map(({ outcome }) => outcome.length));
  const rows = groups.flatMap(({ outcome, reason, hint, hosts, more }): readonly Row[] => {
    const names = foldNodeSet(hosts).join(",");
    return [
      [
        segment(`${signOf(outcome, symbols)} ${padText(outcome, wide)}  `, styleOf(outcome)),
        segment(names, BOLD),
        ...(reason === "" ? [] : [segment(`  ${reason}`)]),
        ...(more === 0 ? [] : [segment(`  and ${count(more, "more file")}`, DIM)]),
      ],
      ...(hint === undefined
        ? []
        : [[segment(`${" ".repeat(wide + 4)}hint: `, BOLD), segment(safeError(hint))]]),
    ];
  });
  return [...rows, ...totalRows(results, elapsedMs, { check, kind, symbols })];
}

interface ResultGroup {
  readonly outcome: TransferOutcome;
  readonly reason: string;
  readonly hint: string | undefined;
  readonly hosts: string[];
  /** Failed files beside the one named, on the host where most failed. */
  more: number;
}

function groupsOf(results: readonly TransferResult[]): readonly ResultGroup[] {
  const groups = new Map<string, ResultGroup>();
  for (const result of results) {
    const { outcome, host, files } = result;
    if (outcome === "ok") continue;
    const reason = reasonOf(result);
    const hint = result.error?.hint;
    const key = JSON.stringify([outcome, reason, hint]);
    const group = groups.get(key) ?? { outcome, reason, hint, hosts: [], more: 0 };
    group.hosts.push(host);
    group.more = Math.max(group.more, files.failed - 1);
    groups.set(key, group);
  }
  return [...groups.values()].sort(
    (one, other) =>
      ORDER.indexOf(one.outcome) - ORDER.indexOf(other.outcome) || other.hosts.length - one.hosts.length,
  );
}

function totalRows(
  results: readonly TransferResult[],
  elapsedMs: number,
  { check, kind, symbols }: Pick<TransferShown, "check" | "kind"> & { readonly symbols: Symbols },
): readonly Row[] {
  const { files, sentBytes, keptBytes } = sumOf(results);
  const isOk = results.every(({ outcome }) => outcome === "ok");
  const outcomes = ORDER.map(
    (outcome) => [outcome, results.filter((each) => each.outcome === outcome).length] as const,
  );
  const states = outcomes
    .filter(([, amount]) => amount > 0)
    .map(([outcome, amount]) => `${amount} ${outcome}`);
  const verb = kind === "put" ? "sent" : "fetched";
  const amounts = [
    [files.sent, check ? `to be ${verb}` : verb],
    [files.resumed, "resumed"],
    [files.linked, check ? "to be linked" : "linked"],
    [files.unchanged, "unchanged"],
    [files.skipped, "skipped"],
    [files.failed, "failed"],
  ] as const;
  const said = amounts.filter(([amount]) => amount > 0).map(([amount, word]) => `${amount} ${word}`);
  const rate = formatRate(sentBytes, elapsedMs);
  const bytes = [
    ...(check ? [] : [`${formatBytes(sentBytes)} ${verb}${sentBytes === 0 ? "" : `, ${rate}`}`]),
    ...(keptBytes > 0 ? [`${formatBytes(keptBytes)} there already`] : []),
    ...verification(results),
  ];
  return [
    [
      ...(isOk ? [segment(`${symbols.ok} `, OK)] : []),
      segment(
        isOk
          ? `${count(results.length, "host")} ok`
          : `${count(results.length, "host")}: ${states.join(", ")}`,
        BOLD,
      ),
      segment(` in ${formatElapsed(elapsedMs)}`, DIM),
      segment(`  files: ${said.length === 0 ? "none" : said.join(", ")}`),
      segment(`  ${bytes.join("; ")}`, DIM),
    ],
  ];
}

const NO_HASHES: Readonly<Record<NoHashes, string>> = {
  program: "no sha256sum there",
  sessions: "its sshd grants no second session: raise MaxSessions",
  silence: "what asks for hashes did not answer",
};

/** Describe how files were verified, and name the hosts that could not compute a hash. */
function verification(results: readonly TransferResult[]): readonly string[] {
  const bySize = results.filter(({ verifiedBy }) => verifiedBy === "size");
  const reasons = [...new Set(bySize.map(({ noHashes = "silence" }) => noHashes))].sort();
  if (reasons.length > 0) {
    return reasons.map((reason) => {
      const hosts = bySize.filter(({ noHashes = "silence" }) => noHashes === reason).map(({ host }) => host);
      return `verified by size only on ${foldNodeSet(hosts).join(",")} (${NO_HASHES[reason]})`;
    });
  }
  return results.some(({ verifiedBy }) => verifiedBy === "sha256") ? ["verified by SHA-256"] : [];
}
