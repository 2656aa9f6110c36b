import * as v from "valibot";
import { type Applied, unchanged } from "../../core/action.ts";
import { defineAction } from "../define.ts";
import { exclusive } from "../shared/combinations.ts";
import { describeFile, type FileDescription } from "../shared/describe-file.ts";
import {
  attributeAliases,
  backup,
  describe,
  fileAttributes,
  filePath,
  flag,
  oneOf,
  optionalText,
} from "../shared/params.ts";
import { expandPath } from "../shared/paths.ts";
import { applyFile } from "../shared/write-file.ts";
import { inspectEdit } from "./edit-file.ts";
import { editIni } from "./ini-text.ts";

/** The data of an ini_file task. */
interface IniFileData extends Partial<FileDescription> {
  readonly path: string;
  readonly backup_file?: string;
}

const value = v.optional(describe(v.string(), "The value of the option; may be empty."));
const values = v.optional(
  v.pipe(
    v.array(v.string()),
    v.description("Several values: the option has a line for each. `value` is the same for one."),
  ),
);

const params = v.pipe(
  v.strictObject({
    path: filePath,
    section: optionalText("Name of the section. Default: the lines before the first section."),
    section_has_values: v.optional(
      v.pipe(
        v.array(
          v.strictObject({
            option: v.pipe(
              v.string(),
              v.nonEmpty(),
              v.description("Name of an option that the section has."),
            ),
            value,
            values,
          }),
        ),
        v.description(
          "Among sections of the same name, take the first with these options and values; without one, a section is added with them.",
        ),
      ),
    ),
    option: optionalText("Name of the option. Without it the section itself is added or removed."),
    value,
    values,
    state: oneOf(["present", "absent"], "present", "Set or remove it."),
    exclusive: flag(
      "Replace or remove all lines of the option. With false, only lines with the given values are added or removed.",
      true,
    ),
    no_extra_spaces: flag("Write no spaces around `=`."),
    ignore_spaces: flag("Leave a line as it is that differs only in spaces around `=`."),
    allow_no_value: flag("Without a value, write the option alone, without `=`."),
    modify_inactive_option: flag("Turn a line of the option that is a comment into the wanted line.", true),
    create: flag("Make the file and its directories when missing.", true),
    follow: flag("Write the target of a link at `path` instead of replacing the link."),
    ...fileAttributes,
    backup,
  }),
  exclusive("value", "values"),
  v.check(
    ({ state, option, value, values = [], allow_no_value }) =>
      state === "absent" ||
      option === undefined ||
      allow_no_value ||
      value !== undefined ||
      values.length > 0,
    "Parameter 'value(s)' must be defined if state=present and allow_no_value=False",
  ),
  v.check(
    ({ section, section_has_values }) => section !== undefined || section_has_values === undefined,
    '"section_has_values" needs "section"',
  ),
);

/** Keep options in an INI file. */
export const ini_file = defineAction({
  name: "ini_file",
  doc: `Set or remove an option, or a section, of an INI file.

The value replaces that of the option's line; without such a line, one is added behind the last option of the section.
Other lines and comments stay, and a file without a newline at its end gets one. As in Ansible, a commented line of the
option is turned into the wanted one unless \`modify_inactive_option\` is false, a new file begins with an empty line before
its first section, a byte order mark goes when the file changes, and a link at \`path\` is replaced unless \`follow\` is set.
Unlike Ansible, lines that end with CR LF still do.`,
  params,
  aliases: { ...attributeAliases, dest: "path", section_has: "section_has_values" },
  examples: [
    { path: "/etc/mysql/my.cnf", section: "mysqld", option: "max_connections", value: "200" },
    { path: "/etc/app.ini", section: "old", state: "absent" },
  ],
  title: ({ path, section, option }) =>
    [path, section === undefined ? "" : `[${section}]`, option ?? ""].filter(Boolean).join(" "),

  async inspect(given, system, context) {
    const data = async (): Promise<IniFileData> => {
      const path = await expandPath(system, given.path);
      return { path, ...(await describeFile(system, path, context)) };
    };
    const isGone = given.state === "absent" && (await system.stat(given.path)) === null;
    if (isGone && given.create) return unchanged(await data(), "OK");
    const values = given.values ?? (given.value === undefined ? [] : [given.value]);
    const change = await inspectEdit(given, system, context, (text) => editIni(text, { ...given, values }));
    if (change === null || "unchanged" in change) return unchanged(await data(), "OK");
    return { ...change, data: { msg: change.message ?? "OK", ...(await data()) } };
  },

  async apply(change, given, system, context): Promise<Applied<IniFileData>> {
    const applied = await applyFile(change, system);
    const path = await expandPath(system, given.path);
    const made = await describeFile(system, change.path, context);
    return {
      message: change.message ?? "OK",
      ...applied,
      data: { path, ...made, ...applied.data },
    };
  },
});
