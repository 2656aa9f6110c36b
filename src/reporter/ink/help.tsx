import { Box } from "ink";
import type { ReactNode } from "react";
import { hasFailed } from "../host-status.ts";
import { padText, rowWidth, textWidth, truncateRow, wrapRanges } from "../rows/layout.ts";
import { BOLD, DIM, line, type Row, type Segment, segment } from "../rows/row.ts";
import { safeLine } from "../rows/sanitize.ts";
import type { RunView } from "./model.ts";
import { Ends, Line } from "./text.tsx";
import { cancelling, type Surface, type ViewState } from "./view-state.ts";

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
  const keys: Keys =
    view.screen === "fleet"
      ? fleetKeys(run, view, surface)
      : {
          hints: ["Esc back", `${leftRight} other hosts`, `${upDown} PgUp PgDn g G scroll`],
          last: "? help",
        };
  const { before = [], hints, last } = keys;
  // The keys that lead to all others matter more than the place.
  const right = textWidth(last) + 1 + textWidth(position) > columns ? "" : position;
  const room = columns - rowWidth(before) - textWidth(right) - 1;
  const shown = [...hints];
  while (shown.length > 0 && textWidth([...shown, last].join("  ")) > room) shown.pop();
  const left = [...before, segment([...shown, last].join("  "), DIM)];
  return <Ends left={left} right={line(right, DIM)} columns={columns} ellipsis={ellipsis} />;
}

/** The content of the last row. */
interface Keys {
  /** The filter. */
  readonly before?: Row;
  /** The least important one is the last; a narrow terminal leaves it out first. */
  readonly hints: readonly string[];
  /** Hints that are always shown. */
  readonly last: string;
}

function fleetKeys(run: RunView, view: ViewState, { symbols }: Surface): Keys {
  const filter = safeLine(view.filter);
  if (view.typing)
    return {
      before: [segment("/", BOLD), segment(filter), segment("_", BOLD), segment("  ")],
      hints: [],
      last: "Enter keeps, Esc clears",
    };
  const active = [...(view.failedOnly ? ["failed only"] : []), ...(filter === "" ? [] : [`/${filter}`])];
  return {
    before: active.length === 0 ? [] : [segment(`[${active.join(", ")}] `, BOLD)],
    hints: [`${symbols.upDown} choose`, "Enter log", "f failed", "/ filter"],
    last: endKeys(run, view),
  };
}

/** The keys that end the view. */
function endKeys(run: RunView, view: ViewState): string {
  if (!view.held || !run.ended) {
    const how = cancelling(run, view);
    return how === "now" ? "? help" : `? help  Ctrl-C ${how === "clean" ? "stop now" : "stop"}`;
  }
  return run.hosts.some(hasFailed) ? "s shell on failed  q leave" : "? help  q leave";
}

/** Below this many columns, keys and signs stand closer to their meaning. */
const NARROW_COLUMNS = 60;

/** Return the meaning of keys and signs, wrapped to the terminal. */
export function helpRows({ columns, symbols }: Surface): readonly Row[] {
  const indent = columns < NARROW_COLUMNS ? 15 : 21;
  const room = Math.max(1, columns - indent);
  const entry = (head: Segment, meaning: string): readonly Row[] =>
    wrapRanges(meaning, room, room).map(([start, end], index) => [
      { ...head, text: padText(index === 0 ? `  ${head.text}` : "", indent) },
      segment(meaning.slice(start, end)),
    ]);
  const key = (keys: string, does: string): readonly Row[] => entry(segment(keys, BOLD), does);
  const sign = (signs: string, means: string): readonly Row[] => entry(segment(signs), means);
  const { upDown, leftRight, running, paused, waiting, ok, changed, skipped, failed, ignored, cancelled } =
    symbols;
  return [
    line("Keys", BOLD),
    ...key(`${upDown} PgUp PgDn`, "choose a host; in a log: scroll"),
    ...key("g G", "first and last; G follows a log's end"),
    ...key("Enter", "open the log of the chosen host"),
    ...key(leftRight, "in a log: the host before, the next host"),
    ...key("Esc", "back; take back filter and choice"),
    ...key("f", "show only hosts on which something failed"),
    ...key("/", "filter by name, state, or what is being done"),
    ...key("Ctrl-C", "stop cleanly after the running actions; twice: at once"),
    ...key("Ctrl-L", "draw the screen anew"),
    ...key("q s", "after exec: leave; a shell where it failed"),
    line(""),
    line("Signs", BOLD),
    ...sign(`${running} ${paused} ${waiting}`, "running, waiting at a barrier, waiting for its turn"),
    ...sign(`${ok} ${changed} ${skipped}`, "unchanged or ok, changed, skipped"),
    ...sign(`${failed} ${ignored} ${cancelled}`, "failed or out of reach, failed but ignored, cancelled"),
    ...sign(symbols.unknown, "check mode cannot know"),
  ];
}

/** Return the rows that the last one leaves to the help. */
export function helpRoom({ rows }: Surface): number {
  return Math.max(0, rows - 2);
}

/** The meaning of keys and signs, from its row `first` on. */
export function Help({ first, surface }: { readonly first: number; readonly surface: Surface }): ReactNode {
  const { columns, symbols } = surface;
  const { upDown, ellipsis } = symbols;
  const all = helpRows(surface).map((row, number) => ({ number, row }));
  const room = helpRoom(surface);
  const from = Math.min(first, Math.max(0, all.length - room));
  const shown = all.slice(from, from + room);
  const isWhole = shown.length === all.length;
  return (
    <Box flexDirection="column" flexGrow={1} justifyContent="space-between">
      <Box flexDirection="column" flexShrink={0}>
        {shown.map(({ number, row }) => (
          <Line key={number} row={truncateRow(row, columns, ellipsis)} />
        ))}
      </Box>
      <Ends
        left={line(isWhole ? "any key goes back" : `${upDown} scroll  Esc back`, DIM)}
        right={line(isWhole ? "" : `${from + 1}-${from + shown.length} of ${all.length}`, DIM)}
        columns={columns}
        ellipsis={ellipsis}
      />
    </Box>
  );
}
