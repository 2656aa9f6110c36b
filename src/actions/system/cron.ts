import * as v from "valibot";
import { type ActionContext, unchanged } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import { defineAction } from "../define.ts";
import { describe, flag, oneOf, optionalText, text } from "../shared/params.ts";
import {
  applyTable,
  type CronChange,
  fileLines,
  findVariable,
  inspectTable,
  isSame,
  joinCrontab,
  readTable,
  removeVariable,
  variableNames,
} from "./crontab.ts";

const time = (description: string) =>
  v.optional(
    v.pipe(
      v.union([v.string(), v.number()]),
      v.transform((value) => String(value).trim()),
      v.regex(/^\S+$/, "must be one cron field, without spaces"),
      v.description(description),
    ),
  );

/** The parameters of the cron action, under Ansible's names. */
const cronParams = v.pipe(
  v.strictObject({
    name: text("Name of the job, kept in a comment above it; with `env` the name of the variable."),
    job: v.optional(
      describe(
        v.string(),
        "The command, on one line; with `env` the variable's value, which may be empty. Required unless `state` is `absent`.",
      ),
    ),
    value: v.optional(describe(v.string(), "The same as `job`.")),
    state: oneOf(["present", "absent"], "present", "Set or remove it."),
    user: optionalText(
      "Owner of the crontab, or with `cron_file` the user who runs the job. Default: the user of the task.",
    ),
    cron_file: optionalText(
      "File to use instead of a user's crontab; relative to `/etc/cron.d`. `/etc/crontab` is refused.",
    ),
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
        v.description("A named schedule, instead of the times."),
      ),
    ),
    disabled: flag("Comment out the job."),
    env: flag("Set a variable instead of a job."),
    insertafter: optionalText("With `env`, the variable to insert a new one below. Default: the top."),
    insertbefore: optionalText("With `env`, the variable to insert a new one above."),
    backup: flag("Keep a copy of the old crontab."),
  }),
  v.check(
    ({ job, value }) => job === undefined || value === undefined,
    "job and value are the same; give one of them",
  ),
  v.check(
    ({ job, value, state }) => state === "absent" || (job ?? value) !== undefined,
    "You must specify 'job' to install a new cron job or variable",
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

/** The validated parameters of the cron action. */
type CronParams = v.InferOutput<typeof cronParams>;

/** The data of a cron task. */
interface CronData {
  /** Absent with `envs` when the last job went with its file. */
  readonly jobs?: readonly string[];
  readonly envs?: readonly string[];
  /** As given. */
  readonly cron_file?: string;
  /** Of a removed file. */
  readonly state?: "absent";
  readonly backup_file?: string;
}

/** Set jobs and variables of crontabs. */
export const cron = defineAction<typeof cronParams, CronChange, CronData>({
  name: "cron",
  doc: `Set or remove a job, or with \`env\` a variable, of a user's crontab or of a file in \`/etc/cron.d\`.

A comment above a job holds its name: \`#Ansible: NAME\`, the same comment that Ansible's module writes, so that its crontabs need no change. Another name makes another job. Everything else in the crontab stays as it is. A \`cron_file\` is removed with its last job when no other line is left.

A \`%\` in a job must be escaped, as cron requires. Root reads the crontab from the spool directory, other users with \`crontab -l\`; \`crontab\` always writes it.`,
  params: cronParams,
  examples: [
    { name: "backup", minute: 0, hour: "2", job: "/usr/local/bin/backup" },
    { name: "rotate", special_time: "daily", job: "/usr/sbin/rotate", cron_file: "rotate", user: "root" },
    { name: "MAILTO", env: true, job: "ops@example.org" },
    { name: "backup", state: "absent" },
  ],
  title: ({ name }) => name,

  async inspect(params, system, context) {
    const table = await readTable(params, system);
    const { path, before, lines } = table;
    const edited = edit(lines, params);
    if (edited === null) return placeMissing(params, context);
    const removes =
      path !== null && params.state === "absent" && !params.env && edited.every((line) => line.trim() === "");
    if (!removes || isSame(lines, edited))
      return (
        (await inspectTable({
          table,
          edited,
          params,
          system,
          context,
          data: describeCrontab(edited, params),
        })) ?? unchanged(describeCrontab(edited, params))
      );
    const change = {
      file: null,
      removes: path,
      before: joinCrontab(lines),
      after: "",
      data: removedData(params),
    };
    return { ...change, diff: { path, before: before ?? "", after: null } };
  },

  async apply(change, params, system, context) {
    const data =
      change.removes === null ? describeCrontab(fileLines(change.after), params) : removedData(params);
    return applyTable({ change, params, system, context, data });
  },
});

/** Return the wanted lines of a crontab; null when it lacks the variable to insert a new one beside. */
function edit(lines: readonly string[], params: CronParams): readonly string[] | null {
  const { name, job, value, state, env, insertafter, insertbefore } = params;
  const text = job ?? value ?? "";
  if (env) {
    if (state === "absent") return removeVariable(lines, name);
    const other = insertafter ?? insertbefore;
    const relation = insertafter === undefined ? "before" : "after";
    return setVariable(lines, name, text, other === undefined ? null : { relation, name: other });
  }
  if (state === "absent") return removeJob(lines, name);
  return setJob(lines, name, cronLine(text, params));
}

/** Write a job's line, with single spaces between fields as Ansible writes them. */
function cronLine(job: string, params: CronParams): string {
  const { minute = "*", hour = "*", day, dom, month = "*", weekday, dow, special_time: special } = params;
  const times =
    special === undefined ? [minute, hour, day ?? dom ?? "*", month, weekday ?? dow ?? "*"] : [`@${special}`];
  const user = params.cron_file === undefined || params.user === undefined ? [] : [params.user];
  const fields = [...times, ...user, job.replace(/^[\r\n]+|[\r\n]+$/g, "")];
  return `${params.disabled ? "#" : ""}${fields.join(" ")}`;
}

function placeMissing({ insertafter, insertbefore }: CronParams, { check }: ActionContext): CronChange {
  const message = `Variable named '${insertafter ?? insertbefore}' not found: the new one cannot stand beside it`;
  if (!check) throw new VolleyError("ACTION_FAILED", message);
  return {
    file: null,
    removes: null,
    before: "",
    after: "",
    unknown: `${message}; an earlier task may set it`,
  };
}

function describeCrontab(lines: readonly string[], { cron_file }: CronParams): CronData {
  return {
    jobs: jobNames(lines),
    envs: variableNames(lines),
    ...(cron_file === undefined ? {} : { cron_file }),
  };
}

function removedData({ cron_file = "" }: CronParams): CronData {
  return { cron_file, state: "absent" };
}

/** Marks the next line as the job of a name; the word is Ansible's, so that its crontabs are understood. */
const MARK = "#Ansible: ";

/** List the names of the named jobs. */
function jobNames(lines: readonly string[]): readonly string[] {
  return lines.filter((line) => line.startsWith(MARK)).map((line) => line.slice(MARK.length));
}

/** Set a named job, in its place or at the end. An equal job without a name gets the name. */
function setJob(lines: readonly string[], name: string, line: string): readonly string[] {
  const mark = `${MARK}${name}`;
  const at = lines.indexOf(mark);
  if (at !== -1) return [...lines.slice(0, at), mark, line, ...lines.slice(at + 2)];
  const nameless = lines.findIndex((each, index) => each === line && !lines[index - 1]?.startsWith(MARK));
  if (nameless !== -1) return [...lines.slice(0, nameless), mark, ...lines.slice(nameless)];
  return [...lines, mark, line];
}

/** Remove a named job with its mark. */
function removeJob(lines: readonly string[], name: string): readonly string[] {
  const at = lines.indexOf(`${MARK}${name}`);
  return at === -1 ? lines : [...lines.slice(0, at), ...lines.slice(at + 2)];
}

/** The place of a new variable, beside another one. */
interface VariablePlace {
  readonly relation: "after" | "before";
  readonly name: string;
}

/** Set a variable, in its place, else beside another one or at the top; null when the other one is missing. */
function setVariable(
  lines: readonly string[],
  name: string,
  value: string,
  place: VariablePlace | null,
): readonly string[] | null {
  const line = `${name}="${value}"`;
  const at = findVariable(lines, name);
  if (at !== -1) return [...lines.slice(0, at), line, ...lines.slice(at + 1)];
  if (place === null) return [line, ...lines];
  const other = findVariable(lines, place.name);
  if (other === -1) return null;
  const index = place.relation === "after" ? other + 1 : other;
  return [...lines.slice(0, index), line, ...lines.slice(index)];
}
