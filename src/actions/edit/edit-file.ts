import { constants } from "node:buffer";
import * as v from "valibot";
import {
  type ActionContext,
  ActionFailure,
  type Applied,
  type Unchanged,
  unchanged,
} from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ReadSystem, System } from "../../core/system.ts";
import { bytesToText } from "../../core/values/bytes.ts";
import { pythonRegex } from "../../core/values/python-regex.ts";
import { findMatches } from "../../system/endable.ts";
import { attributesOf, type FileAttributes, NEW_FILE_MODE } from "../shared/attributes.ts";
import { attributeAliases } from "../shared/params.ts";
import { expandPath, followLinks } from "../shared/paths.ts";
import { applyFile, type FileChange, inspectFile } from "../shared/write-file.ts";

/** Ansible's other names of parameters of all actions that edit text files. */
export const editAliases = { ...attributeAliases, dest: "path", destfile: "path", name: "path" } as const;

/** `encoding` of all actions that edit text files. */
export const encoding = v.optional(
  v.pipe(v.string(), v.description("Accepted and ignored: bytes that are not UTF-8 survive.")),
  "utf-8",
);

/** Parameters of all actions that edit text files. */
interface EditParams extends FileAttributes {
  readonly path: string;
  /** Start from an empty text when the file is missing. */
  readonly create?: boolean;
  /** Write to the target of a link at `path`; false replaces a link whose target would change. Default: true. */
  readonly follow?: boolean;
  readonly backup: boolean;
  readonly validate?: string | undefined;
  /** Ansible's word for a path that does not exist. Default: `Path`. */
  readonly pathWord?: "Destination";
}

/** The outcome of an edit. */
export interface Edited {
  readonly text: string;
  /** A line for a person: `line added`. */
  readonly message: string;
  /** Ansible's message; empty where nothing is to be done. Default: none. */
  readonly msg?: string;
  /** More of what Ansible returns. */
  readonly data?: EditData;
}

/** The data of an edit, under Ansible's names; which of them there are depends on the action. */
export interface EditData {
  readonly msg?: string;
  /** Path of the copy of the replaced file; of lineinfile, which says "" for none. */
  readonly backup?: string;
  readonly backup_file?: string;
  readonly rc?: number;
  readonly warnings?: readonly string[];
  /** The number of removed lines. */
  readonly found?: number;
}

/** A change of a text file. */
export interface EditChange extends FileChange {
  readonly data?: EditData;
}

const OWNERSHIP = "ownership, perms or SE linux context changed";
const NO_FILE = 257;
const IS_DIRECTORY = 256;

/**
 * Edit the text of a file and compare it with the file. A missing file without `create` fails with
 * `ACTION_FAILED`; in check mode it is unknown, because an earlier task might make it.
 */
export async function inspectEdit(
  params: EditParams,
  system: ReadSystem,
  context: ActionContext,
  edit: (text: string) => Edited | Promise<Edited>,
): Promise<EditChange | Unchanged<EditData>> {
  const given = await expandPath(system, params.path, context.facts.env);
  const path = await followLinks(system, given);
  const stat = await system.stat(path);
  if (stat?.type === "directory") {
    const message = `Path ${path} is a directory !`;
    throw new ActionFailure("ACTION_FAILED", message, { rc: IS_DIRECTORY });
  }
  const current = stat === null ? null : await system.readIfExists(path);
  if (current === null && params.create !== true) {
    const message = `${params.pathWord ?? "Path"} ${path} does not exist !`;
    if (!context.check) throw new ActionFailure("ACTION_FAILED", message, { rc: NO_FILE });
    return { ...NOTHING, path, diff: { path }, unknown: `there is no ${path} yet` };
  }
  if (current !== null && current.length > constants.MAX_STRING_LENGTH)
    throw new VolleyError(
      "ACTION_FAILED",
      `${path} is too large to be edited: it has ${current.length} bytes`,
    );
  const edited = await edit(bytesToText(current ?? new Uint8Array()));
  const { backup, validate } = params;
  const same = (): Unchanged<EditData> =>
    unchanged(edited.msg === undefined ? undefined : { ...edited.data, msg: edited.msg }, edited.message);
  if (current === null && edited.text === "") return same();
  const replacesLink = params.follow === false && edited.text !== bytesToText(current ?? new Uint8Array());
  const change = await inspectFile({
    ...(replacesLink ? { path: given, follow: false } : { path }),
    ...{ system, context, current, backup, validate },
    ...attributesOf(params),
    content: edited.text,
    parents: "make",
  });
  if (change === null) return same();
  const message = change.content === undefined ? change.message : edited.message;
  const said = [
    change.content === undefined ? "" : edited.msg,
    changesOwnership(change, current === null, system, context) ? OWNERSHIP : "",
  ];
  return {
    ...(change as EditChange),
    ...(message === undefined ? {} : { message }),
    ...(edited.msg === undefined
      ? {}
      : { data: { ...edited.data, msg: said.filter(Boolean).join(" and ") } }),
  };
}

/** Tell whether Ansible speaks of ownership: of a new file only where it is not what every new file has. */
function changesOwnership(
  { attributes }: FileChange,
  isNew: boolean,
  { uid, gid }: ReadSystem,
  { check }: ActionContext,
): boolean {
  if (attributes === null || !isNew) return attributes !== null;
  const isOther = (id: number, own: number): boolean => id !== -1 && id !== own;
  const { mode = NEW_FILE_MODE } = attributes;
  return !check && (mode !== NEW_FILE_MODE || isOther(attributes.uid, uid) || isOther(attributes.gid, gid));
}

/** Write an edited file, and return the data of the change with what came of it. */
export async function applyEdit(change: EditChange, system: System): Promise<Applied<EditData>> {
  const applied = await applyFile(change, system);
  return { ...applied, data: { ...change.data, ...applied.data } };
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
