import { fail } from "../errors.ts";
import {
  Attributes,
  asNumber,
  type Callable,
  callable,
  Func,
  float,
  str,
  textArgument,
  truth,
} from "../values.ts";

const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS = [
  "January",
  "February",
  "March",
  "April",
  "May",
  "June",
  "July",
  "August",
  "September",
  "October",
  "November",
  "December",
];
const DAY_MS = 86_400_000;

/** A wall-clock time without zone, such as Python's naive datetime, in the UTC fields of a Date. */
type WallClock = Date;

const two = (value: number): string => String(value).padStart(2, "0");
const dayOfYear = (date: WallClock): number =>
  Math.floor((date.getTime() - Date.UTC(date.getUTCFullYear(), 0, 1)) / DAY_MS) + 1;
const isoWeek = (date: WallClock): [year: number, week: number] => {
  const thursday = new Date(date.getTime() + (4 - (date.getUTCDay() || 7)) * DAY_MS);
  return [thursday.getUTCFullYear(), Math.ceil(dayOfYear(thursday) / 7)];
};

/** Write the offset of a zone from UTC: `+0200`. */
function offsetText(minutes: number): string {
  const size = Math.abs(minutes);
  return `${minutes < 0 ? "-" : "+"}${two(Math.floor(size / 60))}${two(size % 60)}`;
}

const dayName = (date: WallClock): string => DAYS[date.getUTCDay()] ?? "";
const monthName = (date: WallClock): string => MONTHS[date.getUTCMonth()] ?? "";

/** The writers of the letters after `%`. */
const PARTS: Readonly<Record<string, (date: WallClock, offset: number) => string>> = {
  Y: (date) => String(date.getUTCFullYear()),
  y: (date) => two(date.getUTCFullYear() % 100),
  C: (date) => two(Math.floor(date.getUTCFullYear() / 100)),
  m: (date) => two(date.getUTCMonth() + 1),
  d: (date) => two(date.getUTCDate()),
  e: (date) => String(date.getUTCDate()).padStart(2),
  H: (date) => two(date.getUTCHours()),
  I: (date) => two(date.getUTCHours() % 12 || 12),
  M: (date) => two(date.getUTCMinutes()),
  S: (date) => two(date.getUTCSeconds()),
  f: (date) => `${String(date.getUTCMilliseconds()).padStart(3, "0")}000`,
  j: (date) => String(dayOfYear(date)).padStart(3, "0"),
  p: (date) => (date.getUTCHours() < 12 ? "AM" : "PM"),
  a: (date) => dayName(date).slice(0, 3),
  A: (date) => dayName(date),
  b: (date) => monthName(date).slice(0, 3),
  h: (date) => monthName(date).slice(0, 3),
  B: (date) => monthName(date),
  u: (date) => String(date.getUTCDay() || 7),
  w: (date) => String(date.getUTCDay()),
  V: (date) => two(isoWeek(date)[1]),
  G: (date) => String(isoWeek(date)[0]),
  U: (date) => two(Math.floor((dayOfYear(date) + 6 - date.getUTCDay()) / 7)),
  W: (date) => two(Math.floor((dayOfYear(date) + 6 - ((date.getUTCDay() + 6) % 7)) / 7)),
  s: (date, offset) => String(Math.floor(date.getTime() / 1000) - offset * 60),
  z: (_, offset) => offsetText(offset),
  Z: (_, offset) => (offset === 0 ? "UTC" : offsetText(offset)),
  n: () => "\n",
  t: () => "\t",
  "%": () => "%",
  F: (date) => strftime(date, "%Y-%m-%d"),
  T: (date) => strftime(date, "%H:%M:%S"),
  R: (date) => strftime(date, "%H:%M"),
  D: (date) => strftime(date, "%m/%d/%y"),
  c: (date) => strftime(date, "%a %b %e %H:%M:%S %Y"),
  x: (date) => strftime(date, "%m/%d/%y"),
  X: (date) => strftime(date, "%H:%M:%S"),
  r: (date) => strftime(date, "%I:%M:%S %p"),
};

/** Write a wall-clock time by a format of C's strftime; its zone is `offsetMinutes` ahead of UTC. */
function strftime(date: WallClock, format: string, offsetMinutes = 0): string {
  return format.replace(/%(-?)([A-Za-z%])/g, (whole, dash: string, letter: string) => {
    const text = Object.hasOwn(PARTS, letter) ? PARTS[letter]?.(date, offsetMinutes) : undefined;
    return text === undefined ? whole : dash === "-" ? text.replace(/^[0 ]+(?=.)/, "") : text;
  });
}

const FIELDS: Readonly<Record<string, string>> = {
  Y: "(?<Y>\\d{4})",
  m: "(?<m>\\d{1,2})",
  d: "(?<d>\\d{1,2})",
  H: "(?<H>\\d{1,2})",
  I: "(?<I>\\d{1,2})",
  M: "(?<M>\\d{1,2})",
  S: "(?<S>\\d{1,2})",
  f: "(?<f>\\d{1,6})",
  y: "(?<y>\\d{2})",
  j: "(?<j>\\d{1,3})",
  p: "(?<p>[AaPp][Mm])",
  z: "(?<z>Z|[-+]\\d\\d:?\\d\\d)",
  Z: "(?:UTC|GMT|)",
  b: "(?<b>[A-Za-z]{3})",
  B: "(?<B>[A-Za-z]+)",
  a: "[A-Za-z]{3}",
  A: "[A-Za-z]+",
  "%": "%",
};

/** Read a time by a format of Python's strptime. Fail for a text of another format. */
function strptime(text: string, format: string): WallClock {
  const expanded = format.replace(/%T/g, "%H:%M:%S").replace(/%F/g, "%Y-%m-%d");
  const pattern = expanded.replace(/%(.)|[.*+?^${}()|[\]\\]/g, (part, letter?: string) =>
    letter === undefined
      ? `\\${part}`
      : (FIELDS[letter] ?? fail(`'%${letter}' is not known in the format '${format}'`)),
  );
  const { groups = {} } =
    new RegExp(`^${pattern}$`).exec(text) ?? fail(`time data '${text}' does not match format '${format}'`);
  const number = (name: string, fallback: number): number =>
    groups[name] === undefined ? fallback : Number(groups[name]);
  const name = (groups.b ?? groups.B)?.toLowerCase();
  const month =
    name === undefined ? number("m", 1) - 1 : MONTHS.findIndex((one) => one.toLowerCase().startsWith(name));
  const short = number("y", 0);
  const year =
    groups.Y === undefined && groups.y !== undefined ? short + (short < 69 ? 2000 : 1900) : number("Y", 1900);
  const hour =
    groups.I === undefined
      ? number("H", 0)
      : (number("I", 12) % 12) + (groups.p?.toLowerCase() === "pm" ? 12 : 0);
  const ms = Number((groups.f ?? "0").padEnd(6, "0").slice(0, 3));
  const day = groups.j === undefined ? number("d", 1) : number("j", 1);
  return new Date(
    Date.UTC(year, groups.j === undefined ? month : 0, day, hour, number("M", 0), number("S", 0), ms),
  );
}

function method(name: string, body: (args: readonly unknown[]) => unknown): Func {
  return new Func(name, (args) => body(args));
}

/** Make a length of time, as Python's timedelta. */
function timedelta(ms: number): Attributes {
  const days = Math.floor(ms / DAY_MS);
  const rest = ms - days * DAY_MS;
  const seconds = Math.floor(rest / 1000);
  const clock = `${Math.floor(seconds / 3600)}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  const values: Readonly<Record<string, unknown>> = {
    days,
    seconds,
    microseconds: Math.round((rest % 1000) * 1000),
    __key__: ms,
    __str__: days === 0 ? clock : `${days} day${Math.abs(days) === 1 ? "" : "s"}, ${clock}`,
    total_seconds: method("total_seconds", () => float(ms / 1000)),
    "__-__": (other: unknown) => timedelta(ms - keyOf(other)),
    "__+__": (other: unknown) => timedelta(ms + keyOf(other)),
  };
  return new Attributes("timedelta", (name) => (Object.hasOwn(values, name) ? values[name] : undefined));
}

function keyOf(value: unknown): number {
  const key = value instanceof Attributes ? value.get("__key__") : undefined;
  return typeof key === "number" ? key : fail("unsupported operand type for a date or length of time");
}

/** Make the value of a wall-clock time, as Python's datetime. */
export function datetime(date: WallClock): Attributes {
  const iso =
    strftime(date, "%Y-%m-%dT%H:%M:%S") + (date.getUTCMilliseconds() === 0 ? "" : strftime(date, ".%f"));
  const seconds = date.getUTCSeconds() === 0 ? [] : [date.getUTCSeconds()];
  const fields = [
    date.getUTCFullYear(),
    date.getUTCMonth() + 1,
    date.getUTCDate(),
    date.getUTCHours(),
    date.getUTCMinutes(),
    ...seconds,
  ];
  const values: Readonly<Record<string, unknown>> = {
    __repr__: `datetime.datetime(${fields.join(", ")})`,
    year: date.getUTCFullYear(),
    month: date.getUTCMonth() + 1,
    day: date.getUTCDate(),
    hour: date.getUTCHours(),
    minute: date.getUTCMinutes(),
    second: date.getUTCSeconds(),
    microsecond: date.getUTCMilliseconds() * 1000,
    strftime: method("strftime", ([format]) => strftime(date, String(format))),
    isoformat: method("isoformat", ([separator = "T"]) => iso.replace("T", String(separator))),
    timestamp: method("timestamp", () => float(date.getTime() / 1000)),
    weekday: method("weekday", () => (date.getUTCDay() + 6) % 7),
    isoweekday: method("isoweekday", () => date.getUTCDay() || 7),
    date: method("date", () => datetime(new Date(Math.floor(date.getTime() / DAY_MS) * DAY_MS))),
    __key__: date.getTime(),
    __str__: iso.replace("T", " "),
    "__-__": (other: unknown) =>
      other instanceof Attributes && other.kind === "datetime"
        ? timedelta(date.getTime() - keyOf(other))
        : datetime(new Date(date.getTime() - keyOf(other))),
    "__+__": (other: unknown) => datetime(new Date(date.getTime() + keyOf(other))),
  };
  return new Attributes("datetime", (name) => (Object.hasOwn(values, name) ? values[name] : undefined));
}

/** Make the value of a day, as Python's date; it prints as `2020-01-31`. */
export function date(day: WallClock): Attributes {
  const whole = datetime(day);
  const text = strftime(day, "%Y-%m-%d");
  const fields = [day.getUTCFullYear(), day.getUTCMonth() + 1, day.getUTCDate()].join(", ");
  return new Attributes("date", (name) => {
    if (name === "__str__") return text;
    return name === "__repr__" ? `datetime.date(${fields})` : whole.get(name);
  });
}

/** Return the wall-clock time of an instant, in UTC or in this machine's zone. */
export function wallClock(instant: Date, utc: boolean): WallClock {
  return utc ? instant : new Date(instant.getTime() - instant.getTimezoneOffset() * 60_000);
}

/** Format `format|strftime(seconds, utc)`: seconds since 1970; default: now. */
function format(text: unknown, seconds: unknown = null, utc: unknown = false): string {
  const since = seconds === null ? Date.now() / 1000 : (asNumber(seconds) ?? Number(str(seconds)));
  if (Number.isNaN(since)) return fail(`Invalid value for epoch value (${str(seconds)})`);
  const instant = new Date(since * 1000);
  return strftime(wallClock(instant, truth(utc)), str(text), truth(utc) ? 0 : -instant.getTimezoneOffset());
}

/** Ansible's filters of time. */
export const dateFilters: Readonly<Record<string, Callable>> = {
  strftime: callable(["format", "second", "utc"], format),
  to_datetime: callable(["value", "format"], (value: unknown, by?: unknown) =>
    datetime(strptime(str(value), textArgument(by, "%Y-%m-%d %H:%M:%S"))),
  ),
};
