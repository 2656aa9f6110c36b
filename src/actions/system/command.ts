import { posix } from "node:path";
import * as v from "valibot";
import {
  type ActionContext,
  ActionFailure,
  type Applied,
  type Change,
  type Unchanged,
  unchanged,
} from "../../core/action.ts";
import { isVolleyError } from "../../core/errors.ts";
import type { ReadSystem, System } from "../../core/system.ts";
import { commandLine } from "../../core/unix/shell.ts";
import { defineAction } from "../define.ts";
import { describe, flag, optionalText, text } from "../shared/params.ts";
import { firstMatch } from "../shared/paths.ts";
import { commandWords } from "../shared/run-tool.ts";

/** The data of a command, under Ansible's names. */
interface CommandData {
  readonly cmd: string | readonly string[];
  readonly rc: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly stdout_lines: readonly string[];
  readonly stderr_lines: readonly string[];
  /** UTC. */
  readonly start: string;
  readonly end: string;
  /** `h:mm:ss.ffffff` */
  readonly delta: string;
  /** True when the output was cut at its limit. */
  readonly truncated?: boolean;
}

/** Parameters of `command` and `shell`. */
const commandParams = {
  chdir: optionalText(
    "Working directory. Default: the home of the login user, also with become, if the user may read it, else the user's own. A relative path starts there.",
  ),
  creates: optionalText("Path or pattern; when it exists, the command is not run. Relative to `chdir`."),
  removes: optionalText(
    "Path or pattern; when it does not exist, the command is not run. Relative to `chdir`.",
  ),
  stdin: v.optional(describe(v.string(), "Standard input of the command. Default: empty.")),
  stdin_add_newline: flag("Add a newline to the end of `stdin`.", true),
  environment: v.optional(
    describe(v.record(v.string(), v.string()), "Variables to add to the command's environment."),
  ),
  strip_empty_ends: flag("Remove empty lines from the end of stdout and stderr.", true),
  timeout: v.optional(
    describe(
      v.pipe(v.number(), v.gtValue(0)),
      "Seconds after which the command is terminated and the task fails. Default: none.",
    ),
  ),
};

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

/** Run a command, without a shell. */
export const command = defineAction({
  name: "command",
  doc: `Run a command, without a shell.

The command always counts as a change, unless \`creates\` or \`removes\` make it unnecessary: then it does not run, and
the task is unchanged. An exit code other than 0 fails the task, which has \`rc\`, \`stdout\` and \`stderr\` all the same.

Words are split as in a POSIX shell, with quotes, but nothing is expanded: no \`$HOME\`, \`*\`, \`|\` or \`>\`. Use
\`shell\` for those. (Ansible's module expands variables.) Check mode runs nothing; the result is unknown unless
\`creates\` or \`removes\` decide.

\`command("ls -l")\` and \`command(["touch", "/x"])\` are short for \`cmd\` and \`argv\`.`,
  params,
  examples: [
    { cmd: "systemd-machine-id-setup" },
    { argv: ["/usr/bin/make-database", "Alice Smith"], creates: "/srv/database" },
  ],
  shorthand: (input: string | readonly string[]) =>
    Array.isArray(input) ? { argv: [...input] } : { cmd: input as string },
  title: ({ cmd, argv }) => cmd ?? commandLine(argv ?? []),
  inspect: (given, system) => inspectCommand(commandRequest(given), system),
  apply: (_change, given, system, context) => applyCommand(commandRequest(given), system, context),
});

function commandRequest({ cmd, argv, ...rest }: v.InferOutput<typeof params>): CommandRequest {
  const words = argv ?? commandWords(cmd ?? "");
  return { ...rest, cmd: cmd ?? words, argv: words, name: words[0] ?? "the command" };
}

const shellParams = v.strictObject({
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
  params: shellParams,
  examples: [{ cmd: "zcat dump.sql.gz | psql shop", chdir: "/srv", creates: "/srv/.imported" }],
  shorthand: (input: string) => ({ cmd: input }),
  title: ({ cmd }) => cmd.split("\n")[0] ?? "",
  inspect: (given, system) => inspectCommand(shellRequest(given), system),
  apply: (_change, given, system, context) => applyCommand(shellRequest(given), system, context),
});

function shellRequest({
  executable = "/bin/sh",
  ...rest
}: v.InferOutput<typeof shellParams>): CommandRequest {
  return { ...rest, argv: [executable, "-c", rest.cmd], name: "the shell" };
}

/** A command to run. */
interface CommandRequest extends Omit<v.InferOutput<typeof shellParams>, "cmd" | "executable"> {
  readonly argv: readonly string[];
  /** The command as written, for messages and data. */
  readonly cmd: string | readonly string[];
  /** Its name in messages. */
  readonly name: string;
}

/** Decide by `creates` and `removes` whether the command must run; without them its effect is unknown. */
async function inspectCommand(
  request: CommandRequest,
  system: ReadSystem,
): Promise<Change | Unchanged<CommandData>> {
  const { creates, removes, cmd, name } = request;
  const directory = await directoryOf(request.chdir, system);
  const at = (path: string): string => (isWhole(path) ? path : posix.join(directory, path));
  const notRun = (reason: string): Unchanged<CommandData> => {
    const now = new Date();
    return unchanged({ ...describeRun(cmd, now, now), rc: 0, ...outputs(reason, "", true) }, reason);
  };
  if (creates !== undefined && (await firstMatch(system, at(creates))) !== null)
    return notRun(`skipped, since ${creates} exists`);
  if (removes !== undefined && (await firstMatch(system, at(removes))) === null)
    return notRun(`skipped, since ${removes} does not exist`);
  const message = `run ${typeof cmd === "string" ? cmd : commandLine(cmd)}`;
  return creates === undefined && removes === undefined
    ? { message, unknown: `only running ${name} tells whether it changes anything` }
    : { message };
}

function isWhole(path: string): boolean {
  return /^(\/|~\/)/.test(path);
}

/** Return the working directory of a command, where its relative paths start too. */
async function directoryOf(chdir: string | undefined, system: ReadSystem): Promise<string> {
  if (chdir === "~") return "~/";
  return chdir !== undefined && isWhole(chdir)
    ? chdir
    : posix.join(await system.workingDirectory(), chdir ?? "");
}

/** Run the command with live output. A non-zero exit code fails with an {@link ActionFailure} that holds {@link CommandData}. */
async function applyCommand(
  request: CommandRequest,
  system: System,
  context: ActionContext,
): Promise<Applied<CommandData>> {
  const { argv, cmd, name, chdir, stdin, environment, timeout } = request;
  const input = stdin === undefined ? undefined : request.stdin_add_newline ? `${stdin}\n` : stdin;
  const start = new Date();
  context.memo.clear();
  try {
    const result = await system.run(argv, {
      ...(chdir === undefined ? {} : { cwd: await directoryOf(chdir, system) }),
      ...(environment === undefined ? {} : { env: environment }),
      ...(input === undefined ? {} : { input }),
      ...(timeout === undefined ? {} : { timeoutMs: timeout * 1000 }),
      signal: context.signal,
      onOutput: context.output,
    });
    const data: CommandData = {
      ...describeRun(cmd, start, new Date()),
      rc: result.code,
      ...outputs(result.stdout, result.stderr, request.strip_empty_ends),
      ...(result.truncated ? { truncated: true } : {}),
    };
    if (result.code === 0) return { data };
    const last = [...(data.stderr_lines.length > 0 ? data.stderr_lines : data.stdout_lines)]
      .reverse()
      .find((line) => line.trim() !== "");
    const how =
      result.signal === undefined ? `exited with code ${result.code}` : `was ended by ${result.signal}`;
    throw new ActionFailure(
      "ACTION_FAILED",
      `${name} ${how}${last === undefined ? "" : `: ${last.trim().slice(0, 500)}`}`,
      data,
    );
  } catch (thrown) {
    if (!isVolleyError(thrown) || thrown.code !== "PROCESS_FAILED") throw thrown;
    // As in Ansible, a command that cannot be started fails with code 2.
    const data: CommandData = {
      ...describeRun(cmd, start, new Date()),
      rc: 2,
      ...outputs("", thrown.message, true),
    };
    throw new ActionFailure(thrown.code, thrown.message, data, { cause: thrown });
  }
}

function describeRun(
  cmd: string | readonly string[],
  start: Date,
  end: Date,
): Pick<CommandData, "cmd" | "start" | "end" | "delta"> {
  const clock = (time: Date): string => `${time.toISOString().slice(0, 23).replace("T", " ")}000`;
  const milliseconds = Math.max(0, end.getTime() - start.getTime());
  const hours = Math.floor(milliseconds / 3_600_000);
  const rest = new Date(milliseconds % 3_600_000).toISOString().slice(14, 23);
  return { cmd, start: clock(start), end: clock(end), delta: `${hours}:${rest}000` };
}

function outputs(
  stdout: string,
  stderr: string,
  strip: boolean,
): Pick<CommandData, "stdout" | "stderr" | "stdout_lines" | "stderr_lines"> {
  const clean = (text: string): string => (strip ? text.replace(/[\r\n]+$/, "") : text);
  const lines = (text: string): readonly string[] =>
    text === "" ? [] : text.replace(/\r?\n$/, "").split(/\r?\n/);
  const [out, err] = [clean(stdout), clean(stderr)];
  return { stdout: out, stderr: err, stdout_lines: lines(out), stderr_lines: lines(err) };
}
