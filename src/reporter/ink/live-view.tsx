import { render } from "ink";
import type { ReactNode } from "react";
import type { Event } from "../../core/events.ts";
import type { Symbols } from "../rows/wording.ts";
import { App, Keyboard } from "./app.tsx";
import { type Key, press } from "./keys.ts";
import type { RunKind } from "./log.ts";
import { createRunModel } from "./model.ts";
import { AlternateScreen } from "./screen.ts";
import { INITIAL_VIEW, type Surface, type ViewState } from "./view-state.ts";

const FRAME_MS = 100;
/** Time between frames without events, for the clock and the spinner, in milliseconds. */
const IDLE_FRAME_MS = 200;
const DEFAULT_SIZE = { columns: 80, rows: 24 };

/** The options of the live view. */
export interface LiveViewOptions {
  readonly stdout: NodeJS.WriteStream;
  readonly stdin?: NodeJS.ReadStream;
  readonly symbols: Symbols;
  readonly colors: boolean;
  /** Default: `run`. */
  readonly kind?: RunKind;
  /** The address at which browsers see the run; it has a row of its own. */
  readonly address?: string;
  /** Keep the view after the end of the run until a key leaves it; see {@link LiveView.left}. Default: no. */
  readonly hold?: boolean;
  onCancel(): void;
  /** The components failed; the terminal is as it was before. */
  onCrash(error: unknown): void;
}

/** A run shown on the alternate screen. */
export interface LiveView {
  apply(event: Event): void;
  /** Resolve with what comes next when a key leaves a view that is held; at once where the view has no keyboard. */
  left(): Promise<"leave" | "shell">;
  /** Resolve once the terminal is as it was. */
  close(): Promise<void>;
}

/** Take the terminal over. Many events make one frame, and ink writes only what differs from the frame before. */
export function openLiveView({
  stdout,
  stdin,
  symbols,
  colors,
  hold = false,
  kind = "run",
  address,
  onCancel,
  onCrash,
}: LiveViewOptions): LiveView {
  const model = createRunModel(symbols, kind);
  const hasKeyboard = stdin?.isTTY === true;
  let view: ViewState = { ...INITIAL_VIEW, held: hold && hasKeyboard };
  let leave: (choice: "leave" | "shell") => void = () => {};
  const left = new Promise<"leave" | "shell">((resolve) => {
    leave = resolve;
  });
  let exit = (): void => instance.unmount();
  const setExit = (given: () => void): void => {
    exit = given;
  };
  let version = -1;
  let updatedAt = 0;

  // The last column stays empty: a terminal that has just written there is in a state of its own (pending wrap).
  const surface = (): Surface => {
    const { columns, rows } = sizeOf(stdout);
    return { columns: columns - 1, rows, symbols, nowMs: Date.now(), address };
  };
  const tree = (): ReactNode => (
    <>
      {hasKeyboard && <Keyboard onKey={onKey} onRedraw={redraw} onExit={setExit} />}
      <App run={model.view} view={view} surface={surface()} colors={colors} />
    </>
  );
  const update = (): void => {
    version = model.version;
    updatedAt = Date.now();
    instance.rerender(tree());
  };
  const onKey = (key: Key): void => {
    view = press(view, key, model.view, surface());
    update();
    if (view.choice !== undefined) leave(view.choice);
    else if (key === "ctrl-c") onCancel();
  };
  /** Draw everything anew on a terminal that was resized or written on. */
  const redraw = (): void => {
    instance.clear();
    screen.clear();
    update();
  };

  // A terminal that is closed makes writing fail (EIO): the run continues without a view.
  stdout.on("error", () => {});
  const screen = new AlternateScreen(stdout, () => exit());
  screen.enter();
  const options = {
    stdout,
    ...(stdin === undefined ? {} : { stdin }),
    incrementalRendering: true,
    // Also where CI is set: the reporter was asked for by name.
    interactive: true,
    exitOnCtrlC: false,
    patchConsole: false,
    isScreenReaderEnabled: false,
  };
  const instance = render(tree(), options);
  const timer = setInterval(() => {
    // A terminal slower than the run gets the latest frame, not all of them.
    if (stdout.writableNeedDrain) return;
    if (model.version !== version || Date.now() - updatedAt >= IDLE_FRAME_MS) update();
  }, FRAME_MS);
  // Before ink, which would lay the frame of the old size out on the new one.
  stdout.prependListener("resize", redraw);
  const stop = (): void => {
    clearInterval(timer);
    stdout.off("resize", redraw);
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
      exit();
      await exited;
      stop();
    },
  };
}

/** Return the size of a terminal; 80 × 24 where it is not known. */
export function sizeOf(stdout: NodeJS.WriteStream): { columns: number; rows: number } {
  return { columns: stdout.columns || DEFAULT_SIZE.columns, rows: stdout.rows || DEFAULT_SIZE.rows };
}
