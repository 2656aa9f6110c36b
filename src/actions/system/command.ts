import * as v from "valibot";
import { defineAction } from "../define.ts";
import { describe, optionalText } from "../shared/params.ts";
import { commandWords } from "../shared/words.ts";
import { applyCommand, type CommandRequest, commandParams, inspectCommand } from "./run-command.ts";

const params = v.pipe(
  v.strictObject({
    cmd: optionalText("The command line, split into words as a shell splits it. Give this or `argv`."),
    argv: v.optional(
      describe(v.pipe(v.array(v.string()), v.minLength(1)), "The command and its arguments, one by one."),
    ),
    ...commandParams,
  }),
  v.check(({ cmd, argv }) => (cmd === undefined) !== (argv === undefined), "give either cmd or argv"),
);

/** Runs a command, without a shell. */
export const command = defineAction({
  name: "command",
  doc: `Run a command, without a shell.

The command always counts as a change, unless \`creates\` or \`removes\` say that it is not needed: then it is not
run, and the task is unchanged. An exit code other than 0 fails the task; \`rc\`, \`stdout\` and \`stderr\` can be looked at all the same.

Words are split as a POSIX shell splits them, quotes included, but nothing is expanded: no \`$HOME\`, \`*\`, \`|\`
or \`>\`. Use \`shell\` for those. (Ansible's module expands variables.) In check mode nothing is run, and what
would come of it is unknown unless \`creates\` or \`removes\` decide.

\`command("ls -l")\` and \`command(["touch", "/x"])\` are short for \`cmd\` and \`argv\`.`,
  params,
  examples: [
    { cmd: "systemd-machine-id-setup" },
    { argv: ["/usr/bin/make-database", "Alice Smith"], creates: "/srv/database" },
  ],
  shorthand: (input: string | readonly string[]) =>
    Array.isArray(input) ? { argv: [...input] } : { cmd: input as string },
  title: ({ cmd, argv }) => cmd ?? argv?.join(" ") ?? "",
  inspect: (given, system) => inspectCommand(requestOf(given), system),
  apply: (_change, given, system, context) => applyCommand(requestOf(given), system, context),
});

function requestOf({ cmd, argv, ...rest }: v.InferOutput<typeof params>): CommandRequest {
  const words = argv ?? commandWords(cmd ?? "");
  return { ...rest, cmd: cmd ?? words, argv: words, name: words[0] ?? "the command" };
}
