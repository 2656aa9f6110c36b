import { VolleyError } from "../../core/errors.ts";
import type { Diff } from "../../core/result.ts";
import type { Stat } from "../../core/system.ts";

/** The format of times unless another one is given, as Python's strptime has it. */
export const TIME_FORMAT = "%Y%m%d%H%M.%S";

/** The wanted times of a file: `preserve`, `now`, or a moment in local time, each with its format. */
export interface WantedTimes {
  readonly modification: string;
  readonly access: string;
  readonly modificationFormat: string;
  readonly accessFormat: string;
}

/** Times to set, in milliseconds since 1970. */
export interface TimesToSet {
  readonly atimeMs: number | "now";
  readonly mtimeMs: number | "now";
}

const MONTHS = "january february march april may june july august september october november december".split(
  " ",
);

const FIELDS: Readonly<Record<string, string>> = {
  Y: "(?<Y>\\d{4})",
  y: "(?<y>\\d{2})",
  m: "(?<m>1[0-2]|0?[1-9])",
  b: `(?<b>${MONTHS.map((month) => month.slice(0, 3)).join("|")})`,
  B: `(?<b>${MONTHS.join("|")})`,
  d: "(?<d>3[01]|[12]\\d|0?[1-9])",
  j: "(?<j>\\d{1,3})",
  H: "(?<H>2[0-3]|[01]?\\d)",
  I: "(?<I>1[0-2]|0?[1-9])",
  p: "(?<p>[ap]m)",
  M: "(?<M>[0-5]?\\d)",
  S: "(?<S>6[01]|[0-5]?\\d)",
  f: "(?<f>\\d{1,6})",
  "%": "%",
};

/** Read a time as Python's strptime does, of the fields that say a moment in local time. */
export function parseTime(time: string, format: string): number {
  // The seconds of the usual format may be left out.
  const full = format === TIME_FORMAT && /^\d{12}$/.test(time) ? `${time}.00` : time;
  const source = format.replace(/%(.)|\s+|[^\w\s]/gs, (part, field: string | undefined) =>
    field === undefined
      ? /\s/.test(part)
        ? "\\s+"
        : `\\${part}`
      : (FIELDS[field] ?? fail(`the format ${format} has %${field}, which is not known`)),
  );
  const parts =
    new RegExp(`^${source}$`, "i").exec(full)?.groups ??
    (source.includes("(") || fail(`the format ${format} has no field of a time`)
      ? fail(
          `"${time}" is not a time; write preserve, now, or ${format === TIME_FORMAT ? "YYYYMMDDHHMM.SS" : format}`,
        )
      : {});
  const number = (field: string, initial: number): number => Number(parts[field] ?? initial);
  const short = number("y", 0);
  const year = parts.y === undefined ? number("Y", 1900) : short + (short < 69 ? 2000 : 1900);
  const named = MONTHS.findIndex((month) => parts.b !== undefined && month.startsWith(parts.b.toLowerCase()));
  const month = named === -1 ? number("m", 1) - 1 : named;
  const hour =
    parts.I === undefined ? number("H", 0) : (number("I", 0) % 12) + (/p/i.test(parts.p ?? "") ? 12 : 0);
  const date =
    parts.j === undefined
      ? new Date(year, month, number("d", 1), hour, number("M", 0), number("S", 0))
      : new Date(year, 0, number("j", 1), hour, number("M", 0), number("S", 0));
  return date.getTime() + Math.floor(Number(`0.${parts.f ?? 0}`) * 1000);
}

function fail(message: string): never {
  throw new VolleyError("ACTION_FAILED", message);
}

/** Return the time to set; undefined when the file has it already, to the second. */
function wantedTime(time: string, format: string, currentMs: number): number | "now" | undefined {
  if (time === "preserve") return undefined;
  if (time === "now") return "now";
  const wantedMs = parseTime(time, format);
  return Math.floor(wantedMs / 1000) === Math.floor(currentMs / 1000) ? undefined : wantedMs;
}

function formatTime(time: number | "now"): string {
  return time === "now" ? time : new Date(time).toISOString();
}

/** Return the times to set of a new entry; null when both are to be the time of its creation. */
export function timesOfNew(wanted: WantedTimes): TimesToSet | null {
  const read = (time: string, format: string): number | undefined =>
    time === "preserve" || time === "now" ? undefined : parseTime(time, format);
  const mtimeMs = read(wanted.modification, wanted.modificationFormat);
  const atimeMs = read(wanted.access, wanted.accessFormat);
  if (mtimeMs === undefined && atimeMs === undefined) return null;
  return { atimeMs: atimeMs ?? "now", mtimeMs: mtimeMs ?? "now" };
}

/** Compare a file's times with the wanted ones; null when neither differs. */
export function inspectTimes(
  stat: Stat,
  wanted: WantedTimes,
): { readonly set: TimesToSet; readonly attributes: NonNullable<Diff["attributes"]> } | null {
  const mtimeMs = wantedTime(wanted.modification, wanted.modificationFormat, stat.mtimeMs);
  const atimeMs = wantedTime(wanted.access, wanted.accessFormat, stat.atimeMs);
  if (mtimeMs === undefined && atimeMs === undefined) return null;
  return {
    set: { atimeMs: atimeMs ?? stat.atimeMs, mtimeMs: mtimeMs ?? stat.mtimeMs },
    attributes: {
      ...(mtimeMs === undefined ? {} : { mtime: [formatTime(stat.mtimeMs), formatTime(mtimeMs)] as const }),
      ...(atimeMs === undefined ? {} : { atime: [formatTime(stat.atimeMs), formatTime(atimeMs)] as const }),
    },
  };
}
