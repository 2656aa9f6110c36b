import type { Key as InkKey } from "ink";
import { hasFailed } from "../host-status.ts";
import { helpRoom, helpRows } from "./help.tsx";
import { firstRow, logLayout } from "./log.ts";
import type { HostView, RunView } from "./model.ts";
import { listedHosts, logRoom, type Surface, shownHost, type ViewState } from "./view-state.ts";

/** A key by name, or the character it types. */
export type Key =
  | "up"
  | "down"
  | "left"
  | "right"
  | "pageUp"
  | "pageDown"
  | "home"
  | "end"
  | "enter"
  | "escape"
  | "backspace"
  | "ctrl-c"
  | { readonly text: string };

/** Turn a piece of input that ink has parsed into keys; text typed or pasted in one go becomes one key a character. */
export function keysOf(input: string, key: InkKey): readonly Key[] {
  if (key.ctrl) return input === "c" ? ["ctrl-c"] : [];
  if (key.upArrow) return ["up"];
  if (key.downArrow) return ["down"];
  if (key.leftArrow) return ["left"];
  if (key.rightArrow) return ["right"];
  if (key.pageUp) return ["pageUp"];
  if (key.pageDown) return ["pageDown"];
  if (key.home) return ["home"];
  if (key.end) return ["end"];
  if (key.return) return ["enter"];
  if (key.escape) return ["escape"];
  // Terminals send DEL for the backspace key, which ink calls delete.
  if (key.backspace || key.delete) return ["backspace"];
  if (key.tab || key.meta) return [];
  return [...input].flatMap((text): readonly Key[] => {
    if (text === "\x03") return ["ctrl-c"];
    if (text === "\r" || text === "\n") return ["enter"];
    if (text === "\x7f" || text === "\b") return ["backspace"];
    return text < " " ? [] : [{ text }];
  });
}

const MAX_FILTER = 60;

/** Return the view after a key. */
export function press(view: ViewState, key: Key, run: RunView, surface: Surface): ViewState {
  if (view.held && run.ended && !view.typing) {
    const choice = chosen(key, view, run);
    if (choice !== undefined) return { ...view, choice };
  }
  if (key === "ctrl-c") return { ...view, cancels: view.cancels + 1 };
  if (view.help !== undefined) return { ...view, help: scrollHelp(view.help, key, surface) };
  if (view.typing) return typeFilter(view, key);
  if (typeof key === "object" && key.text === "?") return { ...view, help: 0 };
  const host = shownHost(run, view);
  return host === undefined
    ? pressInFleet({ ...view, screen: "fleet" }, key, run, surface)
    : pressInHost(view, key, host, run, surface);
}

/** Return the choice that a key makes after the end of the run. */
function chosen(key: Key, view: ViewState, run: RunView): ViewState["choice"] {
  if (key === "ctrl-c") return "leave";
  if (typeof key !== "object" || view.help !== undefined) return undefined;
  if (key.text === "q" && view.screen === "fleet") return "leave";
  return key.text === "s" && run.hosts.some(hasFailed) ? "shell" : undefined;
}

/** Return by how many rows a key moves on, endlessly to the start or the end; undefined for a key that does not move. */
function movement(key: Key, page: number): number | undefined {
  switch (typeof key === "object" ? key.text : key) {
    case "up":
    case "k":
      return -1;
    case "down":
    case "j":
      return 1;
    case "pageUp":
      return -page;
    case "pageDown":
    case " ":
      return page;
    case "home":
    case "g":
      return Number.NEGATIVE_INFINITY;
    case "end":
    case "G":
      return Number.POSITIVE_INFINITY;
    default:
      return undefined;
  }
}

/** Return the first row of the help after a key, undefined for a key that goes back: where all is in sight, every key. */
function scrollHelp(first: number, key: Key, surface: Surface): number | undefined {
  const room = helpRoom(surface);
  const last = helpRows(surface).length - room;
  const by = movement(key, Math.max(1, room - 1));
  if (last <= 0 || by === undefined) return undefined;
  return Math.max(0, Math.min(Math.min(first, last) + by, last));
}

function typeFilter(view: ViewState, key: Key): ViewState {
  if (key === "enter") return { ...view, typing: false };
  if (key === "escape") return { ...view, typing: false, filter: "" };
  if (key === "backspace") {
    return view.filter === ""
      ? { ...view, typing: false }
      : { ...view, filter: [...view.filter].slice(0, -1).join("") };
  }
  if (typeof key !== "object") return view;
  return { ...view, filter: `${view.filter}${key.text}`.slice(0, MAX_FILTER) };
}

function pressInFleet(view: ViewState, key: Key, run: RunView, surface: Surface): ViewState {
  const listed = listedHosts(run, view);
  const by = movement(key, Math.max(1, surface.rows - 7));
  if (by !== undefined) return { ...view, selected: neighbour(listed, view.selected, by) ?? view.selected };
  switch (typeof key === "object" ? key.text : key) {
    case "enter": {
      const chosen = listed.find(({ name }) => name === view.selected) ?? listed[0];
      return chosen === undefined
        ? view
        : { ...view, screen: "host", selected: chosen.name, scroll: undefined };
    }
    case "f":
      return { ...view, failedOnly: !view.failedOnly };
    case "/":
      return { ...view, typing: true };
    case "escape":
      return view.filter === "" && !view.failedOnly
        ? { ...view, selected: undefined }
        : { ...view, filter: "", failedOnly: false };
    default:
      return view;
  }
}

function pressInHost(view: ViewState, key: Key, host: HostView, run: RunView, surface: Surface): ViewState {
  const room = logRoom(run, view, surface);
  const by = movement(key, Math.max(1, room - 1));
  if (by !== undefined) return scrollLog(view, host, by, { columns: surface.columns, room });
  const show = (by: number): ViewState => ({
    ...view,
    selected: neighbour(listedHosts(run, view), host.name, by) ?? host.name,
    scroll: undefined,
  });
  switch (typeof key === "object" ? key.text : key) {
    case "left":
    case "h":
      return show(-1);
    case "right":
    case "l":
      return show(1);
    case "escape":
    case "backspace":
    case "q":
      return { ...view, screen: "fleet" };
    default:
      return view;
  }
}

/** The name of the host `by` places further; the first one when no host is chosen, or the chosen one is no longer listed. */
function neighbour(
  listed: readonly HostView[],
  selected: string | undefined,
  by: number,
): string | undefined {
  const index = listed.findIndex(({ name }) => name === selected);
  const next = index < 0 && Number.isFinite(by) ? 0 : Math.max(0, Math.min(listed.length - 1, index + by));
  return listed[next]?.name;
}

function scrollLog(
  view: ViewState,
  host: HostView,
  by: number,
  { columns, room }: { columns: number; room: number },
): ViewState {
  const rows = logLayout(host.log, columns);
  const last = Math.max(0, rows.length - room);
  const next = Math.max(0, firstRow(rows, view.scroll, room) + by);
  const target = rows[next];
  // At the end again, follow it.
  if (next >= last || target === undefined) return { ...view, scroll: undefined };
  return { ...view, scroll: { line: target.line, part: target.part } };
}
