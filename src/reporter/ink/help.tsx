import { Box } from "ink";
import type { ReactNode } from "react";
import { padText, truncateRow } from "../rows/layout.ts";
import { BOLD, DIM, line, type Row, rowText, segment } from "../rows/row.ts";
import { safeLine } from "../rows/sanitize.ts";
import { hasFailed } from "./host-status.ts";
import type { RunView } from "./model.ts";
import { Ends, Line } from "./text.tsx";
import type { Surface, ViewState } from "./view-state.ts";

/** The last row: the keys at hand, or the filter being typed, and the place in the list or the log. */
export function Footer({
  run,
  view,
  position,
  surface,
}: {
  readonly run: RunView;
  readonly view: ViewState;
  readonly position: string;
  readonly surface: Surface;
}): ReactNode {
  const { columns, symbols } = surface;
  const { upDown, leftRight, ellipsis } = symbols;
  const left =
    view.screen === "fleet"
      ? fleetKeys(run, view, surface)
      : [
          segment("Esc back  ", DIM),
          segment(leftRight, DIM),
          segment(" other hosts  ", DIM),
          segment(upDown, DIM),
          segment(" PgUp PgDn g G scroll  ? help", DIM),
        ];
  return <Ends left={left} right={line(position, DIM)} columns={columns} ellipsis={ellipsis} />;
}

function fleetKeys(run: RunView, view: ViewState, { symbols }: Surface): Row {
  if (view.typing)
    return [
      segment("/", { bold: true }),
      segment(safeLine(view.filter)),
      segment("_", { bold: true }),
      segment("  Enter keeps, Esc clears", DIM),
    ];
  const active = [
    ...(view.failedOnly ? ["failed only"] : []),
    ...(view.filter === "" ? [] : [`/${safeLine(view.filter)}`]),
  ];
  return [
    ...(active.length === 0 ? [] : [segment(`[${active.join(", ")}] `, { bold: true })]),
    segment(symbols.upDown, DIM),
    segment(` choose  Enter log  f failed  / filter  ${endKeys(run, view)}`, DIM),
  ];
}

/** The keys that end the view. */
function endKeys(run: RunView, view: ViewState): string {
  if (!view.held || !run.ended) return "? help  Ctrl-C stop";
  return run.hosts.some(hasFailed) ? "s shell on failed  q leave" : "? help  q leave";
}

const KEY_COLUMNS = 19;

/** The meaning of keys and signs. */
export function Help({ surface }: { readonly surface: Surface }): ReactNode {
  const { columns, rows, symbols } = surface;
  const { ellipsis } = symbols;
  const key = (keys: string, does: string): Row => [
    segment(`  ${padText(keys, KEY_COLUMNS)}`, BOLD),
    segment(does),
  ];
  const sign = (signs: string, means: string): Row => [
    segment(`  ${padText(signs, KEY_COLUMNS)}`),
    segment(means),
  ];
  const content: readonly Row[] = [
    line("Keys", BOLD),
    key(`${symbols.upDown} PgUp PgDn`, "choose a host; in a log: scroll"),
    key("g G", "first and last; G follows a log's end"),
    key("Enter", "open the log of the chosen host"),
    key(symbols.leftRight, "in a log: the host before, the next host"),
    key("Esc", "back; take back filter and choice"),
    key("f", "show only hosts on which something failed"),
    key("/", "filter by name, state, or what is being done"),
    key("Ctrl-C", "stop cleanly after the running actions; twice: at once"),
    key("Ctrl-L", "draw the screen anew"),
    key("q s", "after exec: leave; a shell where it failed"),
    line(""),
    line("Signs", BOLD),
    sign(
      `${symbols.running} ${symbols.paused} ${symbols.waiting}`,
      "running, waiting at a barrier, waiting for its turn",
    ),
    sign(`${symbols.ok} ${symbols.changed} ${symbols.skipped}`, "unchanged or ok, changed, skipped"),
    sign(
      `${symbols.failed} ${symbols.ignored} ${symbols.cancelled}`,
      "failed or out of reach, failed but ignored, cancelled",
    ),
    sign(symbols.unknown, "check mode cannot know"),
  ];
  return (
    <Box flexDirection="column" flexGrow={1} justifyContent="space-between">
      <Box flexDirection="column" flexShrink={0}>
        {content.slice(0, Math.max(0, rows - 2)).map((row) => (
          <Line key={rowText(row)} row={truncateRow(row, columns, ellipsis)} />
        ))}
      </Box>
      <Line row={truncateRow(line("any key goes back", DIM), columns, ellipsis)} />
    </Box>
  );
}
