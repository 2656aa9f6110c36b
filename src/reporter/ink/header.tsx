import { Box } from "ink";
import type { ReactNode } from "react";
import type { Outcome } from "../../core/events.ts";
import { isRare, TALLY_KEYS } from "../../core/result.ts";
import type { HostPhase } from "../host-state.ts";
import { hasFailed } from "../host-status.ts";
import { formatClock } from "../rows/amounts.ts";
import { rowWidth, truncateRow } from "../rows/layout.ts";
import { BOLD, DIM, type Row, type Segment, type Style, segment } from "../rows/row.ts";
import { safeLine } from "../rows/sanitize.ts";
import { CHECK_MODE, cancelText, type Symbols } from "../rows/wording.ts";
import { tallyColumns } from "../summary.ts";
import { fleetTally, type RunView } from "./model.ts";
import { Ends, Line } from "./text.tsx";
import { cancelling, isLow, type Surface, shownAddress, type ViewState } from "./view-state.ts";

const SPINNER_STEP_MS = 200;

/** The top of the list: playbook and clock, hosts and progress, the fleet's tally, and how a run is cancelled. */
export function Header({
  run,
  view,
  surface,
}: {
  readonly run: RunView;
  readonly view: ViewState;
  readonly surface: Surface;
}): ReactNode {
  const { columns, symbols, nowMs } = surface;
  const { ellipsis } = symbols;
  const clock = run.startedAt === undefined ? "" : formatClock((run.endedAt ?? nowMs) - run.startedAt);
  const spinner = symbols.spinner[Math.floor(nowMs / SPINNER_STEP_MS) % symbols.spinner.length] ?? "";
  const address = shownAddress(surface);
  const counts = run.kind === "run" ? tallyRow(run) : commandRow(run);
  return (
    <Box flexDirection="column" flexShrink={0}>
      <Ends
        left={[
          segment("volley ", DIM),
          segment(safeLine(run.playbook), BOLD),
          ...(run.check ? [segment("  "), segment(CHECK_MODE, { color: "magenta", bold: true })] : []),
        ]}
        right={[segment(`${run.ended ? "" : spinner} `, { color: "cyan" }), segment(clock, BOLD)]}
        columns={columns}
        ellipsis={ellipsis}
      />
      {!isLow(surface) && <Line row={truncateRow(progressRow(run, surface), columns, ellipsis)} />}
      {!isLow(surface) && <Line row={truncateRow(counts, columns, ellipsis)} />}
      {address !== undefined && <Line row={truncateRow([segment(address, DIM)], columns, ellipsis)} />}
      <CancelNotice run={run} view={view} surface={surface} />
    </Box>
  );
}

/** The row that says how the run is cancelled; none while it is not. */
export function CancelNotice({
  run,
  view,
  surface,
}: {
  readonly run: RunView;
  readonly view: ViewState;
  readonly surface: Surface;
}): ReactNode {
  const how = cancelling(run, view);
  if (how === undefined) return null;
  const { columns, symbols } = surface;
  const row: Row = [segment(cancelText(how, run.kind), { color: "red", bold: true })];
  return <Line row={truncateRow(row, columns, symbols.ellipsis)} />;
}

function progressRow(run: RunView, { columns, symbols }: Surface): Row {
  const total = run.hosts.length;
  const inPhase = (phase: HostPhase): number => run.hosts.filter((host) => host.phase === phase).length;
  const [done, waiting, barrier] = [inPhase("done"), inPhase("waiting"), inPhase("barrier")];
  const ended = (outcome: Outcome): number => run.hosts.filter((host) => host.outcome === outcome).length;
  const [unreachable, lost] = [ended("unreachable"), ended("lost")];
  const failed = run.hosts.filter(
    (host) => hasFailed(host) && (host.outcome === undefined || host.outcome === "failed"),
  ).length;
  const trouble = parts([
    [failed, symbols.failed, "failed", { color: "red", bold: true }],
    [unreachable, symbols.failed, "unreachable", { color: "magenta", bold: true }],
    [lost, symbols.failed, "lost", { color: "magenta", bold: true }],
    [ended("cancelled"), symbols.cancelled, "cancelled", { color: "cyan" }],
  ]);
  const ongoing = (words: boolean): Row =>
    parts([
      [total - done - waiting - barrier, symbols.running, words ? "running" : "", { color: "yellow" }],
      [barrier, symbols.paused, words ? "at barrier" : "", { color: "cyan" }],
      [waiting, symbols.waiting, words ? "waiting" : "", DIM],
    ]);
  const start: Row = [segment("hosts "), segment(`${done}/${total}`, BOLD), segment(" done")];
  const progress = [segment(" "), ...bar(total === 0 ? 0 : done / total, columns >= 100 ? 20 : 10, symbols)];
  // On a narrow screen the bar gives way first, then the words beside the signs.
  const forms: readonly Row[] = [
    [...start, ...progress, ...trouble, ...ongoing(true)],
    [...start, ...trouble, ...ongoing(true)],
  ];
  return forms.find((row) => rowWidth(row) <= columns) ?? [...start, ...trouble, ...ongoing(false)];
}

type Part = readonly [amount: number, sign: string, word: string, style: Style];

function parts(all: readonly Part[]): Row {
  return all
    .filter(([amount]) => amount > 0)
    .flatMap(([amount, sign, word, style]) => [
      segment("  "),
      segment(`${sign} ${amount}${word === "" ? "" : ` ${word}`}`, style),
    ]);
}

function bar(share: number, width: number, symbols: Symbols): readonly Segment[] {
  const full = Math.floor(share * width);
  return [
    segment(symbols.barFull.repeat(full), { color: "green" }),
    segment(symbols.barEmpty.repeat(width - full), DIM),
  ];
}

/** The number of commands that succeeded; the row above counts the others. */
function commandRow(run: RunView): Row {
  const ok = run.hosts.filter(({ outcome }) => outcome === "ok").length;
  return [segment("fleet "), segment(`${ok} ok`, ok === 0 ? DIM : { color: "green" })];
}

function tallyRow(run: RunView): Row {
  const tally = fleetTally(run);
  const unknown = run.hosts.reduce((sum, host) => sum + host.unknown, 0);
  const styles = new Map(tallyColumns(true).map(({ key, title, style }) => [key, { title, style }]));
  const parts = TALLY_KEYS.filter((key) => (key !== "notExecuted" && !isRare(key)) || tally[key] > 0).map(
    (key): Segment => {
      const { title, style } = styles.get(key) ?? { title: key, style: DIM };
      return segment(`${tally[key]} ${title}`, tally[key] === 0 ? DIM : style);
    },
  );
  return [
    segment("fleet "),
    ...parts.flatMap((part, index) => (index === 0 ? [part] : [segment("  "), part])),
    ...(unknown === 0 ? [] : [segment("  "), segment(`${unknown} unknown`, { color: "magenta" })]),
  ];
}
