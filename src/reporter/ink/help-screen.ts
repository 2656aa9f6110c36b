import { padText, truncateRow } from "../rows/layout.ts";
import { BOLD, DIM, line, type Row, segment } from "../rows/row.ts";

import type { Surface } from "./header.ts";

const KEY_COLUMNS = 19;

/** What the keys do and what the signs mean. */
export function helpScreen({ columns, rows, symbols }: Surface): readonly Row[] {
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
  const room = Math.max(0, rows - 2);
  const shown = content.slice(0, room).map((row) => truncateRow(row, columns, symbols.ellipsis));
  const blanks = Array.from({ length: room - shown.length }, () => line(""));
  return [...shown, ...blanks, truncateRow(line("any key goes back", DIM), columns, symbols.ellipsis)];
}
