import { constants } from "node:buffer";
import { type ActionContext, type Unchanged, unchanged } from "../../core/action.ts";

import { VolleyError } from "../../core/errors.ts";
import type { ReadSystem } from "../../core/system.ts";
import { bytesToText } from "../../core/text.ts";
import type { FileAttributes } from "../shared/attributes.ts";
import { followLinks } from "../shared/paths.ts";
import { type FileChange, inspectFile } from "../shared/write-file.ts";

/** The parameters that actions which edit text files share. */
export interface EditParams extends FileAttributes {
  readonly path: string;
  /** Starts from nothing when there is no file. */
  readonly create?: boolean;
  readonly backup: boolean;
  readonly validate?: string | undefined;
}

/** What an edit made of a text. */
export interface Edited {
  readonly text: string;
  /** One line for a person: `line added`. */
  readonly message: string;
}

/**
 * Compares a text file with what an edit makes of it; links are followed. Where there is no file and none is to be
 * made it fails with `ACTION_FAILED`; in check mode, where an earlier task might have made it, it is unknown.
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
  const change = await inspectFile({
    ...{ system, context, path, current, owner, group, mode, backup, validate },
    content: edited.text,
    parents: "make",
  });
  if (change === null) return unchanged(undefined, edited.message);
  const message = change.content === undefined ? change.message : edited.message;
  return { ...change, ...(message === undefined ? {} : { message }) };
}

const NOTHING = { attributes: null, directories: [], backup: false } as const;
