import { MAX_TIMER_SECONDS } from "../../core/options.ts";
import { parseSeconds } from "../../core/unix/duration.ts";

/** The times that {@link parsePersistTime} takes, for errors. */
export const PERSIST_TIMES = "a time above 0, of 24 days at most, such as 10m, 2h or 90 (seconds)";

/** Parse a time to keep connections for into milliseconds; undefined for all that is not {@link PERSIST_TIMES}. */
export function parsePersistTime(text: string): number | undefined {
  const seconds = parseSeconds(text);
  return seconds === undefined || seconds === 0 || seconds > MAX_TIMER_SECONDS ? undefined : seconds * 1_000;
}
