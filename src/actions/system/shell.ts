import * as v from "valibot";
import { defineAction } from "../define.ts";
import { optionalText, text } from "../shared/params.ts";
import { applyCommand, type CommandRequest, commandParams, inspectCommand } from "./command.ts";

const params = v.strictObject({
  cmd: text("The script, of one or more lines."),
  executable: optionalText("The shell. Default: `/bin/sh`."),
  ...commandParams,
});

/** Run a shell script. */
export const shell = defineAction({
  name: "shell",
  doc: `Run a command line in a shell: with pipes, redirections and variables.

Otherwise it works as \`command\`. Prefer \`command\` where no shell is needed, and quote values of vars: the shell gets
the text as it is. \`shell("a | b")\` is short for \`cmd\`.`,
  params,
  examples: [{ cmd: "zcat dump.sql.gz | psql shop", chdir: "/srv", creates: "/srv/.imported" }],
  shorthand: (input: string) => ({ cmd: input }),
  title: ({ cmd }) => cmd.split("\n")[0] ?? "",
  inspect: (given, system) => inspectCommand(requestOf(given), system),
  apply: (_change, given, system, context) => applyCommand(requestOf(given), system, context),
});

function requestOf({ executable = "/bin/sh", ...rest }: v.InferOutput<typeof params>): CommandRequest {
  return { ...rest, argv: [executable, "-c", rest.cmd], name: "the shell" };
}
