import * as v from "valibot";
import { flag, modeText, text } from "./params.ts";

/** The file an action edits. */
export const filePath = text("The file: an absolute path, or one from `~/`.");

/** `backup` of every action that writes whole files. */
export const backup = flag(
  "Keep a copy of the file replaced beside it; its path comes back as `backup_file`.",
);

/** `validate` of every action that writes whole files. */
export const validate = v.optional(
  v.pipe(
    v.string(),
    v.includes("%s", "must contain %s, which stands for the file to check"),
    v.description(
      "A command that must accept the new content before it replaces the file, with `%s` for a temporary file that holds it: `visudo -cf %s`. Not run in check mode, nor by a shell.",
    ),
  ),
);

/** `directory_mode` of actions that make directories on the way. */
export const directoryMode = modeText("Permission bits of directories that are made, as for `mode`.");
