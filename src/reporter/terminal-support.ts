/** The environment variables of a process. */
export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Whether to colour what is written to a stream: `NO_COLOR` (no-color.org) wins, then `FORCE_COLOR` (force-color.org),
 * then whether it is a terminal that is not `dumb`.
 */
export function colorsWanted(stream: { readonly isTTY?: boolean | undefined }, env: Environment): boolean {
  if ((env.NO_COLOR ?? "") !== "") return false;
  const forced = env.FORCE_COLOR;
  if (forced !== undefined) return forced !== "0" && forced !== "false";
  return stream.isTTY === true && env.TERM !== "dumb";
}

/** Whether the locale is UTF-8, as POSIX has it: `LC_ALL` over `LC_CTYPE` over `LANG`; the Linux console lacks the signs. */
export function unicodeWanted(env: Environment): boolean {
  if (env.TERM === "linux") return false;
  const locale = [env.LC_ALL, env.LC_CTYPE, env.LANG].find((value) => value !== undefined && value !== "");
  return locale !== undefined && /utf-?8/i.test(locale);
}

/** Whether a person can watch: a terminal that can be drawn on, not a build server's, and not read aloud (ink's variable). */
export function isWatched(stream: { readonly isTTY?: boolean | undefined }, env: Environment): boolean {
  if (stream.isTTY !== true || env.TERM === "dumb" || env.INK_SCREEN_READER === "true") return false;
  return env.CI === undefined || env.CI === "" || env.CI === "false" || env.CI === "0";
}
