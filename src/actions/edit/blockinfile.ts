import * as v from "valibot";
import { unchanged } from "../../core/action.ts";
import { pythonRegex } from "../../core/values/python-regex.ts";
import { findMatches } from "../../system/endable.ts";
import { defineAction } from "../define.ts";
import { exclusive } from "../shared/combinations.ts";
import { backup, fileAttributes, filePath, flag, oneOf, optionalText, validate } from "../shared/params.ts";
import { expandPath } from "../shared/paths.ts";
import {
  applyEdit,
  type Edited,
  editAliases,
  encoding,
  insertionIndex,
  inspectEdit,
  lineText,
  splitLines,
  withFinalNewline,
} from "./edit-file.ts";

const params = v.pipe(
  v.strictObject({
    path: filePath,
    block: v.optional(
      v.pipe(v.string(), v.description("The lines between the markers; an empty block is removed.")),
      "",
    ),
    marker: v.optional(
      v.pipe(
        v.string(),
        v.description(
          "The line before and after the block, with `{mark}` for `marker_begin` and `marker_end`. Each block of a file needs its own.",
        ),
      ),
      "# {mark} ANSIBLE MANAGED BLOCK",
    ),
    marker_begin: v.optional(
      v.pipe(v.string(), v.description("The text for `{mark}` before the block.")),
      "BEGIN",
    ),
    marker_end: v.optional(
      v.pipe(v.string(), v.description("The text for `{mark}` after the block.")),
      "END",
    ),
    state: oneOf(["present", "absent"], "present", "Insert or remove the block."),
    insertafter: optionalText(
      "Insert a new block after the last line that this Python regular expression matches, or at `EOF`. An expression that begins with `(?m)` is matched against the whole text, and its first match counts.",
    ),
    insertbefore: optionalText(
      "Insert a new block before the last line that this expression matches, or at `BOF`; with `(?m)` as for `insertafter`.",
    ),
    create: flag("Make the file and its directories when missing."),
    append_newline: flag("Keep an empty line after the block, unless it ends the file."),
    prepend_newline: flag("Keep an empty line before the block, unless it begins the file."),
    ...fileAttributes,
    backup,
    validate,
    encoding,
  }),
  exclusive("insertbefore", "insertafter"),
);

type Params = v.InferOutput<typeof params>;

/** Keep a block of lines in a text file. */
export const blockinfile = defineAction({
  name: "blockinfile",
  doc: `Insert, update or remove a block of lines between two markers in a text file.

An existing block is replaced in place; \`insertafter\` or \`insertbefore\` gives the place of a new one (default: the
end). The default markers are Ansible's, so each tool finds the other's blocks. An empty block is removed with its
markers. A link is followed. As in Ansible, a block whose markers cannot be told apart or found again is added every
time: keep \`{mark}\` in the \`marker\`, on one line, and the marker out of the block.`,
  params,
  aliases: { ...editAliases, content: "block" },
  examples: [
    { path: "/etc/hosts", block: "10.0.0.11 web1\n10.0.0.12 web2" },
    {
      path: "/etc/ssh/sshd_config",
      marker: "# {mark} sftp",
      block: "Match Group sftp\n  ChrootDirectory %h",
      validate: "sshd -t -f %s",
    },
  ],
  title: ({ path }) => path,

  async inspect(given, system, context) {
    const removes = given.state === "absent" || given.block === "";
    const path = await expandPath(system, given.path, context.facts.env);
    const isNew = (await system.stat(path)) === null;
    if (removes && isNew) {
      if (!given.create || given.state === "absent") return unchanged({ msg: "" }, `there is no ${path}`);
    }
    return inspectEdit(given, system, context, (text) =>
      putBlock({ given, removes, isNew, text, signal: context.signal }),
    );
  },

  async apply(change, _params, system) {
    return applyEdit(change, system);
  },
});

/** Return the lines before and after the block. */
function markers({
  marker,
  marker_begin,
  marker_end,
}: Readonly<Record<"marker" | "marker_begin" | "marker_end", string>>): readonly [string, string] {
  return [marker.replaceAll("{mark}", marker_begin), marker.replaceAll("{mark}", marker_end)];
}

/** A pattern that sets the flag of several lines, `(?m)`, and so is looked for in the whole text. */
const MULTILINE = /^\(\?[aiLsux]*m[aiLmsux]*\)/;

/** Return the index of the line for a new block beside the first match in the whole text; undefined for other patterns, and without a match. */
async function multilineIndex(
  text: string,
  { insertafter, insertbefore }: Pick<Params, "insertafter" | "insertbefore">,
  signal: AbortSignal,
): Promise<number | undefined> {
  const pattern = insertbefore ?? insertafter;
  if (pattern === undefined || !MULTILINE.test(pattern)) return undefined;
  const [match] = (await findMatches(pythonRegex(pattern), [text], signal))[0]!;
  if (match === undefined) return undefined;
  const linesBefore = (end: number): number => text.slice(0, end).split("\n").length - 1;
  return insertbefore === undefined
    ? linesBefore(match.index + match[0].length) + 1
    : linesBefore(match.index);
}

interface BlockEdit {
  readonly given: Params;
  /** True where the block is to go. */
  readonly removes: boolean;
  readonly isNew: boolean;
  readonly text: string;
  readonly signal: AbortSignal;
}

async function putBlock({ given, removes, isNew, text, signal }: BlockEdit): Promise<Edited> {
  const { append_newline, prepend_newline } = given;
  const [begin, end] = markers(given);
  const block = removes ? [] : splitLines(`${begin}\n${withFinalNewline(given.block)}${end}\n`);
  const lines = splitLines(text);
  const texts = lines.map(lineText);
  const [first, last] = [texts.lastIndexOf(begin), texts.lastIndexOf(end)];
  const found = first !== -1 && last !== -1;
  if (removes && !found) return { text, message: "the block is not there", msg: "" };

  let place: number;
  if (found) {
    place = Math.min(first, last);
    lines.splice(place, Math.abs(last - first) + 1);
  } else {
    place = (await multilineIndex(text, given, signal)) ?? (await insertionIndex(lines, given, signal));
    if (place > 0 && !lines[place - 1]!.endsWith("\n")) lines[place - 1] += "\n";
  }
  const spaced = [...block];
  const isBlank = (line: string | undefined): boolean => line !== undefined && lineText(line) === "";
  if (!removes && prepend_newline && place > 0 && !isBlank(lines[place - 1])) spaced.unshift("\n");
  if (!removes && append_newline && place < lines.length && !isBlank(lines[place])) spaced.push("\n");
  lines.splice(place, 0, ...spaced);
  const after = lines.join("");
  const message =
    after === text
      ? "the block is there"
      : removes
        ? "block removed"
        : found
          ? "block updated"
          : "block inserted";
  return {
    text: after,
    message,
    msg: after === text ? "" : removes ? "Block removed" : isNew ? "File created" : "Block inserted",
  };
}
