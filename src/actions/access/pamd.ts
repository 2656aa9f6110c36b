import * as v from "valibot";
import { type ActionContext, type Change, unchanged } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import { bytesToText } from "../../core/values/bytes.ts";
import { defineAction } from "../define.ts";
import { requiredIf } from "../shared/combinations.ts";
import { backup, describe, oneOf } from "../shared/params.ts";
import { applyFile, type FileChange, inspectFile } from "../shared/write-file.ts";

const TYPES = [
  ...["account", "-account", "auth", "-auth"],
  ...["password", "-password", "session", "-session"],
] as const;
const STATES = ["absent", "before", "after", "args_absent", "args_present", "updated"] as const;

const CONTROL = /^(?:\[[^\][]*\]|[^\s[\]#]+)$/;
const control = (description: string) =>
  v.pipe(v.string(), v.regex(CONTROL, "must be one word, or words in brackets"), v.description(description));
const modulePath = (description: string) =>
  v.pipe(v.string(), v.regex(/^[^\s#]+$/, "must be one word"), v.description(description));
const type = (description: string) => v.pipe(v.picklist(TYPES), v.description(description));

const params = v.pipe(
  v.strictObject({
    name: v.pipe(
      v.string(),
      v.regex(/^[^/]+$/, "must be the name of a file in path"),
      v.description("The service: the name of a file in `path`."),
    ),
    type: type("The type of the rule to find."),
    control: control("The control of the rule to find, such as `required` or `[success=1 default=ignore]`."),
    module_path: modulePath("The module of the rule to find, such as `pam_unix.so`."),
    new_type: v.optional(type("The type of the new rule, or the new type of the found one.")),
    new_control: v.optional(control("The control of the new rule, or the new one of the found rule.")),
    new_module_path: v.optional(modulePath("The module of the new rule, or the new one of the found rule.")),
    module_arguments: v.optional(
      describe(
        v.array(v.string()),
        "Arguments of the module: those of the new rule; all of the found one (`updated`; an empty list removes all); to add (`args_present`) or to remove (`args_absent`).",
      ),
    ),
    state: oneOf(
      STATES,
      "updated",
      "`updated`: change the found rules. `before`, `after`: put a new rule beside each. `args_present`, `args_absent`: change their arguments. `absent`: remove them.",
    ),
    path: v.optional(
      v.pipe(v.string(), v.startsWith("/", "must be an absolute path"), v.description("The directory.")),
      "/etc/pam.d",
    ),
    backup,
  }),
  requiredIf("state", ["before", "after"], "new_type", "new_control", "new_module_path"),
  requiredIf("state", ["args_absent", "args_present"], "module_arguments"),
);

type PamParams = v.InferOutput<typeof params>;

interface PamChange extends Change {
  readonly file: FileChange;
  readonly count: number;
}

/** The data of a pamd task. */
interface PamData {
  /** The number of rules changed. */
  readonly change_count: number;
  /** The copy of the old file; empty without one. */
  readonly backupdest: string;
}

/** Edit rules of PAM. */
export const pamd = defineAction<typeof params, PamChange, PamData>({
  name: "pamd",
  doc: `Change, add or remove rules of a PAM service in \`/etc/pam.d\`; see pam.d(5).

A rule is found by its type, control and module. Every rule that is found is treated; without one, nothing is done.

When the file changes, every rule in it is laid out as Ansible's module does: the type padded to 11 columns, then control, module and arguments with single blanks, and continued lines joined. Comments, empty lines and \`@include\` lines stay as they are. A file without a rule to change stays byte for byte.`,
  params,
  examples: [
    {
      ...{ name: "system-auth", type: "auth", control: "required", module_path: "pam_faillock.so" },
      ...{ new_control: "sufficient" },
    },
    {
      ...{
        name: "common-auth",
        type: "auth",
        control: "requisite",
        module_path: "pam_deny.so",
        state: "before",
      },
      ...{ new_type: "auth", new_control: "sufficient", new_module_path: "pam_succeed_if.so" },
      module_arguments: ["uid >= 1000"],
    },
  ],
  title: ({ name, type: itsType, module_path }) => `${name} ${itsType} ${module_path}`,

  async inspect(given, system, context) {
    const path = `${given.path.replace(/\/$/, "")}/${given.name}`;
    const current = await system.readIfExists(path);
    if (current === null) return refuse(path, context);
    const before = bytesToText(current);
    const { text, count } = editRules(before, given);
    const data = { change_count: count, backupdest: "" };
    const file =
      text === before
        ? null
        : await inspectFile({ system, context, path, content: text, current, backup: given.backup });
    return file === null ? unchanged(data) : { file, count, diff: file.diff, data };
  },

  async apply({ file, count }, _params, system) {
    const { data } = await applyFile(file, system);
    return { data: { change_count: count, backupdest: data.backup_file ?? "" } };
  },
});

function refuse(path: string, { check }: ActionContext): PamChange {
  const message = `Unable to open/read PAM module file ${path}: there is none; install the service first`;
  if (!check) throw new VolleyError("ACTION_FAILED", message);
  const file = { path, attributes: null, directories: [], backup: false, diff: { path } };
  return { file, count: 0, unknown: message };
}

/** The words of a rule. */
interface Rule {
  readonly type: string;
  readonly control: string;
  readonly module: string;
  readonly args: readonly string[];
}

const RULE = /^\s*([-\w]+)\s+(\[[^\]]*\]|\S+)\s+(\S+)(.*)$/;
/** An argument: brackets allow blanks in it, and `\]` a bracket. */
const ARGUMENT = /\[(?:\\.|[^\]\\])*\]|\S+/g;

function readRule(line: string): Rule | undefined {
  if (/^\s*(?:#|@|$)/.test(line)) return undefined;
  const [, itsType, itsControl = "", module = "", rest = ""] =
    RULE.exec(line.replace(/\\\n[ \t]*/g, " ")) ?? [];
  if (itsType === undefined) return undefined;
  return {
    ...{ type: itsType, control: itsControl, module },
    args: rest.match(ARGUMENT) ?? [],
  };
}

/** Lay a rule out as Ansible's module does: the type padded to 11 columns, then words with single blanks. */
function writeRule({ type: itsType, control: itsControl, module, args }: Rule): string {
  return [`${itsType.padEnd(10)} ${itsControl}`, module, ...args].join(" ");
}

/**
 * Lay out a line of a file that changes. Ansible's module writes every rule of such a file in its own layout,
 * so a file looks the same whichever of the two changed it last. Comments, empty lines and `@include` lines
 * stay as they are.
 */
function layOut(line: string): string {
  const rule = readRule(line);
  return rule === undefined ? line : writeRule(rule);
}

function sameRule(one: Rule | undefined, other: Rule): boolean {
  const words = (rule: Rule): string =>
    [rule.type, normalControl(rule.control), rule.module, ...rule.args].join("\n");
  return one !== undefined && words(one) === words(other);
}

/** The words of a control in brackets may be written with any white space. */
function normalControl(text: string): string {
  return text.replace(/\s+/g, " ").replace(/^\[ | \]$/g, (sign) => sign.trim());
}

function editRules(before: string, given: PamParams): { readonly text: string; readonly count: number } {
  const { state } = given;
  // A backslash at a line's end continues the rule, but not one in a comment.
  const lines = before.replace(/\n$/, "").split(/(?<!^[^#\n]*\\)\n/m);
  const isWanted = (rule: Rule | undefined): rule is Rule =>
    rule !== undefined &&
    rule.type === given.type &&
    normalControl(rule.control) === normalControl(given.control) &&
    rule.module === given.module_path;
  let count = 0;
  const edited = lines.flatMap((line, index) => {
    const rule = readRule(line);
    if (!isWanted(rule)) return [line];
    if (state === "absent") {
      count++;
      return [];
    }
    if (state === "before" || state === "after") {
      const added = newRule(given);
      const beside = readRule(neighbour(lines, index, state === "before" ? -1 : 1) ?? "");
      if (sameRule(beside, added)) return [line];
      count++;
      return state === "before" ? [writeRule(added), line] : [line, writeRule(added)];
    }
    const changed = changedRule(given, rule);
    if (sameRule(changed, rule)) return [line];
    count++;
    return [writeRule(changed)];
  });
  return { text: count === 0 ? before : edited.map((line) => `${layOut(line)}\n`).join(""), count };
}

/** The next line in a direction that is neither empty nor a comment. */
function neighbour(lines: readonly string[], from: number, step: 1 | -1): string | undefined {
  for (let index = from + step; index >= 0 && index < lines.length; index += step)
    if (!/^\s*(?:#|$)/.test(lines[index] ?? "")) return lines[index];
  return undefined;
}

function newRule({ new_type, new_control, new_module_path, module_arguments }: PamParams): Rule {
  return {
    ...{ type: new_type ?? "", control: new_control ?? "" },
    ...{ module: new_module_path ?? "", args: wordsOf(module_arguments ?? []) },
  };
}

/** Arguments may be given several in one text; those in brackets have spaces. */
function wordsOf(given: readonly string[]): readonly string[] {
  return given.flatMap((text) => text.match(ARGUMENT) ?? []);
}

function changedRule(given: PamParams, rule: Rule): Rule {
  const words = wordsOf(given.module_arguments ?? []);
  const key = (word: string): string => word.split("=")[0] ?? word;
  switch (given.state) {
    case "args_absent":
      return {
        ...rule,
        args: rule.args.filter((word) => !words.includes(word) && !words.includes(key(word))),
      };
    case "args_present": {
      const args = rule.args.map(
        (word) =>
          words.find((one) => one.includes("=") && word.includes("=") && key(one) === key(word)) ?? word,
      );
      return { ...rule, args: [...args, ...words.filter((word) => !args.includes(word))] };
    }
    default:
      return {
        ...rule,
        type: given.new_type ?? rule.type,
        control: given.new_control ?? rule.control,
        module: given.new_module_path ?? rule.module,
        args: given.module_arguments === undefined ? rule.args : words,
      };
  }
}
