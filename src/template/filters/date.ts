import { callable, textArgument } from "../calls.ts";
import { datetime, strftime, strptime, wallClock } from "../date.ts";
import { fail } from "../errors.ts";
import { str } from "../repr.ts";
import { asNumber, type Callable, truth } from "../values.ts";

/** `format|strftime(seconds, utc)`: seconds since 1970, now when not given. */
function format(text: unknown, seconds: unknown = null, utc: unknown = false): string {
  const since = seconds === null ? Date.now() / 1000 : (asNumber(seconds) ?? Number(str(seconds)));
  if (Number.isNaN(since)) return fail(`strftime: '${str(seconds)}' is not a number of seconds`);
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
