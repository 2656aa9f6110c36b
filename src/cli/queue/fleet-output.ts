import type { FleetView } from "../../queue/status/fleet.ts";
import { AlternateScreen } from "../../reporter/ink/screen.ts";
import { encodeLine } from "../../reporter/kinds.ts";
import { colorsWanted, isWatched, unicodeWanted } from "../../reporter/reporter.ts";
import { spread } from "../../reporter/rows/layout.ts";
import { BOLD, DIM, line, paintRow, type Row } from "../../reporter/rows/row.ts";
import { safeLine } from "../../reporter/rows/sanitize.ts";
import { ASCII_SYMBOLS, UNICODE_SYMBOLS } from "../../reporter/rows/wording.ts";
import { printWarning } from "../terminal.ts";
import { type FleetLayout, fleetRows, fleetWarnings } from "./fleet-rows.ts";

// The ways to show a fleet: printed, as JSON, or on a screen that is drawn again and again.

/** Shows looks at a queue. */
export interface FleetOutput {
  /** Show a look; `lost` is the reason why there is no later one. */
  show(view: FleetView, lost?: string): void;
  close(): void;
}

/** The options of {@link openFleetOutput}. */
export interface FleetOutputOptions {
  readonly json?: boolean;
  readonly watch?: boolean;
  /** The queue's URL, for people. */
  readonly queue: string;
}

const DEFAULT_ROWS = 24;
const HOME = "\x1b[H";
const ERASE_LINE = "\x1b[K";
const ERASE_BELOW = "\x1b[J";

/** Choose the way to show a fleet on standard output. */
export function openFleetOutput(options: FleetOutputOptions): FleetOutput {
  const isScreen = options.watch === true && options.json !== true && isWatched(process.stdout, process.env);
  return isScreen ? openScreen(options) : createPrinter(options);
}

/** Print each look once. */
function createPrinter({ json = false, watch = false, queue }: FleetOutputOptions): FleetOutput {
  let shown: FleetView | undefined;
  let lost: string | undefined;
  const print = (view: FleetView): void => {
    if (json) {
      const value = { queue, at: Date.now(), ...view, warnings: fleetWarnings(view) };
      process.stdout.write(watch ? `${encodeLine(value)}\n` : `${JSON.stringify(value, undefined, 2)}\n`);
      return;
    }
    const between = shown === undefined ? "" : "\n";
    process.stdout.write(`${between}${painted(fleetRows(view, layoutOf()))}`);
  };
  return {
    show(view, reason) {
      if (view !== shown) print(view);
      shown = view;
      if (reason !== undefined && lost === undefined)
        printWarning(`the queue at ${queue} does not answer: ${reason}`);
      lost = reason;
    },
    close: () => {},
  };
}

/** Draw on the alternate screen, as much as it has room for. */
function openScreen({ queue }: FleetOutputOptions): FleetOutput {
  const screen = new AlternateScreen(process.stdout);
  let shown:
    | { readonly view: FleetView; readonly lost: string | undefined; readonly atMs: number }
    | undefined;
  const draw = (): void => {
    if (shown === undefined) return;
    const { view, lost, atMs } = shown;
    const layout = layoutOf();
    const room = (process.stdout.rows ?? DEFAULT_ROWS) - 1;
    const time = new Date(atMs).toLocaleTimeString("sv");
    const all: readonly Row[] = [
      spread(line(queue, BOLD), line(time, DIM), layout.columns, layout.ellipsis),
      ...(lost === undefined
        ? []
        : [line(safeLine(`The queue's server does not answer: ${lost}`), { color: "red" as const })]),
      [],
      ...fleetRows(view, layout),
    ];
    const rows = all.length <= room ? all : [...all.slice(0, room - 1), line(layout.ellipsis, DIM)];
    process.stdout.write(
      `${HOME}${rows.map((row) => `${paint(row)}${ERASE_LINE}\n`).join("")}${ERASE_BELOW}`,
    );
  };
  screen.enter();
  process.stdout.on("resize", draw);
  return {
    show(view, lost) {
      shown = { view, lost, atMs: view === shown?.view ? shown.atMs : Date.now() };
      draw();
    },
    close() {
      process.stdout.off("resize", draw);
      screen.leave();
    },
  };
}

function layoutOf(): FleetLayout {
  const { ellipsis } = unicodeWanted(process.env) ? UNICODE_SYMBOLS : ASCII_SYMBOLS;
  return {
    columns: process.stdout.columns ?? Number.POSITIVE_INFINITY,
    ellipsis,
    nowMs: Date.now(),
  };
}

function painted(rows: readonly Row[]): string {
  return rows.map((row) => `${paint(row)}\n`).join("");
}

function paint(row: Row): string {
  return paintRow(row, colorsWanted(process.stdout, process.env));
}
