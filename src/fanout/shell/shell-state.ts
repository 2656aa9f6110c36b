import type { Layout } from "./layout.ts";
import type { LineEditor } from "./line-editor.ts";
import type { Pane } from "./pane.ts";

/** Where typed keys go. */
export type ShellMode =
  /** To the hosts. */
  | { readonly kind: "keys" }
  /** The key behind the escape key; afterwards keys go where they went before. */
  | {
      readonly kind: "command";
      readonly from: ShellMode;
      /** Whether the focus was just moved: it can be moved on, and any other key ends this. */
      readonly isRepeating: boolean;
    }
  | { readonly kind: "help" }
  /** Looking back in the pane that has the focus. */
  | { readonly kind: "scroll" }
  /** A line for the hosts' terminals. */
  | { readonly kind: "line" }
  /** A line whose answers are folded. */
  | { readonly kind: "fold" }
  /** A pattern that says whom to type to, or whom to mute. */
  | { readonly kind: "pattern"; readonly for: "select" | "mute"; readonly editor: LineEditor };

/** All that is to be seen of a shell, beside the panes' own screens. */
export interface ShellState {
  readonly panes: readonly Pane[];
  columns: number;
  rows: number;
  layout: Layout;
  /** Panes on a page at most. */
  maxPerPage: number | undefined;
  mode: ShellMode;
  /** An index into the panes. */
  focus: number;
  zoomed: boolean;
  readonly selected: Set<string>;
  readonly muted: Set<string>;
  readonly lagging: Set<string>;
  readonly differing: Set<string>;
  /** Said for a while at the bottom. */
  notice: string | undefined;
}

/** The hosts' panes that get what is typed: selected, not muted, and there. */
export function receivers({ panes, selected, muted }: ShellState): readonly Pane[] {
  return panes.filter(
    ({ name, session }) => session.state.kind === "open" && selected.has(name) && !muted.has(name),
  );
}

/** The pane that has the focus. */
export function focusedPane({ panes, focus }: ShellState): Pane {
  return panes[focus]!;
}

/** Those that can be seen now, in the order of their places. */
export function visiblePanes(state: ShellState): readonly Pane[] {
  const { panes, layout, focus, zoomed } = state;
  if (zoomed) return [focusedPane(state)];
  const first = focus - (focus % layout.perPage);
  return panes.slice(first, first + layout.perPage);
}

/** What is to be noticed of a pane, the weightiest first. */
export function marksOf(state: ShellState, pane: Pane): readonly string[] {
  const { name, session, bell, recording } = pane;
  return [
    ...(session.state.kind === "dropped" ? ["gone"] : []),
    ...(session.state.kind === "ended" ? ["ended"] : []),
    ...(session.state.kind === "connecting" || session.state.kind === "waiting" ? ["connecting"] : []),
    ...(state.muted.has(name) ? ["muted"] : []),
    ...(state.lagging.has(name) ? ["lags"] : []),
    ...(state.differing.has(name) ? ["differs"] : []),
    ...(bell ? ["bell"] : []),
    ...(recording === undefined ? [] : ["rec"]),
  ];
}
