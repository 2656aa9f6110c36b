import { differingHosts, laggingHosts } from "./marks.ts";
import type { ShellState } from "./shell-state.ts";

/** Looks again and again at which hosts lag and which differ. */
export interface MarkWatch {
  stop(): void;
}

const LOOK_MS = 250;
/** Screens that are still being drawn are not compared, unless they never rest. */
const QUIET_MS = 300;
const COMPARE_MS = 2_000;

/** Keeps the marks of a state up to date, and tells when one has changed. */
export function watchMarks(state: ShellState, changed: () => void): MarkWatch {
  let comparedAt = 0;
  let compared = "";
  const look = (): void => {
    const now = performance.now();
    const panes = state.panes.filter(
      ({ name, session }) => session.state.kind === "open" && !state.muted.has(name),
    );
    const samples = panes.map(({ name, inputAt, outputAt, session }) => ({
      host: name,
      inputAt,
      outputAt,
      pendingBytes: session.pendingBytes,
    }));
    let hasChanged = replace(state.lagging, laggingHosts(samples, now));
    const lastOutput = Math.max(0, ...samples.map(({ outputAt }) => outputAt ?? 0));
    const { paneColumns, paneRows } = state.layout;
    const key = [lastOutput, paneColumns, paneRows, state.zoomed, ...panes.map(({ name }) => name)].join();
    if (key !== compared && (now - lastOutput >= QUIET_MS || now - comparedAt >= COMPARE_MS)) {
      [comparedAt, compared] = [now, key];
      hasChanged = replace(state.differing, compare(state)) || hasChanged;
    }
    if (hasChanged) changed();
  };
  const timer = setInterval(look, LOOK_MS);
  return { stop: () => clearInterval(timer) };
}

/** A pane of another size, as one that is zoomed, shows the same in another way. */
function compare({ panes, muted, layout }: ShellState): ReadonlySet<string> {
  const comparable = panes.filter(
    ({ name, session, emulator }) =>
      session.state.kind === "open" &&
      !muted.has(name) &&
      emulator.size.columns === layout.paneColumns &&
      emulator.size.rows === layout.paneRows,
  );
  return differingHosts(
    comparable.map(({ name, alias, emulator }) => ({
      host: name,
      aliases: alias === undefined ? [] : [alias],
      lines: emulator.text(),
    })),
  );
}

function replace(set: Set<string>, next: ReadonlySet<string>): boolean {
  if (set.size === next.size && [...next].every((name) => set.has(name))) return false;
  set.clear();
  for (const name of next) set.add(name);
  return true;
}
