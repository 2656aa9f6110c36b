import { VolleyError } from "../../core/errors.ts";
import { splitWords } from "../../core/words.ts";

/** Split a command line into words as a POSIX shell does. Fail with `ACTION_FAILED` for an open quote. */
export function commandWords(line: string): readonly string[] {
  return splitWords(line, {
    escapes: "shell",
    fail: ({ kind }) => {
      throw new VolleyError("ACTION_FAILED", `the command line \`${line}\` has an unfinished ${kind}`);
    },
  });
}
