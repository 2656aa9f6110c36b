import { posix } from "node:path";
import { VolleyError } from "../../core/errors.ts";
import type { System, WriteOptions } from "../../core/system.ts";
import type { FileContent } from "./content.ts";
import { toContent } from "./content.ts";
import { commandWords } from "./words.ts";

/** Content that is to be written. */
interface Candidate {
  /** The file it is for. */
  readonly path: string;
  readonly content: FileContent;
  readonly options: WriteOptions;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Runs a command on content before it replaces a file; `%s` in it stands for a temporary file, as in Ansible. No
 * shell is involved. Fails with `ACTION_FAILED` and what the command said when it does not succeed.
 */
export async function validateContent(
  system: System,
  command: string,
  { path, content, options, signal }: Candidate,
): Promise<void> {
  const directory = await system.temporaryDirectory();
  const temporary = posix.join(directory, posix.basename(path));
  await system.writeFile(temporary, toContent(content), options);
  try {
    const argv = commandWords(command).map((word) => word.replaceAll("%s", temporary));
    const { code, stdout, stderr } = await system.run(argv, signal === undefined ? {} : { signal });
    if (code === 0) return;
    const said = `${stderr}\n${stdout}`
      .trim()
      .replaceAll(temporary, path)
      .split("\n")
      .slice(0, 5)
      .join(" | ");
    throw new VolleyError(
      "ACTION_FAILED",
      `${path} was left as it is: \`${command}\` rejects the new content with exit code ${code}${said === "" ? "" : `: ${said}`}`,
    );
  } finally {
    await system.remove(directory);
  }
}
