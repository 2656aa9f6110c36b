import { Box } from "ink";
import type { ReactNode } from "react";
import { hostWording, progressText, statusText } from "../host-status.ts";
import { formatClock } from "../rows/amounts.ts";
import { truncateRow } from "../rows/layout.ts";
import { BOLD, DIM, line, segment } from "../rows/row.ts";
import { safeLine } from "../rows/sanitize.ts";
import { CancelNotice } from "./header.tsx";
import type { LogRow } from "./log.ts";
import type { HostView, RunView } from "./model.ts";
import { Ends, Line } from "./text.tsx";
import type { Surface, ViewState } from "./view-state.ts";

/** The view of one host: its current task, and the visible rows of its log. */
export function HostLog({
  run,
  host,
  rows,
  view,
  surface,
}: {
  readonly run: RunView;
  readonly host: HostView;
  readonly rows: readonly LogRow[];
  readonly view: ViewState;
  readonly surface: Surface;
}): ReactNode {
  const { columns, symbols, nowMs } = surface;
  const { ellipsis } = symbols;
  const { word, symbol, style } = hostWording(host, symbols);
  const elapsedMs = host.elapsedMs ?? (host.startedAt === undefined ? 0 : nowMs - host.startedAt);
  const done = run.hosts.filter(({ phase }) => phase === "done").length;
  const status = [segment(statusText(host), host.error === undefined ? {} : { color: "red" })];
  return (
    <Box flexDirection="column" flexShrink={0}>
      <Ends
        left={[
          segment(`${symbol} `, style),
          segment(safeLine(host.name), BOLD),
          segment(`  ${word}`, style),
          segment(`  ${run.kind === "run" ? `${progressText(host)}  ` : ""}${formatClock(elapsedMs)}`),
          segment(host.address === undefined ? "" : `  ${safeLine(host.address)}`, DIM),
        ]}
        right={[segment(`fleet ${done}/${run.hosts.length} done`, DIM)]}
        columns={columns}
        ellipsis={ellipsis}
      />
      <Line row={truncateRow(status, columns, ellipsis)} />
      <CancelNotice run={run} view={view} surface={surface} />
      <Line row={line(symbols.rule.repeat(columns), DIM)} />
      {rows.map(({ line: number, part, row }) => (
        <Line key={`${number}.${part}`} row={row} />
      ))}
    </Box>
  );
}
