import { fail } from "../errors.ts";
import { type Callable, callable, float, intArgument, str, typeName } from "../values.ts";

const SECOND = 1000;
const DAY = 86_400 * SECOND;

/** The names of units of time, singular, and their lengths in milliseconds. */
const UNITS: readonly (readonly [names: readonly string[], length: number])[] = [
  [["ms", "msec", "msecond", "millisecond"], 1],
  [["s", "sec", "second"], SECOND],
  [["m", "min", "minute"], 60 * SECOND],
  [["h", "hour"], 3600 * SECOND],
  [["d", "day"], DAY],
  [["w", "week"], 7 * DAY],
  [["mo", "month"], 30 * DAY],
  [["y", "year"], 365 * DAY],
];

function lengthOf(unit: string, year: number, month: number): number | undefined {
  const names = [unit, unit.replace(/s$/, "")];
  const found = UNITS.find(([known]) => names.some((name) => known.includes(name)));
  if (found === undefined) return undefined;
  return found[0][0] === "y" ? year * DAY : found[0][0] === "mo" ? month * DAY : found[1];
}

function convert(text: unknown, unit: string, year: unknown, month: unknown): unknown {
  if (typeof text !== "string") return fail(`to_time_unit() can not interpret a ${typeName(text)}`);
  const [days, daysOfMonth] = [intArgument(year, 365), intArgument(month, 30)];
  const target =
    lengthOf(unit, days, daysOfMonth) ??
    fail(
      `to_time_unit() can not convert to the following unit: ${unit}. Available units (singular or plural): millisecond, second, minute, hour, day, week, month, year`,
    );
  if (text.trim() === "0") return 0;
  let sum = 0;
  for (const part of text.split(/\s+/).filter((one) => one !== "")) {
    const [, count, name = ""] = /^([-+]?\d+)([A-Za-z]+)$/.exec(part) ?? [];
    const length = lengthOf(name.toLowerCase() === name ? name : "", days, daysOfMonth);
    if (count === undefined || length === undefined)
      return fail(`to_time_unit() can not interpret following string: ${text}`);
    sum += Number(count) * length;
  }
  return float(Number((sum / target).toFixed(12)));
}

const to = (unit: string): Callable =>
  callable(["value", "year", "month"], (value: unknown, year: unknown, month: unknown) =>
    convert(value, unit, year, month),
  );

/** The filters of `community.general` that convert lengths of time. */
export const unitFilters: Readonly<Record<string, Callable>> = {
  to_time_unit: callable(
    ["value", "unit", "year", "month"],
    (value: unknown, unit: unknown = "ms", year: unknown, month: unknown) =>
      convert(value, str(unit), year, month),
  ),
  to_milliseconds: to("ms"),
  to_seconds: to("s"),
  to_minutes: to("m"),
  to_hours: to("h"),
  to_days: to("d"),
  to_weeks: to("w"),
  to_months: to("mo"),
  to_years: to("y"),
};
