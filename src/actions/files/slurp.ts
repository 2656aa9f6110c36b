import * as v from "valibot";
import { unchanged } from "../../core/action.ts";
import { isVolleyError, VolleyError } from "../../core/errors.ts";
import type { ReadSystem } from "../../core/system.ts";
import { defineAction } from "../define.ts";
import { text } from "../shared/params.ts";
import { parentOf } from "../shared/paths.ts";

/** The data of a slurp task. */
interface SlurpData {
  /** The file's bytes in Base64. */
  readonly content: string;
  readonly encoding: "base64";
  readonly source: string;
}

/** Read a file of the host. */
export const slurp = defineAction({
  name: "slurp",
  doc: `Read a file of the host; the data's \`content\` is the file in Base64, which the filter \`b64decode\` turns into text.

It never changes anything. The whole file is held in memory, and is part of the task's result.`,
  params: v.strictObject({ src: text("The file: an absolute path, or one from `~/`.") }),
  aliases: { path: "src" },
  examples: [{ src: "/etc/machine-id" }],
  title: ({ src }) => src,

  async inspect({ src }, system) {
    const content = (await readWhole(system, src)).toString("base64");
    return unchanged<SlurpData>({ content, encoding: "base64", source: src });
  },
});

/** Read a file; the errors begin as Ansible's do, because playbooks look for their words. */
async function readWhole(system: ReadSystem, src: string): Promise<Buffer> {
  const fail = (message: string): never => {
    throw new VolleyError("ACTION_FAILED", message);
  };
  try {
    const stat = await system.stat(src);
    if (stat === null) {
      const above = await system.stat(parentOf(src));
      return above === null || above.type === "directory"
        ? fail(`file not found: ${src}`)
        : fail(`unable to slurp file: ${parentOf(src)} is a ${above.type}, not a directory`);
    }
    if (stat.type === "directory") {
      await system.list(src);
      return fail(`source is a directory and must be a file: ${src}`);
    }
    return await system.readFile(src);
  } catch (thrown) {
    if (!isVolleyError(thrown) || thrown.code !== "FILE_FAILED") throw thrown;
    return /permission denied/.test(thrown.message)
      ? fail(`file is not readable: ${src}`)
      : fail(`unable to slurp file: ${thrown.message}`);
  }
}
