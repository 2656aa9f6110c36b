import { writeFileSync } from "node:fs";
import { dirname } from "node:path";
import type { Command } from "commander";
import { VolleyError } from "../../core/errors.ts";
import { makeDirectories } from "../../system/directories.ts";
import { cannotWrite, expandHome } from "../terminal.ts";

/** Add `volley queue-key`. */
export function addQueueKeyCommand(program: Command): void {
  program
    .command("queue-key")
    .summary("make a key for the controllers and workers of a queue")
    .description(
      "Make a fresh key with which controllers and workers of a queue encrypt and authenticate all that passes through Redis. All of them need the same file: who has it can start work on the hosts that the workers reach.",
    )
    .option(
      "-o, --output <file>",
      "file to write, for its owner alone, which must not be there yet; - is standard output",
      "-",
    )
    .addHelpText(
      "after",
      `
Examples:
  volley queue-key -o ~/.config/volley/queue.key
  volley queue-key | age -r age1… > queue.key.age

The file is read from --queue-key FILE, else from $VOLLEY_QUEUE_KEY_FILE, else from ~/.config/volley/queue.key. It may be
encrypted with age or Ansible Vault. The first key of a file seals, and each key opens. To replace a key, first add the new
one as the last line everywhere, then move it to the first line everywhere, then remove the old one.
`,
    )
    .action(async ({ output }: { readonly output: string }) => {
      const { makeQueueKey } = await import("../../queue/keys.ts");
      if (output === "")
        throw new VolleyError("USAGE", "--output names no file", { hint: "- is standard output" });
      const line = `${makeQueueKey()}\n`;
      if (output === "-") process.stdout.write(line);
      else writeKey(expandHome(output), line);
    });
}

/** Write a file that only its owner may read. Fails with `FILE_FAILED`, also for a file that is there. */
function writeKey(path: string, line: string): void {
  try {
    makeDirectories(dirname(path), 0o700);
    writeFileSync(path, line, { mode: 0o600, flag: "wx" });
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== "EEXIST") throw cannotWrite(path, thrown);
    throw new VolleyError("FILE_FAILED", `${path} is there, and a key is never overwritten`, {
      hint: "name another file, or add a key to this one: volley queue-key >> FILE",
    });
  }
}
