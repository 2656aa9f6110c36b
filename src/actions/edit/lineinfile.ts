import * as v from "valibot";
import { unchanged } from "../../core/action.ts";
import { expandPythonTemplate, pythonRegex } from "../../core/values/python-regex.ts";
import { findMatches } from "../../system/endable.ts";
import { defineAction } from "../define.ts";
import { exclusive } from "../shared/combinations.ts";
import { backup, fileAttributes, filePath, flag, oneOf, validate } from "../shared/params.ts";
import { expandPath } from "../shared/paths.ts";
import {
  applyEdit,
  type Edited,
  editAliases,
  encoding,
  insertionIndex,
  inspectEdit,
  lineEnding,
  lineText,
  splitLines,
  withNewline,
} from "./edit-file.ts";

const pattern = (description: string) => v.optional(v.pipe(v.string(), v.description(description)));

const params = v.pipe(
  v.strictObject({
    path: filePath,
    line: v.optional(v.pipe(v.string(), v.description("The wanted line; required for `present`."))),
    regexp: pattern(
      "A Python regular expression: replace the last line it matches; with `absent` remove all of them.",
    ),
    search_string: pattern("The same as `regexp`, but plain text that the line contains."),
    state: oneOf(["present", "absent"], "present", "Set or remove the line."),
    backrefs: flag(
      "Replace `\\1` or `\\g<name>` in `line` by groups of `regexp`; do nothing without a match.",
    ),
    insertafter: pattern("Insert a new line after the last line that this expression matches, or at `EOF`."),
    insertbefore: pattern(
      "Insert a new line before the last line that this expression matches, or at `BOF`.",
    ),
    firstmatch: flag("Use the first matching line instead of the last."),
    create: flag("Make the file and its directories when missing."),
    ...fileAttributes,
    backup,
    validate,
    encoding,
  }),
  exclusive("regexp", "search_string"),
  exclusive("insertbefore", "insertafter"),
  v.check(
    ({ backrefs, regexp }) => !backrefs || regexp !== undefined,
    "regexp is required with backrefs=true",
  ),
  v.check(
    ({ state, line }) => state === "absent" || line !== undefined,
    "line is required with state=present",
  ),
  v.check(
    ({ state, line, regexp, search_string }) =>
      state === "present" || (line ?? regexp ?? search_string) !== undefined,
    "one of line, search_string, or regexp is required with state=absent",
  ),
);

type Params = v.InferOutput<typeof params>;

/** Keep a line in a text file. */
export const lineinfile = defineAction({
  name: "lineinfile",
  doc: `Set or remove a line in a text file.

As in Ansible, the line replaces the one that matches; without a match it is added at \`insertafter\` or
\`insertbefore\` (default: the end), unless the same line exists already. Patterns are Python's, and search each line
with its newline; write \`regexp\` so that it matches the line before and after the change. A link is followed, and
bytes that are not UTF-8 survive. Several lines in \`line\` are added again every time; use blockinfile for them. Unlike
Ansible, a line that ended with CR LF still does.`,
  params,
  aliases: { ...editAliases, regex: "regexp", value: "line" },
  examples: [
    {
      path: "/etc/ssh/sshd_config",
      regexp: "^#?PermitRootLogin ",
      line: "PermitRootLogin no",
      validate: "sshd -t -f %s",
    },
    { path: "/etc/hosts", search_string: "old.example.org", state: "absent" },
  ],
  title: ({ path }) => path,

  async inspect(given, system, context) {
    const path = await expandPath(system, given.path, context.facts.env);
    if (given.state === "absent" && (await system.stat(path)) === null) {
      return unchanged({ msg: "file not present" }, `there is no ${path}`);
    }
    const warnings = warningsOf(given);
    return inspectEdit({ ...given, pathWord: "Destination" }, system, context, async (text) => {
      const edit: Edit = { given, text, signal: context.signal };
      const edited = await (given.state === "absent" ? removeLines(edit) : putLine(edit));
      return warnings.length === 0 ? edited : { ...edited, data: { ...edited.data, warnings } };
    });
  },

  async apply(change, _params, system) {
    const { data, ...applied } = await applyEdit(change, system);
    const { backup_file: backup = "", ...rest } = data ?? {};
    return { ...applied, data: { ...rest, backup } };
  },
});

/** Warn of an empty expression or text, in the words of Ansible's `warnings`. */
function warningsOf({ regexp, search_string }: Params): readonly string[] {
  const all = "is an empty string, which will match every line in the file.";
  const unintended =
    "This may have unintended consequences, such as replacing the last line in the file rather than appending.";
  return [
    ...(regexp === ""
      ? [
          `The regular expression ${all} ${unintended} If this is desired, use '^' to match every line in the file and avoid this warning.`,
        ]
      : []),
    ...(search_string === "" ? [`The search string ${all} ${unintended}`] : []),
  ];
}

interface Edit {
  readonly given: Params;
  readonly text: string;
  readonly signal: AbortSignal;
}

/** The match of a line; false for other lines. */
type Match = RegExpExecArray | boolean;

/** Match lines by `regexp`, by `search_string`, else by equality with `line`. */
async function matchLines({ given, signal }: Edit, lines: readonly string[]): Promise<readonly Match[]> {
  const { regexp, search_string } = given;
  if (regexp !== undefined) {
    const found = await findMatches(pythonRegex(regexp), lines.map(withNewline), signal);
    return found.map(([match]) => match ?? false);
  }
  if (search_string !== undefined) {
    return lines.map((line) => line.includes(search_string));
  }
  const wanted = given.line ?? "";
  return lines.map((line) => lineText(line) === wanted);
}

async function removeLines(edit: Edit): Promise<Edited> {
  const lines = splitLines(edit.text);
  const matches = await matchLines(edit, lines);
  const kept = lines.filter((_line, index) => matches[index] === false);
  const found = lines.length - kept.length;
  const message = `${found} line(s) removed`;
  return { text: kept.join(""), message, msg: found === 0 ? "" : message, data: { backup: "", found } };
}

async function putLine(edit: Edit): Promise<Edited> {
  const { given, text, signal } = edit;
  const { backrefs, firstmatch } = given;
  const wanted = given.line ?? "";
  const lines = splitLines(text);
  const matches = await matchLines(edit, lines);
  const isMatch = (match: Match): boolean => match !== false;
  const index = firstmatch ? matches.findIndex(isMatch) : matches.findLastIndex(isMatch);
  if (index !== -1) {
    const line = lines[index]!;
    const match = matches[index];
    const replaced = backrefs && typeof match === "object" ? expandPythonTemplate(wanted, match) : wanted;
    if (replaced === lineText(line)) return said(text, "the line is there", "");
    lines[index] = replaced.replace(/\n$/, "") + (lineEnding(line) || "\n");
    return said(lines.join(""), "line replaced");
  }
  if (backrefs) return said(text, "no line matches", "");
  if (lines.some((line) => lineText(line) === wanted)) return said(text, "the line is there", "");
  const place = await insertionIndex(lines, given, signal);
  const ending = lineEnding(lines[0] ?? "") || "\n";
  if (place > 0 && lineEnding(lines[place - 1]!) === "") lines[place - 1] += ending;
  lines.splice(place, 0, wanted + ending);
  return said(lines.join(""), "line added");
}

function said(text: string, message: string, msg = message): Edited {
  return { text, message, msg, data: { backup: "" } };
}
