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
import { expandPath, firstMatch } from "../shared/paths.ts";
import { commandWords } from "../shared/run-tool.ts";

/** The data of a command, under Ansible's names. */
interface CommandData {
  /** The words of `command`, the text of `shell`. */
  readonly cmd: string | readonly string[];
  /** Exit code; the negative number of a signal that ended the command. */
  readonly rc: number;
  /** Ansible's message. */
  readonly msg: string;
  readonly stdout: string;
  readonly stderr: string;
  readonly stdout_lines: readonly string[];
  readonly stderr_lines: readonly string[];
  /** Local time; null for a command that did not run, absent for one that could not be started. */
  readonly start?: string | null;
  readonly end?: string | null;
  /** `h:mm:ss.ffffff` */
  readonly delta?: string | null;
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
  warn: v.optional(describe(v.boolean(), "Accepted and ignored.")),
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
    expand_argument_vars: flag(
      "Replace `$NAME` and a leading `~` in the words, as Ansible's module does. A secret of the environment that is named so stands on the command line.",
    ),
    executable: optionalText("Accepted and ignored: `shell` has a shell."),
    ...commandParams,
  }),
  v.check(({ cmd, argv }) => cmd !== undefined || argv !== undefined, "no command given"),
  v.check(
    ({ cmd, argv }) => cmd === undefined || argv === undefined,
    "only command or argv can be given, not both",
  ),
);

/** Run a command, without a shell. */
export const command = defineAction({
  name: "command",
  doc: `Run a command, without a shell.

The command always counts as a change, unless \`creates\` or \`removes\` make it unnecessary: then it does not run, and
the task is unchanged. An exit code other than 0 fails the task, which has \`rc\`, \`stdout\` and \`stderr\` all the same.

Words are split as in a POSIX shell, with quotes, but nothing is expanded: no \`$HOME\`, \`*\`, \`|\` or \`>\`. Use
\`shell\` for those. \`expand_argument_vars\` has variables of the environment and a leading \`~\` replaced, as in
Ansible's playbooks, where it is on. Check mode runs nothing; the result is unknown unless \`creates\` or \`removes\` decide.

\`command("ls -l")\` and \`command(["touch", "/x"])\` are short for \`cmd\` and \`argv\`.`,
  params,
  examples: [
    { cmd: "systemd-machine-id-setup" },
    { argv: ["/usr/bin/make-database", "Alice Smith"], creates: "/srv/database" },
  ],
  shorthand: (input: string | readonly string[]) =>
    Array.isArray(input) ? { argv: [...input] } : { cmd: input as string },
  title: ({ cmd, argv }) => cmd ?? commandLine(argv ?? []),
  aliases: { _raw_params: "cmd" },
  inspect: (given, system, context) => inspectCommand(commandRequest(given), system, context),
  apply: (_change, given, system, context) => applyCommand(commandRequest(given), system, context),
});

function commandRequest({ cmd, argv, ...rest }: v.InferOutput<typeof params>): CommandRequest {
  const words = argv ?? commandWords(cmd ?? "");
  return {
    ...rest,
    ...{ cmd: words, line: cmd ?? commandLine(words), argv: words, name: words[0] ?? "the command" },
    expands: rest.expand_argument_vars,
  };
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
  aliases: { _raw_params: "cmd" },
  inspect: (given, system, context) => inspectCommand(shellRequest(given), system, context),
  apply: (_change, given, system, context) => applyCommand(shellRequest(given), system, context),
});

function shellRequest({
  executable = "/bin/sh",
  ...rest
}: v.InferOutput<typeof shellParams>): CommandRequest {
  const argv = [executable, "-c", rest.cmd];
  return { ...rest, line: rest.cmd, argv, name: "the shell", expands: false };
}

/** A command to run. */
interface CommandRequest extends Omit<v.InferOutput<typeof shellParams>, "cmd" | "executable"> {
  readonly argv: readonly string[];
  /** The command as Ansible returns it. */
  readonly cmd: string | readonly string[];
  /** The command as written, for messages. */
  readonly line: string;
  /** True when variables in the words are replaced. */
  readonly expands: boolean;
  /** Its name in messages. */
  readonly name: string;
}

/** Decide by `creates` and `removes` whether the command must run; without them its effect is unknown. */
async function inspectCommand(
  request: CommandRequest,
  system: ReadSystem,
  context: ActionContext,
): Promise<Change | Unchanged<CommandData>> {
  const { creates, removes, cmd, name, line } = request;
  const directory = await directoryOf(request.chdir, system, context);
  const exists = async (path: string): Promise<boolean> => {
    const full = await expandPath(system, path, context.facts.env);
    return (await firstMatch(system, isWhole(full) ? full : posix.join(directory, full))) !== null;
  };
  const notRun = (path: string, how: string): Unchanged<CommandData> => {
    const msg = `${context.check ? "Would" : "Did"} not run command since '${path}' ${how}`;
    const said = `skipped, since ${path} ${how}`;
    return unchanged({ cmd, ...NOT_RUN, msg, rc: 0, ...outputs(said, "", true) }, said);
  };
  if (creates !== undefined && (await exists(creates))) return notRun(creates, "exists");
  if (removes !== undefined && !(await exists(removes))) return notRun(removes, "does not exist");
  const msg = "Command would have run if not in check mode";
  // What Ansible returns in check mode is no prediction: only a playbook that registers it is to see it.
  const isTold = context.check && context.registered === true;
  const change = {
    message: `run ${line}`,
    ...(isTold ? { data: { cmd, ...NOT_RUN, msg, rc: 0, ...outputs("", "", true) } } : {}),
  };
  return creates === undefined && removes === undefined
    ? { ...change, unknown: `only running ${name} tells whether it changes anything` }
    : change;
}

/** The times of a command that did not run. */
const NOT_RUN = { start: null, end: null, delta: null } as const;

function isWhole(path: string): boolean {
  return /^(\/|~\/)/.test(path);
}

/** Return the working directory of a command, where its relative paths start too. */
async function directoryOf(
  given: string | undefined,
  system: ReadSystem,
  { facts }: ActionContext,
): Promise<string> {
  const chdir = given === undefined ? undefined : await expandPath(system, given, facts.env);
  if (chdir === "~") return "~/";
  return chdir !== undefined && isWhole(chdir)
    ? chdir
    : posix.join(await system.workingDirectory(), chdir ?? "");
}

/** Return the words to run: with variables of the command's environment replaced, as Ansible's module does. */
async function expandWords(
  { argv, expands, environment }: CommandRequest,
  system: ReadSystem,
  { facts }: ActionContext,
): Promise<readonly string[]> {
  if (!expands || !argv.some((word) => /\$|^~/.test(word))) return argv;
  const HOME = await expandPath(system, "~");
  const variables = { ...facts.env, ...(HOME === "~" ? {} : { HOME }), ...environment };
  return Promise.all(argv.map((word) => expandPath(system, word, variables)));
}

/** Run the command with live output. A non-zero exit code fails with an {@link ActionFailure} that holds {@link CommandData}. */
async function applyCommand(
  request: CommandRequest,
  system: System,
  context: ActionContext,
): Promise<Applied<CommandData>> {
  const { cmd, name, chdir, stdin, environment, timeout } = request;
  const input = stdin === undefined ? undefined : request.stdin_add_newline ? `${stdin}\n` : stdin;
  const argv = await expandWords(request, system, context);
  const wanted = chdir === undefined ? undefined : await directoryOf(chdir, system, context);
  if (wanted !== undefined && (await system.stat(wanted)) === null) {
    const msg = `Unable to change directory before execution: [Errno 2] No such file or directory: b'${chdir}'`;
    const data = { cmd, ...NOT_RUN, msg, rc: null, ...outputs("", "", true) };
    throw new ActionFailure("PROCESS_FAILED", `cannot run ${name}: there is no directory ${chdir}`, data);
  }
  // As in Ansible, `$PWD` names the directory itself, and no link to it.
  const cwd = wanted?.startsWith("/") === true ? await system.realPath(wanted) : wanted;
  const start = new Date();
  context.memo.clear();
  try {
    const result = await system.run(argv, {
      ...(cwd === undefined ? {} : { cwd }),
      ...(environment === undefined ? {} : { env: environment }),
      ...(input === undefined ? {} : { input }),
      ...(timeout === undefined ? {} : { timeoutMs: timeout * 1000 }),
      signal: context.signal,
      onOutput: context.output,
    });
    const data: CommandData = {
      cmd,
      ...describeTimes(start, new Date()),
      msg: result.code === 0 ? "" : "non-zero return code",
      rc: result.signal === undefined ? result.code : 128 - result.code,
      ...outputs(result.stdout, result.stderr, request.strip_empty_ends),
      ...(result.truncated ? { truncated: true } : {}),
    };
    if (result.code === 0) return { data };
    const last = [...(data.stderr_lines.length > 0 ? data.stderr_lines : data.stdout_lines)]
      .reverse()
      .find((text) => text.trim() !== "");
    const how =
      result.signal === undefined ? `exited with code ${result.code}` : `was ended by ${result.signal}`;
    throw new ActionFailure(
      "ACTION_FAILED",
      `${name} ${how}${last === undefined ? "" : `: ${last.trim().slice(0, 500)}`}`,
      data,
    );
  } catch (thrown) {
    if (!isVolleyError(thrown) || thrown.code !== "PROCESS_FAILED") throw thrown;
    // As in Ansible, a command that cannot be started fails with the system's number of the error.
    const denied = /permission denied/i.test(thrown.message);
    const msg = denied
      ? `[Errno ${DENIED}] Permission denied: b'${argv[0]}'`
      : `[Errno ${MISSING}] No such file or directory: b'${argv[0]}'`;
    const data: CommandData = {
      cmd: commandLine(argv),
      msg,
      rc: denied ? DENIED : MISSING,
      ...outputs("", "", true),
    };
    throw new ActionFailure(thrown.code, thrown.message, data, { cause: thrown });
  }
}

const MISSING = 2;
const DENIED = 13;

function describeTimes(start: Date, end: Date): Pick<CommandData, "start" | "end" | "delta"> {
  const clock = (time: Date): string => {
    const local = new Date(time.getTime() - time.getTimezoneOffset() * 60_000);
    return `${local.toISOString().slice(0, 23).replace("T", " ")}000`;
  };
  const milliseconds = Math.max(0, end.getTime() - start.getTime());
  const hours = Math.floor(milliseconds / 3_600_000);
  const rest = new Date(milliseconds % 3_600_000).toISOString().slice(14, 23);
  return { start: clock(start), end: clock(end), delta: `${hours}:${rest}000` };
}

/** The line endings of Python's splitlines. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they end lines in Python
const LINE_END = /\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]/;

const LAST_END = new RegExp(`(?:${LINE_END.source})$`);

function outputs(
  stdout: string,
  stderr: string,
  strip: boolean,
): Pick<CommandData, "stdout" | "stderr" | "stdout_lines" | "stderr_lines"> {
  const clean = (text: string): string => (strip ? text.replace(/[\r\n]+$/, "") : text);
  const lines = (text: string): readonly string[] =>
    text === "" ? [] : text.replace(LAST_END, "").split(LINE_END);
  const [out, err] = [clean(stdout), clean(stderr)];
  return { stdout: out, stderr: err, stdout_lines: lines(out), stderr_lines: lines(err) };
}
