import { posix } from "node:path";
import * as v from "valibot";
import type { Change } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ReadSystem } from "../../core/system.ts";
import { defineAction } from "../define.ts";
import { exclusive } from "../shared/combinations.ts";
import { flag, oneOf, optionalText, text, textList } from "../shared/params.ts";
import { failureText } from "../shared/run-tool.ts";
import { applyFile, type FileChange, inspectFile } from "../shared/write-file.ts";

const MODE = 0o440;

const oneLine = v.regex(/^[^\n\r]*$/, "must be one line");

const params = v.pipe(
  v.strictObject({
    name: v.pipe(
      text(
        "Name of the rule, and of its file. sudo reads no file with a dot in its name, or a `~` at its end.",
      ),
      v.regex(/^[^/\n\r\0]+$/, "must be the name of a file, without /"),
    ),
    user: optionalText("The user that the rule is for."),
    group: optionalText("The group that the rule is for, instead of a user."),
    commands: v.optional(textList("The commands that the rule allows; `ALL` for all of them.")),
    host: v.optional(v.pipe(text("The host that the rule is for."), oneLine), "ALL"),
    runas: optionalText("The user, or `user:group`, that the commands may be run as. Default: root."),
    nopassword: flag("Ask for no password.", true),
    noexec: flag("Keep the commands from running further ones."),
    setenv: flag("Let the caller set the environment of the commands."),
    defaults: v.optional(
      textList("Settings for the user or group, each a `Defaults` line before the rule: `!targetpw`."),
    ),
    state: oneOf(["present", "absent"], "present", "Write the rule, or remove its file."),
    sudoers_path: v.optional(text("The directory of the rules."), "/etc/sudoers.d"),
    validation: oneOf(
      ["absent", "detect", "required"],
      "detect",
      "Check the rule with visudo: never, where the host has it, or always.",
    ),
  }),
  exclusive("user", "group"),
  v.check(
    ({ state, user, group }) => state === "absent" || (user ?? group) !== undefined,
    'parameter "user" or "group" is required: who the rule is for',
  ),
  v.check(
    ({ state, commands = [] }) => state === "absent" || commands.length > 0,
    'parameter "commands" is required',
  ),
  v.check(
    ({ user, group, runas, commands = [], defaults = [] }) =>
      [user, group, runas, ...commands, ...defaults].every((value) => !/[\n\r]/.test(value ?? "")),
    "users, groups, commands and defaults must be one line each",
  ),
);

type Params = v.InferOutput<typeof params>;

/** A rule to write, or a file to remove. */
type SudoersChange = Change & ({ readonly file: FileChange } | { readonly removes: string });

/** Keep a rule of sudo. */
export const sudoers = defineAction<typeof params, SudoersChange>({
  name: "sudoers",
  doc: `Write a rule of sudo to a file of its own in \`/etc/sudoers.d\`, with mode 0440, or remove it; see sudoers(5).

The rule is checked with visudo before it is written, in check mode too.`,
  params,
  examples: [
    { name: "deploy", user: "deploy", commands: ["/usr/bin/systemctl restart app"], runas: "root" },
    { name: "old-rule", state: "absent" },
  ],
  title: ({ name }) => name,

  async inspect(given, system, context) {
    const path = posix.join(given.sudoers_path, given.name);
    if (given.state === "absent") {
      const stat = await system.lstat(path);
      if (stat === null) return null;
      const before = stat.type === "file" ? (await system.readFile(path)).toString("utf8") : undefined;
      return { removes: path, diff: before === undefined ? { path } : { path, before, after: null } };
    }
    const content = ruleText(given);
    const file = await inspectFile({ system, context, path, content, mode: MODE, follow: false });
    if (file === null) return null;
    if (file.content !== undefined) await validate(given, content, system);
    const { diff, message } = file;
    return { file, diff, ...(message === undefined ? {} : { message }) };
  },

  async apply(change, _given, system) {
    if ("removes" in change) await system.remove(change.removes);
    else await applyFile(change.file, system);
  },
});

function ruleText(given: Params): string {
  const { user, group, host, runas, noexec, nopassword, setenv, commands = [], defaults = [] } = given;
  const owner = user ?? `%${group}`;
  const tags = [noexec ? "NOEXEC:" : "", nopassword ? "NOPASSWD:" : "", setenv ? "SETENV:" : ""].join("");
  const rule = `${owner} ${host}=${runas === undefined ? "" : `(${runas})`}${tags} ${commands.join(", ")}`;
  return [...defaults.map((setting) => `Defaults:${owner} ${setting}`), rule]
    .map((line) => `${line}\n`)
    .join("");
}

async function validate({ validation, name }: Params, content: string, system: ReadSystem): Promise<void> {
  if (validation === "absent") return;
  const visudo = await system.which("visudo");
  if (visudo === null) {
    if (validation === "detect") return;
    throw new VolleyError(
      "ACTION_FAILED",
      "the host has no visudo to check the rule with; install the package sudo first",
    );
  }
  const result = await system.query([visudo, "-c", "-f", "-"], { input: content });
  if (result.code !== 0)
    throw new VolleyError("ACTION_FAILED", `Failed to validate sudoers rule ${name}: ${failureText(result)}`);
}
