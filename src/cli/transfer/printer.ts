import { exitCodeOf } from "../../fanout/exec/fan-out.ts";
import type { NoHashes } from "../../fanout/transfer/hashes.ts";
import {
  type FileAction,
  type FileEvent,
  NO_FILES,
  type TransferListener,
  type TransferOutcome,
  type TransferResult,
} from "../../fanout/transfer/result.ts";
import { foldNodeSet } from "../../patterns/names.ts";
import { count, formatBytes, formatElapsed, formatRate } from "../../reporter/rows/amounts.ts";
import { padText, textWidth } from "../../reporter/rows/layout.ts";
import { BOLD, DIM, paintRow, type Row, type Style, segment } from "../../reporter/rows/row.ts";
import { safeError, safeLine } from "../../reporter/rows/sanitize.ts";
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

/** Failed files to show of one host. */
const FAILURES_TOLD = 20;

/** Describe what happened to a file; undefined when it is not worth a line. */
export function fileRow(
  { path, action, bytes, error }: FileEvent,
  host: string,
  { check, verbose, kind, symbols }: Pick<TransferPrinterOptions, "check" | "verbose" | "kind" | "symbols">,
): Row | undefined {
  const name = safeLine(path);
  if (action === "failed")
    return [segment(`${symbols.failed} ${reasonOf({ host, error })}`, { color: "red" })];
  if (action === "skipped") {
    const why = error === undefined ? `${name} was skipped: it is no file` : reasonOf({ host, error });
    return [segment(`${symbols.skipped} ${why}`, { color: "yellow" })];
  }
  if (!verbose && !(check && action !== "unchanged")) return undefined;
  const verb = kind === "put" ? "send" : "fetch";
  const done = kind === "put" ? "sent" : "fetched";
  const words = {
    sent: check ? `would ${verb}` : done,
    resumed: `${done}, from where it was cut,`,
    unchanged: "unchanged",
    linked: check ? "would link" : "linked",
    made: check ? "would make the directory" : "made the directory",
  };
  const size = action === "sent" || action === "resumed" ? ` (${formatBytes(bytes)})` : "";
  return [segment(`${words[action]} ${name}${size}`)];
}

/** Print lines as things happen: each host's end and failures; with `--verbose` or `--check` each file too. */
export function createPlainPrinter(options: TransferPrinterOptions): TransferPrinter {
  const { hosts, writer, colors, symbols } = options;
  const nameColumns = Math.max(0, ...hosts.map((host) => textWidth(safeLine(host))));
  const failures = new Map<string, number>();
  const print = (host: string, row: Row): void =>
    writer.write(`${paintRow([segment(`${padText(safeLine(host), nameColumns)}  `), ...row], colors)}\n`);
  return {
    listener: {
      file: (host, event) => {
        if (event.action === "failed" || event.action === "skipped") {
          const told = (failures.get(host) ?? 0) + 1;
          failures.set(host, told);
          if (told > FAILURES_TOLD) return;
        }
        const row = fileRow(event, host, options);
        if (row !== undefined) print(host, row);
      },
      end: (result) => {
        const untold = (failures.get(result.host) ?? 0) - FAILURES_TOLD;
        failures.delete(result.host);
        if (untold > 0) print(result.host, [segment(`and ${count(untold, "more file")}`, DIM)]);
        print(result.host, hostRow(result, options));
      },
      ready: () => writer.ready(),
    },
    end: async (results, elapsedMs) => {
      const rows = endRows(results, elapsedMs, { ...options, symbols });
      writer.write(rows.map((row) => `${paintRow(row, colors)}\n`).join(""));
      await writer.flush();
    },
    close: () => {},
  };
}

/** Describe one host's end in a line. */
export function hostRow(
  result: TransferResult,
  { symbols, kind, check }: Pick<TransferPrinterOptions, "symbols" | "kind" | "check">,
): Row {
  const { outcome, files, sentBytes, elapsedMs } = result;
  const lead = segment(`${signOf(outcome, symbols)} ${outcome}`, styleOf(outcome));
  // The failed files are shown already.
  if (outcome === "failed" && files.failed > 0) return [lead, segment(`  ${count(files.failed, "file")}`)];
  if (outcome !== "ok") return [lead, segment(`  ${reasonOf(result)}`)];
  const sent = files.sent + files.resumed + files.linked;
  const verb = check ? `to be ${kind === "put" ? "sent" : "fetched"}` : kind === "put" ? "sent" : "fetched";
  const rate = sentBytes === 0 ? "" : `, ${formatBytes(sentBytes)} at ${formatRate(sentBytes, elapsedMs)}`;
  return [
    lead,
    segment(`  ${count(sent, "file")} ${verb}, ${files.unchanged} unchanged${rate}`),
    segment(`  in ${formatElapsed(elapsedMs)}`, DIM),
  ];
}

const PROGRESS_MS = 1_000;

/**
 * Print one JSON object per line: `put:start`, `put:progress`, `put:file`, `put:end` for each host, then `put:total`;
 * or `get:…`.
 */
export function createJsonPrinter({ kind, check, writer }: TransferPrinterOptions): TransferPrinter {
  const hosts = new Map<string, { totalBytes: number; bytes: number; toldAt: number }>();
  const emit = (type: string, fields: Readonly<Record<string, unknown>>): void =>
    writer.write(
      `${JSON.stringify({ time: new Date().toISOString(), type: `${kind}:${type}`, ...fields })}\n`,
    );
  const stateOf = (host: string) => {
    const state = hosts.get(host) ?? { totalBytes: 0, bytes: 0, toldAt: 0 };
    hosts.set(host, state);
    return state;
  };
  return {
    listener: {
      start: (host) => emit("start", { host, ...(check ? { check } : {}) }),
      total: (host, { bytes }) => {
        stateOf(host).totalBytes = bytes;
      },
      progress: (host, bytes) => {
        const state = stateOf(host);
        state.bytes += bytes;
        const now = Date.now();
        if (now - state.toldAt < PROGRESS_MS) return;
        state.toldAt = now;
        emit("progress", { host, bytes: state.bytes, totalBytes: state.totalBytes });
      },
      file: (host, { path, action, bytes, error }) =>
        emit("file", {
          host,
          path,
          action,
          bytes,
          ...(error === undefined ? {} : { error: errorOf(error) }),
        }),
      end: (result) => {
        hosts.delete(result.host);
        emit("end", fieldsOf(result));
      },
      ready: () => writer.ready(),
    },
    end: async (results, elapsedMs) => {
      const outcomes: Record<string, number> = {};
      for (const { outcome } of results) outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
      emit("total", {
        hosts: results.length,
        outcomes,
        ...sumOf(results),
        elapsedMs: Math.round(elapsedMs),
        exitCode: exitCodeOf(results),
      });
      await writer.flush();
    },
    close: () => {},
  };
}

function fieldsOf({ elapsedMs, error, ...result }: TransferResult): Readonly<Record<string, unknown>> {
  return {
    ...result,
    elapsedMs: Math.round(elapsedMs),
    ...(error === undefined ? {} : { error: errorOf(error) }),
  };
}

function errorOf({ code, message, hint }: NonNullable<TransferResult["error"]>) {
  return { code, message, ...(hint === undefined ? {} : { hint }) };
}
