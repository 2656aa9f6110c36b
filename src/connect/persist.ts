import { volleyProgram, volleyVersion } from "../bundle/this-package.ts";
import type { PersistChoice, TransportsOptions } from "../controller/prepare/reach.ts";
import { VolleyError } from "../core/errors.ts";
import { MAX_TIMER_SECONDS } from "../core/options.ts";
import { PERSIST_TIMES, parsePersistTime } from "../core/unix/duration.ts";
import { SERVE } from "../transport/persist/hung.ts";
import { type BackgroundLink, type BackgroundPlace, openLink } from "../transport/persist/link.ts";
import { persistDirectory } from "../transport/persist/place.ts";

/** A time such as `"10m"`, `"2h"` or `"90"` (seconds), or a number of milliseconds; false: keep no connection, and use none. */
export type PersistTime = string | number | false;

/** A smaller number was meant in seconds. */
const LEAST_MS = 1_000;

/** Return the place of this user's background process, which `main`, the file of the command `volley`, starts. */
export function backgroundPlace(main: string, onStartFailed: (why: string) => void): BackgroundPlace {
  return {
    directory: persistDirectory(),
    version: volleyVersion(),
    command: [process.execPath, main, ...SERVE],
    onStartFailed,
  };
}

/** Choose to keep connections for so many milliseconds, by default as ssh_config says. */
export function chooseBackground(forMs: number | undefined, place: () => BackgroundPlace): PersistChoice {
  let link: BackgroundLink | undefined;
  return {
    openLink: async () => {
      link ??= openLink(place());
      return link;
    },
    ...(forMs === undefined ? {} : { forMs }),
  };
}

/**
 * Choose what a program asks for. `onFailed` gets the reason where the background process cannot be started. Fails with
 * `USAGE`.
 */
export function choosePersist(
  persist: PersistTime | undefined,
  onFailed: (why: string) => void,
): Pick<TransportsOptions, "persist"> {
  const forMs = persist === undefined || persist === false ? undefined : msOf(persist);
  // A comparison measures connections of its own, through proxies.
  if (persist === false || process.env.VOLLEY_ROUTES !== undefined) return {};
  return { persist: chooseBackground(forMs, () => backgroundPlace(volleyProgram(), onFailed)) };
}

function msOf(persist: string | number): number {
  if (typeof persist === "string") {
    const ms = parsePersistTime(persist);
    if (ms !== undefined) return ms;
    throw new VolleyError("USAGE", `persist must be ${PERSIST_TIMES}, not "${persist}"`);
  }
  const mostMs = MAX_TIMER_SECONDS * 1_000;
  if (persist >= LEAST_MS && persist <= mostMs) return persist;
  throw new VolleyError(
    "USAGE",
    `persist must be a number of milliseconds from ${LEAST_MS} to ${mostMs}, not ${String(persist)}`,
    { hint: 'write seconds as a text, such as "90s"; false keeps no connection' },
  );
}
