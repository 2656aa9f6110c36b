import * as v from "valibot";
import { describe, flag, oneOf, optionalText, text } from "../shared/params.ts";

const time = (description: string) =>
  v.optional(
    v.pipe(
      v.union([v.string(), v.number()]),
      v.transform((value) => String(value).trim()),
      v.regex(/^\S+$/, "must be one cron field, without spaces"),
      v.description(description),
    ),
  );

/** The cron action's parameters, under Ansible's names. */
export const cronParams = v.pipe(
  v.strictObject({
    name: text("What the job is known by, in a comment above it; with `env` the variable's name."),
    job: v.optional(
      describe(
        v.string(),
        "The command, on one line; with `env` the variable's value, which may be empty. Required unless `state` is `absent`.",
      ),
    ),
    value: v.optional(describe(v.string(), "The same as `job`.")),
    state: oneOf(["present", "absent"], "present", "Whether it is in the crontab."),
    user: optionalText(
      "Whose crontab, or with `cron_file` who runs the job. Default: the user this runs as.",
    ),
    cron_file: optionalText("A file of its own instead of the user's crontab; relative to `/etc/cron.d`."),
    minute: time("`0` to `59`, `*`, `*/2` …"),
    hour: time("`0` to `23`, `*`, `*/2` …"),
    day: time("Day of the month."),
    dom: time("The same as `day`."),
    month: time("`1` to `12`, or a name."),
    weekday: time("`0` to `6` from Sunday, or a name."),
    dow: time("The same as `weekday`."),
    special_time: v.optional(
      v.pipe(
        v.picklist(["reboot", "yearly", "annually", "monthly", "weekly", "daily", "hourly"]),
        v.description("Instead of the times."),
      ),
    ),
    disabled: flag("Comment the job out."),
    env: flag("Set a variable rather than a job."),
    insertafter: optionalText("With `env`, the variable a new one goes below. Default: the top."),
    insertbefore: optionalText("With `env`, the variable a new one goes above."),
    backup: flag("Keep a copy of what was there."),
  }),
  v.check(
    ({ job, value }) => job === undefined || value === undefined,
    "job and value are the same; give one of them",
  ),
  v.check(
    ({ job, value, state }) => state === "absent" || (job ?? value) !== undefined,
    "job is required to set it",
  ),
  v.check(
    ({ job, value, env, state }) => env || state === "absent" || (job ?? value) !== "",
    "job must not be empty",
  ),
  v.check(({ job, value }) => !/[\r\n]+(?=.)/.test(job ?? value ?? ""), "job must be one line"),
  v.check(({ name }) => !/[\r\n]/.test(name), "name must be one line"),
  v.check(
    ({ cron_file, user, state, env }) =>
      cron_file === undefined || user !== undefined || state === "absent" || env,
    "user is required with cron_file: it says who runs the job",
  ),
  v.check(
    ({ special_time, minute, hour, day, dom, month, weekday, dow }) =>
      special_time === undefined ||
      [minute, hour, day, dom, month, weekday, dow].every((field) => (field ?? "*") === "*"),
    "special_time stands for the times; give one or the other",
  ),
  v.check(
    ({ insertafter, insertbefore, env }) => env || (insertafter ?? insertbefore) === undefined,
    "insertafter and insertbefore go with env",
  ),
  v.check(
    ({ insertafter, insertbefore }) => insertafter === undefined || insertbefore === undefined,
    "give insertafter or insertbefore, not both",
  ),
);

/** The cron action's parameters once validated. */
export type CronParams = v.InferOutput<typeof cronParams>;
