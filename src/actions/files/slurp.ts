import * as v from "valibot";
import { unchanged } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import { defineAction } from "../define.ts";
import { text } from "../shared/params.ts";

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
    const stat = await system.stat(src);
    if (stat === null) throw new VolleyError("ACTION_FAILED", `file not found: ${src}`);
    if (stat.type === "directory")
      throw new VolleyError("ACTION_FAILED", `source is a directory and must be a file: ${src}`);
    const content = (await system.readFile(src)).toString("base64");
    return unchanged<SlurpData>({ content, encoding: "base64", source: src });
  },
});
