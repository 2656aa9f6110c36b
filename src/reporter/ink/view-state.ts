import { hasFailed, statusText } from "../host-status.ts";
import { safeLine } from "../rows/sanitize.ts";
import type { Symbols } from "../rows/wording.ts";
import type { LogPosition } from "./log.ts";
import type { HostView, RunView } from "./model.ts";

/** The choices of the person who watches. */
export interface ViewState {
  readonly screen: "fleet" | "host";
  /** The first row shown of the help; undefined while the help is closed. */
  readonly help: number | undefined;
  /** The chosen host; undefined shows the top of the list. */
  readonly selected: string | undefined;
  readonly failedOnly: boolean;
  readonly filter: string;
  /** True while the filter is being typed. */
  readonly typing: boolean;
  /** The first row shown of the log; undefined follows its end. */
  readonly scroll: LogPosition | undefined;
  /** Number of times that Ctrl-C was pressed. */
  readonly cancels: number;
  /** True for a screen that stays after the end of the run, until a key leaves it. */
  readonly held: boolean;
  /** The choice at the end of a run whose screen is held. */
  readonly choice: "leave" | "shell" | undefined;
}

/** The view at the start. */
export const INITIAL_VIEW: ViewState = {
  screen: "fleet",
  help: undefined,
  selected: undefined,
  failedOnly: false,
  filter: "",
  typing: false,
  scroll: undefined,
  cancels: 0,
  held: false,
  choice: undefined,
};

/** The terminal that a screen is laid out for. */
export interface Surface {
  readonly columns: number;
  /** Rows of the terminal; a screen takes one less. */
  readonly rows: number;
  readonly symbols: Symbols;
  /** Milliseconds since the epoch. */
  readonly nowMs: number;
  /** The address at which browsers see the run. */
  readonly address?: string | undefined;
}

/** Below this many rows, hosts matter more than totals and titles. */
const LOW_ROWS = 10;

/** Return whether a screen leaves out totals and titles. */
export function isLow({ rows }: Surface): boolean {
  return rows < LOW_ROWS;
}

/** Return the address that a screen has room for. */
export function shownAddress(surface: Surface): string | undefined {
  return isLow(surface) ? undefined : surface.address;
}

/** Return how the run is being cancelled, by the controller or by keys it has not yet answered; undefined after its end. */
export function cancelling(run: RunView, { cancels }: ViewState): "clean" | "now" | undefined {
  if (run.ended) return undefined;
  return run.cancelling ?? (cancels > 1 ? "now" : cancels === 1 ? "clean" : undefined);
}

/** Return the rows that header, titles and footer leave to hosts. */
export function hostRoom(run: RunView, view: ViewState, surface: Surface): number {
  const addressRows = shownAddress(surface) === undefined ? 0 : 1;
  const header = (isLow(surface) ? 1 : 3) + addressRows + cancelRows(run, view);
  return Math.max(0, surface.rows - 1 - header - (isLow(surface) ? 1 : 2));
}

/** Return the rows that host, status, rule and footer leave to a log. */
export function logRoom(run: RunView, view: ViewState, surface: Surface): number {
  return Math.max(0, surface.rows - 1 - 4 - cancelRows(run, view));
}

function cancelRows(run: RunView, view: ViewState): number {
  return cancelling(run, view) === undefined ? 0 : 1;
}

/** Return the host whose log is shown; undefined while the list is. */
export function shownHost(run: RunView, view: ViewState): HostView | undefined {
  return view.screen === "host" ? run.hosts.find(({ name }) => name === view.selected) : undefined;
}

/** Return the hosts to list: failures, then running, then done, then waiting. */
export function listedHosts(run: RunView, view: ViewState): readonly HostView[] {
  const wanted = view.filter.toLowerCase();
  return run.hosts
    .filter((host) => (!view.failedOnly || hasFailed(host)) && (wanted === "" || matches(host, wanted)))
    .map((host) => ({ host, rank: rank(host) }))
    .sort((one, other) => one.rank - other.rank || one.host.index - other.host.index)
    .map(({ host }) => host);
}

function matches(host: HostView, wanted: string): boolean {
  return `${safeLine(host.name)} ${host.outcome ?? host.phase} ${statusText(host)}`
    .toLowerCase()
    .includes(wanted);
}

function rank(host: HostView): number {
  if (hasFailed(host)) return 0;
  if (host.phase === "waiting") return 3;
  return host.phase === "done" ? 2 : 1;
}
