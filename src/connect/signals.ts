import { setMaxListeners } from "node:events";

/** Return a signal that is aborted as soon as one of these is. */
export function anyOf(one: AbortSignal | undefined, other: AbortSignal): AbortSignal {
  const any = one === undefined ? other : AbortSignal.any([one, other]);
  // Every host at work listens: that is no leak.
  setMaxListeners(0, any);
  return any;
}
