import { isDeepStrictEqual } from "node:util";
import { render } from "ink";
import { createElement } from "react";
import type { Event } from "../../core/events.ts";
import type { Row } from "../rows/row.ts";
import type { Symbols } from "../rows/wording.ts";
import { App, type ChangedRow, type FrameStore } from "./app.tsx";
import { frame } from "./frame.ts";
import type { Surface } from "./header.ts";
import { type Key, press } from "./keys.ts";
import { createRunModel, type RunKind } from "./model.ts";
import { AlternateScreen, FrameStream } from "./screen.ts";
import { INITIAL_VIEW, type ViewState } from "./view-state.ts";

const FRAME_MS = 100;
/** How often the clock and the spinner move while nothing happens. */
const IDLE_FRAME_MS = 200;
const DEFAULT_SIZE = { columns: 80, rows: 24 };

/** What the live view needs. */
export interface LiveViewOptions {
  readonly stdout: NodeJS.WriteStream;
  readonly stdin?: NodeJS.ReadStream;
  readonly symbols: Symbols;
  readonly colors: boolean;
  /** Default: `run`. */
  readonly kind?: RunKind;
  /** Stays once all is over, until somebody leaves it; see {@link LiveView.left}. Default: no. */
  readonly hold?: boolean;
  onCancel(): void;
  /** The components failed; the terminal is as it was before. */
  onCrash(error: unknown): void;
}

/** The run as it is seen on the alternate screen. */
export interface LiveView {
  apply(event: Event): void;
  /** Resolves with what is to come next once somebody has left a view that is held; at once where nobody can. */
  left(): Promise<"leave" | "shell">;
  /** Resolves once the terminal is as it was. */
  close(): Promise<void>;
}

/** Takes the terminal over; many events make one frame, and of a frame only what has changed is rendered. */
export function openLiveView({
  stdout,
  stdin,
  symbols,
  colors,
  hold = false,
  kind = "run",
  onCancel,
  onCrash,
}: LiveViewOptions): LiveView {
  const model = createRunModel(symbols, kind);
  const screen = new AlternateScreen(stdout);
  const listeners = new Set<() => void>();
  let view: ViewState = { ...INITIAL_VIEW, held: hold && stdin?.isTTY === true };
  let leave: (choice: "leave" | "shell") => void = () => {};
  const left = new Promise<"leave" | "shell">((resolve) => {
    leave = resolve;
  });
  /** The rows on the screen; what React has not rendered yet is not among them. */
  const drawn: Row[] = [];
  let changes: readonly ChangedRow[] = [];
  let height = 0;
  let version = -1;
  let updatedAt = 0;

  const stream = new FrameStream(sizeOf(stdout), (lines) => {
    for (const { line, row } of changes) drawn[line] = row;
    screen.draw(changes.map(({ line }, index) => [line, lines[index] ?? ""]));
  });
  // The last column stays empty: a terminal that has just written there is in a state of its own (pending wrap).
  const surface = (): Surface => ({
    columns: stream.columns - 1,
    rows: stream.rows,
    symbols,
    nowMs: Date.now(),
  });
  const update = (): void => {
    version = model.version;
    updatedAt = Date.now();
    const rows = frame(model.view, view, surface());
    height = rows.length;
    changes = changedRows(drawn, rows);
    if (changes.length > 0) for (const listener of listeners) listener();
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
      if (view.choice !== undefined) leave(view.choice);
      else if (key === "ctrl-c") onCancel();
    },
    redraw: () => screen.redraw(height),
    unmounted: () => screen.leave(),
  };
  const resized = (): void => {
    Object.assign(stream, sizeOf(stdout));
    update();
    drawn.length = Math.min(drawn.length, height);
    screen.redraw(height);
  };

  // A terminal that is closed makes writing fail (EIO): the run goes on without being watched.
  stdout.on("error", () => {});
  screen.enter();
  update();
  const instance = render(createElement(App, { store, colors, keyboard: stdin?.isTTY === true }), {
    stdout: stream as unknown as NodeJS.WriteStream,
    ...(stdin === undefined ? {} : { stdin }),
    exitOnCtrlC: false,
    patchConsole: false,
    isScreenReaderEnabled: false,
    debug: true,
  });
  const timer = setInterval(() => {
    if (model.version !== version || Date.now() - updatedAt >= IDLE_FRAME_MS) update();
  }, FRAME_MS);
  stdout.on("resize", resized);
  const stop = (): void => {
    clearInterval(timer);
    stdout.off("resize", resized);
    screen.leave();
  };
  const exited = instance.waitUntilExit().catch((error: unknown) => {
    stop();
    leave("leave");
    onCrash(error);
  });

  return {
    apply: model.apply,
    left: () => (view.held ? left : Promise.resolve("leave")),
    async close() {
      instance.unmount();
      await exited;
      stop();
    },
  };
}

/** The rows that are not as they were; ink is given only these, since it takes the same time for every row it renders. */
function changedRows(before: readonly Row[], after: readonly Row[]): readonly ChangedRow[] {
  return after.flatMap((row, line) => (isDeepStrictEqual(row, before[line]) ? [] : [{ line, row }]));
}

/** A terminal's size; 80 × 24 where it does not tell. */
export function sizeOf(stdout: NodeJS.WriteStream): { columns: number; rows: number } {
  return { columns: stdout.columns || DEFAULT_SIZE.columns, rows: stdout.rows || DEFAULT_SIZE.rows };
}
