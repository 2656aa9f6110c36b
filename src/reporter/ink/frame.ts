import { truncateRow } from "../rows/layout.ts";
import type { Row } from "../rows/row.ts";
import { fleetScreen } from "./fleet-screen.ts";
import type { Surface } from "./header.ts";
import { helpScreen } from "./help-screen.ts";
import { hostScreen } from "./host-screen.ts";
import type { RunView } from "./model.ts";
import type { ViewState } from "./view-state.ts";

/** The whole screen as rows: always one less than the terminal has, none wider than it is. */
export function frame(run: RunView, view: ViewState, surface: Surface): readonly Row[] {
  return screen(run, view, surface)
    .slice(0, Math.max(1, surface.rows - 1))
    .map((row) => truncateRow(row, surface.columns, surface.symbols.ellipsis));
}

function screen(run: RunView, view: ViewState, surface: Surface): readonly Row[] {
  if (view.help) return helpScreen(surface);
  const host = view.screen === "host" ? run.hosts.find(({ name }) => name === view.selected) : undefined;
  return host === undefined ? fleetScreen(run, view, surface) : hostScreen(run, host, view, surface);
}
