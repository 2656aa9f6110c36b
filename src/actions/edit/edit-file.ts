import { constants } from "node:buffer";
import { type ActionContext, type Unchanged, unchanged } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ReadSystem } from "../../core/system.ts";
import { bytesToText } from "../../core/values/bytes.ts";
import { pythonRegex } from "../../core/values/python-regex.ts";
import { findMatches } from "../../system/endable.ts";
import type { FileAttributes } from "../shared/attributes.ts";
import { followLinks } from "../shared/paths.ts";
import { type FileChange, inspectFile } from "../shared/write-file.ts";

/** Parameters of all actions that edit text files. */
interface EditParams extends FileAttributes {
  readonly path: string;
  /** Start from an empty text when the file is missing. */
  readonly create?: boolean;
  /** Write to the target of a link at `path`; false replaces a link whose target would change. Default: true. */
  readonly follow?: boolean;
  readonly backup: boolean;
  readonly validate?: string | undefined;
}

/** The outcome of an edit. */
export interface Edited {
  readonly text: string;
  /** A line for a person: `line added`. */
  readonly message: string;
}

/**
 * Edit the text of a file and compare it with the file. A missing file without `create` fails with
 * `ACTION_FAILED`; in check mode it is unknown, because an earlier task might make it.
 */
export async function inspectEdit(
  params: EditParams,
  system: ReadSystem,
  context: ActionContext,
  edit: (text: string) => Edited | Promise<Edited>,
): Promise<FileChange | Unchanged<undefined> | null> {
  const path = await followLinks(system, params.path);
  const current = await system.readIfExists(path);
  if (current === null && params.create !== true) {
    if (!context.check)
      throw new VolleyError("ACTION_FAILED", `there is no ${path} to be edited; make it first`);
    return { ...NOTHING, path, diff: { path }, unknown: `there is no ${path} yet` };
  }
  if (current !== null && current.length > constants.MAX_STRING_LENGTH)
    throw new VolleyError(
      "ACTION_FAILED",
      `${path} is too large to be edited: it has ${current.length} bytes`,
    );
  const edited = await edit(bytesToText(current ?? new Uint8Array()));
  const { owner, group, mode, backup, validate } = params;
  if (current === null && edited.text === "") return unchanged(undefined, edited.message);
  const replacesLink = params.follow === false && edited.text !== bytesToText(current ?? new Uint8Array());
  const change = await inspectFile({
    ...(replacesLink ? { path: params.path, follow: false } : { path }),
    ...{ system, context, current, owner, group, mode, backup, validate },
    content: edited.text,
    parents: "make",
  });
  if (change === null) return unchanged(undefined, edited.message);
  const message = change.content === undefined ? change.message : edited.message;
  return { ...change, ...(message === undefined ? {} : { message }) };
}

const NOTHING = { attributes: null, directories: [], backup: false } as const;

/** The place of new lines in a file. */
interface Place {
  /** `EOF`, or a Python regular expression: insert after its match. */
  readonly insertafter?: string | undefined;
  /** `BOF`, or a Python regular expression: insert before its match. */
  readonly insertbefore?: string | undefined;
  /** Use the first matching line instead of the last. */
  readonly firstmatch?: boolean | undefined;
}

/** Return the index for new lines among lines with endings; the end when no line matches. */
export async function insertionIndex(
  lines: readonly string[],
  { insertafter, insertbefore, firstmatch }: Place,
  signal: AbortSignal,
): Promise<number> {
  if (insertbefore === "BOF" || insertafter === "BOF") return 0;
  const pattern = insertbefore ?? insertafter;
  if (pattern === undefined || pattern === "EOF") return lines.length;
  const found = await findMatches(pythonRegex(pattern), lines.map(withNewline), signal);
  const isMatch = (matches: readonly unknown[]): boolean => matches.length > 0;
  const index = firstmatch === true ? found.findIndex(isMatch) : found.findLastIndex(isMatch);
  if (index === -1) return lines.length;
  return insertbefore === undefined ? index + 1 : index;
}

/** Split text into lines with their endings; the last may have none, and empty text has no line. */
export function splitLines(text: string): string[] {
  return text.match(/[^\n]*\n|[^\n]+$/g) ?? [];
}

/** Return a line's ending: `\r\n`, `\n` or nothing. */
export function lineEnding(line: string): string {
  return line.endsWith("\r\n") ? "\r\n" : line.endsWith("\n") ? "\n" : "";
}

/** Return a line without its ending. */
export function lineText(line: string): string {
  return line.slice(0, line.length - lineEnding(line).length);
}

/** Return a line with `\n` for `\r\n`, as Python's patterns see it. */
export function withNewline(line: string): string {
  return line.endsWith("\r\n") ? `${line.slice(0, -2)}\n` : line;
}

/** Add a newline to the end of text that lacks one and is not empty. */
export function withFinalNewline(text: string): string {
  return text === "" || text.endsWith("\n") ? text : `${text}\n`;
}
