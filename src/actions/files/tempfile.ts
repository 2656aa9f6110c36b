import { randomInt } from "node:crypto";
import { posix } from "node:path";
import * as v from "valibot";
import type { Change } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ReadSystem } from "../../core/system.ts";
import { defineAction } from "../define.ts";
import { describeFile, type FileDescription } from "../shared/describe-file.ts";
import { describe, oneOf, optionalText } from "../shared/params.ts";

/** The data of a tempfile task. */
interface TempfileData extends Partial<FileDescription> {
  readonly path: string;
}

interface TempfileChange extends Change {
  readonly path: string;
}

const LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789_";
const RANDOM_LETTERS = 8;

const name = (initial: string, description: string) =>
  v.optional(
    describe(
      v.pipe(v.string(), v.regex(/^[^/\0]*$/, "must be part of a file's name, without /")),
      description,
    ),
    initial,
  );

const params = v.strictObject({
  state: oneOf(["file", "directory"], "file", "Make a file or a directory."),
  path: optionalText(
    "The directory to make it in. Default: `$TMPDIR`, `$TEMP` or `$TMP` of the host, else `/tmp`.",
  ),
  prefix: name("ansible.", "The beginning of the name."),
  suffix: name("", "The end of the name."),
});

/** Make a temporary file or directory. */
export const tempfile = defineAction<typeof params, TempfileChange, TempfileData>({
  name: "tempfile",
  doc: `Make an empty file or a directory with a random name, which only the task's user may use; \`data.path\` names it.

It is a change every time, and nothing removes the file: remove it with the \`file\` action. In check mode the outcome is
unknown, because nothing has the name yet.`,
  params,
  examples: [{ state: "directory", suffix: ".build" }],
  title: ({ path, prefix }) => (path === undefined ? prefix : posix.join(path, prefix)),

  async inspect({ path, prefix, suffix, state }, system) {
    const unknown = "the name is chosen when it is made";
    const directory = path ?? (await temporaryDirectory(system));
    const chosen = posix.join(directory, `${prefix}${randomLetters()}${suffix}`);
    return { path: chosen, unknown, diff: { path: chosen, attributes: { state: ["absent", state] } } };
  },

  async apply({ path }, { state }, system, context) {
    const parent = posix.dirname(path);
    if ((await system.stat(parent))?.type !== "directory")
      throw new VolleyError("ACTION_FAILED", `there is no directory ${parent} to make ${path} in`);
    if (state === "directory") await system.makeDirectory(path, 0o700);
    else await system.writeFile(path, "", { mode: 0o600, uid: system.uid, gid: system.gid });
    const made = await describeFile(system, path, context);
    return { data: { ...made, path } };
  },
});

function randomLetters(): string {
  return Array.from({ length: RANDOM_LETTERS }, () => LETTERS[randomInt(LETTERS.length)]).join("");
}

/** Return the host's directory for temporary files, found as Python finds it. */
async function temporaryDirectory(system: ReadSystem): Promise<string> {
  const named = await system.query(["sh", "-c", 'printf "%s\\n" "$TMPDIR" "$TEMP" "$TMP"']);
  for (const path of [...named.stdout.split("\n"), "/tmp", "/var/tmp", "/usr/tmp"])
    if (path.startsWith("/") && (await system.stat(path))?.type === "directory") return path;
  throw new VolleyError("ACTION_FAILED", 'there is no directory for temporary files; name one with "path"');
}
