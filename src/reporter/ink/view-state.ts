/** A place in a host's log: a line's number, and which of the rows it is wrapped into, from 0. */
export interface LogPosition {
  readonly line: number;
  readonly part: number;
}

/** What the person watching has chosen to see. */
export interface ViewState {
  readonly screen: "fleet" | "host";
  readonly help: boolean;
  /** The host chosen; none means the list shows its top. */
  readonly selected: string | undefined;
  readonly failedOnly: boolean;
  readonly filter: string;
  /** True while the filter is being typed. */
  readonly typing: boolean;
  /** The first row shown of the log; undefined follows its end. */
  readonly scroll: LogPosition | undefined;
  /** How often Ctrl-C was pressed. */
  readonly cancels: number;
  /** Whether the screen stays once all is over, until somebody leaves it. */
  readonly held: boolean;
  /** What was chosen to come next. */
  readonly choice: "leave" | "shell" | undefined;
}

/** What is seen at first. */
export const INITIAL_VIEW: ViewState = {
  screen: "fleet",
  help: false,
  selected: undefined,
  failedOnly: false,
  filter: "",
  typing: false,
  scroll: undefined,
  cancels: 0,
  held: false,
  choice: undefined,
};
