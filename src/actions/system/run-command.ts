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
import { firstMatch } from "../shared/glob.ts";
import { describe, flag, optionalText } from "../shared/params.ts";

/** What running a command gives, under Ansible's names. */
export interface CommandData {
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
  /** True when output was cut at its bound. */
  readonly truncated?: boolean;
}

/** The parameters `command` and `shell` share. */
export const commandParams = {
  chdir: optionalText(
    "Directory to run in. Default: the home of who is logged in, with become too, where the user may read it; else the user's own. A relative one begins there.",
  ),
  creates: optionalText("Path or pattern; when it exists, the command is not run. Relative to `chdir`."),
  removes: optionalText(
    "Path or pattern; when it does not exist, the command is not run. Relative to `chdir`.",
  ),
  stdin: v.optional(
    describe(v.string(), "What the command reads from its standard input. Default: nothing."),
  ),
  stdin_add_newline: flag("Ends `stdin` with a newline.", true),
  environment: v.optional(
    describe(v.record(v.string(), v.string()), "Variables added to the command's environment."),
  ),
  strip_empty_ends: flag("Takes empty lines off the end of stdout and stderr.", true),
  timeout: v.optional(
    describe(
      v.pipe(v.number(), v.gtValue(0)),
      "Seconds after which the command is ended and the task fails. Default: none.",
    ),
  ),
};

/** A command ready to be run. */
export interface CommandRequest {
  readonly argv: readonly string[];
  /** As the user wrote it, for messages and data. */
  readonly cmd: string | readonly string[];
  /** What messages call it. */
  readonly name: string;
  readonly chdir?: string | undefined;
  readonly creates?: string | undefined;
  readonly removes?: string | undefined;
  readonly stdin?: string | undefined;
  readonly stdin_add_newline: boolean;
  readonly environment?: Readonly<Record<string, string>> | undefined;
  readonly strip_empty_ends: boolean;
  readonly timeout?: number | undefined;
}

function isWhole(path: string): boolean {
  return /^(\/|~\/)/.test(path);
}

/** Where a command runs, and where its relative paths begin. */
async function directoryOf(chdir: string | undefined, system: ReadSystem): Promise<string> {
  if (chdir === "~") return "~/";
  return chdir !== undefined && isWhole(chdir)
    ? chdir
    : posix.join(await system.workingDirectory(), chdir ?? "");
}

/** Decides whether `creates` or `removes` stop the command; otherwise only running it tells what it changes. */
export async function inspectCommand(
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
  const message = `run ${typeof cmd === "string" ? cmd : cmd.join(" ")}`;
  return creates === undefined && removes === undefined
    ? { message, unknown: `only running ${name} tells whether it changes anything` }
    : { message };
}

/** Runs it, showing its output live; a non-zero exit fails with an {@link ActionFailure} that carries {@link CommandData}. */
export async function applyCommand(
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
    // As Ansible has it: a command that cannot be started failed with code 2.
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
