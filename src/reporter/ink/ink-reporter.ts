import { isDeepStrictEqual } from "node:util";
import { render } from "ink";
import { createElement } from "react";
import type { Event, Summary } from "../../core/events.ts";
import { createTextWriter } from "../output-stream.ts";
import type { Reporter, ReporterOptions } from "../reporter.ts";
import { paintRow } from "../rows/paint.ts";
import type { Row } from "../rows/row.ts";
import type { Symbols } from "../rows/symbols.ts";
import { summaryRows } from "../summary/summary-rows.ts";
import { countUnknownResults } from "../unknown-results.ts";
import { App, type ChangedRow, type FrameStore } from "./app.tsx";
import { frame } from "./frame.ts";
import type { Surface } from "./header.ts";
import { type Key, press } from "./keys.ts";
import { createRunModel } from "./model.ts";
import { AlternateScreen, FrameStream } from "./screen.ts";
import { INITIAL_VIEW } from "./view-state.ts";

const FRAME_MS = 100;
/** How often the clock and the spinner move while nothing happens. */
const IDLE_FRAME_MS = 200;
const DEFAULT_SIZE = { columns: 80, rows: 24 };

/** What the UI needs beside what every reporter is given. */
export interface InkReporterOptions extends ReporterOptions {
  readonly colors: boolean;
  readonly symbols: Symbols;
}

/** The live UI on the terminal's alternate screen; the summary is then printed where the command was typed. */
export function createInkReporter(options: InkReporterOptions): Reporter {
  const { stdout, stdin, symbols, colors, onCancel } = options;
  const model = createRunModel(symbols);
  const unknown = countUnknownResults();
  const screen = new AlternateScreen(stdout);
  let changes: readonly ChangedRow[] = [];
  const stream = new FrameStream(sizeOf(stdout), (lines) => {
    screen.draw(changes.map(({ line }, index) => [line, lines[index] ?? ""]));
  });
  const listeners = new Set<() => void>();
  let view = INITIAL_VIEW;
  let rows: readonly Row[] = [];
  let drawnVersion = -1;
  let drawnAt = 0;

  // The last column stays empty: a terminal that has just written there is in a state of its own (pending wrap).
  const surface = (): Surface => ({
    columns: stream.columns - 1,
    rows: stream.rows,
    symbols,
    nowMs: Date.now(),
  });
  const update = (): void => {
    drawnVersion = model.version;
    drawnAt = Date.now();
    const next = frame(model.view, view, surface());
    const changed = changedRows(rows, next);
    rows = next;
    if (changed.length === 0) return;
    changes = changed;
    for (const listener of listeners) listener();
  };
  const tick = (): void => {
    if (model.version !== drawnVersion || Date.now() - drawnAt >= IDLE_FRAME_MS) update();
  };
  const store: FrameStore = {
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    changes: () => changes,
    press(key: Key) {
      view = press(view, key, model.view, surface());
      update();
      if (key === "ctrl-c") onCancel();
    },
    redraw: () => screen.redraw(rows.length),
    unmounted: () => screen.leave(),
  };
  const resized = (): void => {
    Object.assign(stream, sizeOf(stdout));
    update();
    screen.redraw(rows.length);
  };

  // A terminal that is closed makes writing fail (EIO): the run goes on without being watched.
  stdout.on("error", () => {});
  screen.enter();
  update();
  const keyboard = stdin?.isTTY === true;
  const instance = render(createElement(App, { store, colors, keyboard }), {
    stdout: stream as unknown as NodeJS.WriteStream,
    ...(stdin === undefined ? {} : { stdin }),
    exitOnCtrlC: false,
    patchConsole: false,
    debug: true,
  });
  let crash: unknown;
  const exited = instance.waitUntilExit().catch((error: unknown) => {
    crash = error;
  });
  const timer = setInterval(tick, FRAME_MS);
  stdout.on("resize", resized);

  return {
    event(event: Event) {
      unknown.add(event);
      model.apply(event);
    },
    async end(summary: Summary) {
      clearInterval(timer);
      stdout.off("resize", resized);
      instance.unmount();
      await exited;
      screen.leave();
      const writer = createTextWriter(stdout);
      if (crash !== undefined) writer.write(`the terminal UI failed: ${String(crash)}\n`);
      const printed = summaryRows(summary, {
        columns: sizeOf(stdout).columns,
        symbols,
        unknown: unknown.counts,
      });
      writer.write(printed.map((row) => `${paintRow(row, colors)}\n`).join(""));
      await writer.flush();
    },
  };
}

/** The rows that are not as they were; ink is given only these, since it takes the same time for every row it renders. */
function changedRows(before: readonly Row[], after: readonly Row[]): readonly ChangedRow[] {
  return after.flatMap((row, line) => (isDeepStrictEqual(row, before[line]) ? [] : [{ line, row }]));
}

function sizeOf(stdout: NodeJS.WriteStream): { columns: number; rows: number } {
  return { columns: stdout.columns || DEFAULT_SIZE.columns, rows: stdout.rows || DEFAULT_SIZE.rows };
}
