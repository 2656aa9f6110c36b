import { MAX_TIMER_SECONDS } from "../options.ts";

const UNITS_S: Readonly<Record<string, number>> = { "": 1, s: 1, m: 60, h: 3_600, d: 86_400, w: 604_800 };

/** Parse a time such as `10`, `90s` or `1m30s` into seconds (sshd_config(5), TIME FORMATS); undefined for other text. */
export function parseSeconds(text: string): number | undefined {
  if (text === "" || !/^(?:\d+[smhdw])*\d*$/i.test(text)) return undefined;
  let seconds = 0;
  for (const [, amount, unit] of text.toLowerCase().matchAll(/(\d+)([smhdw]?)/g))
    seconds += Number(amount) * UNITS_S[unit!]!;
  return seconds < 2 ** 31 ? seconds : undefined;
}

/** The times that {@link parsePersistTime} takes, for errors. */
export const PERSIST_TIMES = "a time above 0, of 24 days at most, such as 10m, 2h or 90 (seconds)";

/** Parse a time to keep connections for into milliseconds; undefined for all that is not {@link PERSIST_TIMES}. */
export function parsePersistTime(text: string): number | undefined {
  const seconds = parseSeconds(text);
  return seconds === undefined || seconds === 0 || seconds > MAX_TIMER_SECONDS ? undefined : seconds * 1_000;
}
