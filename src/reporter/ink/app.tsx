import { Box, type Key as InkKey, useApp, useInput } from "ink";
import { type ReactNode, useEffect } from "react";
import { Header } from "./header.tsx";
import { Footer, Help } from "./help.tsx";
import { HostLog } from "./host-log.tsx";
import { HostTable } from "./host-table.tsx";
import { type Key, keysOf } from "./keys.ts";
import { firstRow, logLayout } from "./log.ts";
import type { HostView, RunView } from "./model.ts";
import { Colors } from "./text.tsx";
import {
  hostRoom,
  isLow,
  listedHosts,
  logRoom,
  type Surface,
  shownHost,
  type ViewState,
} from "./view-state.ts";

/** The properties of every screen. */
interface ScreenProps {
  readonly run: RunView;
  readonly view: ViewState;
  readonly surface: Surface;
}

/** The whole screen: one row less than the terminal has, because ink clears a terminal that its output fills. */
export function App({ colors, ...props }: ScreenProps & { readonly colors: boolean }): ReactNode {
  const { run, view, surface } = props;
  const host = shownHost(run, view);
  return (
    <Colors value={colors}>
      <Box
        flexDirection="column"
        justifyContent="space-between"
        width={Math.max(1, surface.columns)}
        height={Math.max(1, surface.rows - 1)}
        // Only a low terminal can lack rows for what is always shown; cutting takes time for each row.
        overflow={isLow(surface) ? "hidden" : "visible"}
      >
        {view.help !== undefined ? (
          <Help first={view.help} surface={surface} />
        ) : host === undefined ? (
          <Fleet {...props} />
        ) : (
          <Host host={host} {...props} />
        )}
      </Box>
    </Colors>
  );
}

function Fleet({ run, view, surface }: ScreenProps): ReactNode {
  const listed = listedHosts(run, view);
  const room = hostRoom(run, view, surface);
  // The chosen host is in sight, near the middle.
  const chosen = listed.findIndex(({ name }) => name === view.selected);
  const first = chosen < 0 ? 0 : Math.max(0, Math.min(chosen - Math.floor(room / 2), listed.length - room));
  const shown = listed.slice(first, first + room);
  const position =
    listed.length > shown.length && shown.length > 0
      ? `${first + 1}-${first + shown.length} of ${listed.length}`
      : "";
  return (
    <>
      <Box flexDirection="column" flexShrink={0}>
        <Header run={run} view={view} surface={surface} />
        <HostTable run={run} hosts={shown} view={view} surface={surface} />
      </Box>
      <Footer run={run} view={{ ...view, screen: "fleet" }} position={position} surface={surface} />
    </>
  );
}

function Host({ run, host, view, surface }: ScreenProps & { readonly host: HostView }): ReactNode {
  const { log } = host;
  const all = logLayout(log, surface.columns);
  const room = logRoom(run, view, surface);
  const first = firstRow(all, view.scroll, room);
  const shown = all.slice(first, first + room);
  const left = all.length - first - shown.length;
  const place =
    view.scroll === undefined ? (host.phase === "done" ? "end" : "following") : `${left} more below`;
  const position = log.dropped > 0 ? `${log.dropped} early lines dropped, ${place}` : place;
  return (
    <>
      <HostLog run={run} host={host} rows={shown} view={view} surface={surface} />
      <Footer run={run} view={view} position={position} surface={surface} />
    </>
  );
}

/** The keyboard: draws nothing. */
export function Keyboard({
  onKey,
  onRedraw,
  onExit,
}: {
  readonly onKey: (key: Key) => void;
  readonly onRedraw: () => void;
  /** Called with what ends the app and gives the keyboard back at once; unmounting gives it back some turns later. */
  readonly onExit: (exit: () => void) => void;
}): ReactNode {
  const { exit } = useApp();
  useInput((input: string, key: InkKey) => {
    if (key.ctrl && input === "l") onRedraw();
    for (const each of keysOf(input, key)) onKey(each);
  });
  useEffect(() => onExit(exit), [onExit, exit]);
  return null;
}
