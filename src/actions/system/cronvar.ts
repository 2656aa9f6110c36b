import * as v from "valibot";
import { unchanged } from "../../core/action.ts";
import { defineAction } from "../define.ts";
import { describe, flag, oneOf, optionalText, text } from "../shared/params.ts";
import {
  applyTable,
  type CronChange,
  fileLines,
  findVariable,
  inspectTable,
  readTable,
  removeVariable,
  variableNames,
} from "./crontab.ts";

const cronvarParams = v.pipe(
  v.strictObject({
    name: text("Name of the variable."),
    value: v.optional(
      describe(v.string(), "The value, written as given. Required unless `state` is `absent`."),
    ),
    state: oneOf(["present", "absent"], "present", "Set or remove it."),
    user: optionalText("Owner of the crontab. Default: the user of the task."),
    cron_file: optionalText(
      "File to use instead of a user's crontab; relative to `/etc/cron.d`. `/etc/crontab` is refused.",
    ),
    insertafter: optionalText("The variable to insert a new one below. Default: the top."),
    insertbefore: optionalText("The variable to insert a new one above."),
    backup: flag("Keep a copy of the old crontab."),
  }),
  v.check(
    ({ value, state }) => state === "absent" || value !== undefined,
    "You must specify 'value' to insert a new cron variable",
  ),
  v.check(({ name, value }) => !/[\r\n]/.test(name + (value ?? "")), "name and value must be one line"),
);

type CronvarParams = v.InferOutput<typeof cronvarParams>;

/** The data of a cronvar task. */
interface CronvarData {
  /** The names of all variables of the crontab. */
  readonly vars: readonly string[];
  readonly cron_file?: string;
  readonly backup_file?: string;
}

/** Set variables of crontabs. */
export const cronvar = defineAction<typeof cronvarParams, CronChange, CronvarData>({
  name: "cronvar",
  doc: `Set or remove a variable of a user's crontab or of a file in \`/etc/cron.d\`, as Ansible's module of that name does.

The value is written as given, without quotes around it; \`cron\` with \`env\` writes them. A line that already has the value stays as it is. A variable whose neighbour, \`insertafter\` or \`insertbefore\`, is not there is left out, as in Ansible.`,
  params: cronvarParams,
  examples: [
    { name: "MAILTO", value: "ops@example.org" },
    { name: "PATH", value: "/usr/bin:/bin", cron_file: "backup" },
    { name: "LEGACY", state: "absent" },
  ],
  title: ({ name }) => name,

  async inspect(params, system, context) {
    const table = await readTable(params, system);
    const edited = edit(table.lines, params);
    const data = dataOf(edited, params);
    return (await inspectTable({ table, edited, params, system, context, data })) ?? unchanged(data);
  },

  async apply(change, params, system, context) {
    return applyTable({ change, params, system, context, data: dataOf(fileLines(change.after), params) });
  },
});

function dataOf(lines: readonly string[], { cron_file }: CronvarParams): CronvarData {
  return { vars: variableNames(lines), ...(cron_file === undefined ? {} : { cron_file }) };
}

function edit(lines: readonly string[], params: CronvarParams): readonly string[] {
  const { name, value = "", state, insertafter, insertbefore } = params;
  if (state === "absent") return removeVariable(lines, name);
  const line = `${name}=${value}`;
  const at = findVariable(lines, name);
  if (at !== -1)
    return readValue(lines[at] ?? "") === value
      ? lines
      : [...lines.slice(0, at), line, ...lines.slice(at + 1)];
  const other = insertafter ?? insertbefore;
  if (other === undefined) return [line, ...lines];
  const beside = findVariable(lines, other);
  if (beside === -1) return lines;
  const index = insertafter === undefined ? beside : beside + 1;
  return [...lines.slice(0, index), line, ...lines.slice(index)];
}

/** Return the value of a variable's line, with its quotes and without blanks outside of quotes, as Ansible compares it. */
function readValue(line: string): string {
  return line
    .slice(line.indexOf("=") + 1)
    .replace(/("(?:[^"\\]|\\.)*"|'[^']*')|\s+/g, (_, quoted: string | undefined) => quoted ?? "");
}
