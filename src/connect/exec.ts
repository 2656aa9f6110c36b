import type { Readable } from "node:stream";
import { StringDecoder } from "node:string_decoder";
import type { SerializedError } from "../core/errors.ts";
import { VolleyError } from "../core/errors.ts";
import { isSecret, type Secret } from "../core/secret.ts";
import { execOnHost, type HostResult } from "../fanout/exec/fan-out.ts";
import {
  type CommandInput,
  inputOfBytes,
  keepInput,
  type RemoteCommand,
  startCommand,
} from "../fanout/exec/remote-command.ts";
import type { TerminalSize } from "../transport/transport.ts";
import { becomeOn, type Core, type Member, openText } from "./members.ts";
import { type Folded, type HostEnd, Results } from "./results.ts";
import { anyOf } from "./signals.ts";
import { checkTimeout, startWork, type Work } from "./work.ts";

/** A command: a line for the host's `sh`, or a program and its arguments, which arrive as they are. */
export type Command = string | readonly string[];

/** Options of a command. */
export interface ExecOptions {
  /** The user to become; `true` is root, `false` the login user. Default: the fleet's, else the inventory's. */
  readonly become?: boolean | string;
  /** Environment variables. The values of secrets are masked in results. */
  readonly env?: Readonly<Record<string, string | Secret>>;
  /** Working directory. Default: the user's home. Where it is missing, the exit code is 125. */
  readonly cwd?: string;
  /** Standard input, the same for every host: a stream is read once, into a temporary file. Default: empty. */
  readonly stdin?: string | Uint8Array | Readable | Secret;
  /** Run it on a terminal of this size, which merges stderr into stdout and has no `stdin`. Default: no terminal. */
  readonly pty?: TerminalSize;
  /** Time limit of the started command, in milliseconds: TERM then, and KILL 5 s later. Default: none. */
  readonly timeoutMs?: number;
  /** Bytes of each stream to keep of a host; the rest is dropped, and `truncated` says so. Default 16 MiB. */
  readonly maxBytes?: number;
  /** Take output as it comes, unmasked. No more is read of the host until a returned promise settles. */
  readonly onOutput?: (host: string, stream: "stdout" | "stderr", chunk: Buffer) => Promise<void> | undefined;
  /** Its abort cancels: TERM, and KILL 5 s later. */
  readonly signal?: AbortSignal;
}

/** The result of a command on one host. */
export interface ExecResult extends HostEnd {
  readonly outcome: HostResult["outcome"];
  /** Exit code; undefined where a signal ended the command, or it was not started. */
  readonly code: number | undefined;
  /** The signal that ended the command, such as `TERM`. */
  readonly signal: string | undefined;
  /** UTF-8, with the secrets masked that the fleet knows of. */
  readonly stdout: string;
  readonly stderr: string;
  /** `stdout` without the newlines at its end, as `$(…)` gives it in a shell. */
  readonly text: string;
  /** True when output was dropped. */
  readonly truncated: boolean;
  /** Why the host was not reached, or the command not started; absent where the command itself has failed. */
  readonly error: SerializedError | undefined;
  /** Milliseconds, connecting included. */
  readonly elapsedMs: number;
}

/** The results of a command. */
export class ExecResults extends Results<ExecResult> {
  /** Group the hosts with the same outcome and output, the largest group first. */
  fold(): readonly Folded<ExecResult, ExecEnd>[] {
    return this.foldBy(({ outcome, code, signal, stdout, stderr, error }) => ({
      ...{ outcome, code, signal, stdout, stderr },
      error: error?.code,
    }));
  }
}

/** The end of a command, which hosts of one group have in common. */
export interface ExecEnd extends Pick<ExecResult, "outcome" | "code" | "signal" | "stdout" | "stderr"> {
  readonly error: string | undefined;
}

const MAX_BYTES = 16 << 20;

/** Run a command on these hosts. */
export function exec(
  members: readonly Member[],
  core: Core,
  command: Command,
  options: ExecOptions = {},
): Work<ExecResult, ExecResults> {
  const { signal, pty, timeoutMs } = options;
  return startWork({
    hosts: members,
    limit: core.limit,
    signal,
    empty: new ExecResults(),
    prepare: async (cancel) => {
      checkTimeout(timeoutMs);
      if (pty !== undefined) refuseSecrets(options.env);
      const env = await openEnvironment(options.env, core);
      const input = await openInput(options, core, anyOf(cancel, core.closing));
      const directory = options.cwd;
      const started = startCommand(commandOf(command), {
        ...{ env, directory, stdinBytes: input?.bytes, pty: pty !== undefined },
      });
      return { started, input };
    },
    perHost: async (member, { started, input }, cancel) => {
      const kept = keepOutput(member.name, options, core);
      const result = await execOnHost(
        { ...member, become: becomeOn(member, options.become, core.become) },
        {
          ...started,
          ...(input === undefined ? {} : { input }),
          ...(pty === undefined ? {} : { pty }),
          ...(timeoutMs === undefined ? {} : { timeoutMs }),
          output: kept.output,
          // A host that does not answer is given up, too, when the fleet is closed.
          cancel: anyOf(cancel, core.closing),
          kill: core.closing,
        },
      );
      return resultOf(result, kept, core);
    },
    release: ({ input }) => input?.close(),
  });
}

/** Return a command in the form that fan-outs take. Fails with `USAGE`. */
export function commandOf(command: Command): Exclude<RemoteCommand, { readonly kind: "script" }> {
  const isLine = typeof command === "string";
  const text = isLine ? command : (command[0] ?? "");
  if (text.trim() === "") throw new VolleyError("USAGE", "there is no command");
  if (!isLine && command.some((word) => word.includes("\0")))
    throw new VolleyError("USAGE", "a word of the command holds a NUL");
  return isLine ? { kind: "line", text: command } : { kind: "words", words: command };
}

/** Return the values of environment variables. Fails with `USAGE` or `SECRET_FAILED`. */
export async function openEnvironment(
  env: ExecOptions["env"] = {},
  core: Core,
): Promise<Record<string, string>> {
  const opened: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    if (!/^[A-Za-z_]\w*$/.test(name))
      throw new VolleyError("USAGE", `"${name}" is no name of an environment variable`);
    opened[name] = await openText(value, `the variable ${name}`, core);
  }
  return opened;
}

/** On a terminal, the environment stands on the command line that starts the command. */
function refuseSecrets(env: ExecOptions["env"] = {}): void {
  const found = Object.entries(env).find(([, value]) => isSecret(value));
  if (found === undefined) return;
  throw new VolleyError("USAGE", `the secret ${found[0]} would stand on a command line of the host`, {
    hint: "leave out `pty`, or type it into host.shell()",
  });
}

async function openInput(
  { stdin, pty }: Pick<ExecOptions, "stdin" | "pty">,
  core: Core,
  signal: AbortSignal,
): Promise<CommandInput | undefined> {
  if (stdin === undefined) return undefined;
  if (pty !== undefined)
    throw new VolleyError("USAGE", "a terminal is no place for bytes: pty goes without stdin", {
      hint: "host.shell() and host.start() have a stdin to write to",
    });
  if (stdin instanceof Uint8Array) return inputOfBytes(Buffer.from(stdin));
  if (typeof stdin === "object" && Symbol.asyncIterator in stdin) return keepInput(stdin, signal);
  return inputOfBytes(Buffer.from(await openText(stdin, "the standard input", core)));
}

interface KeptOutput {
  output(stream: "stdout" | "stderr", chunk: Buffer): Promise<void> | undefined;
  text(stream: "stdout" | "stderr"): string;
  readonly truncated: boolean;
}

function keepOutput(
  host: string,
  { maxBytes = MAX_BYTES, onOutput }: Pick<ExecOptions, "maxBytes" | "onOutput">,
  { masking }: Core,
): KeptOutput {
  const kept = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
  const left = { stdout: maxBytes, stderr: maxBytes };
  let truncated = false;
  return {
    output: (stream, chunk) => {
      if (chunk.length > left[stream]) truncated = true;
      const piece = chunk.subarray(0, left[stream]);
      left[stream] -= piece.length;
      if (piece.length > 0) kept[stream].push(piece);
      return onOutput?.(host, stream, chunk);
    },
    text: (stream) => {
      const decoder = new StringDecoder("utf8");
      const text = decoder.write(Buffer.concat(kept[stream]));
      // Leave out a character that the bound has cut.
      return masking.text(truncated ? text : text + decoder.end());
    },
    get truncated() {
      return truncated;
    },
  };
}

function resultOf(
  { host, outcome, exit, error, elapsedMs }: HostResult,
  kept: KeptOutput,
  { masking, closing }: Core,
): ExecResult {
  const stdout = kept.text("stdout");
  const isOfClosed = outcome === "cancelled" && closing.aborted && exit === undefined;
  const why =
    error ?? (exit?.kind === "lost" ? lost(host, exit.reason) : isOfClosed ? closed(host) : undefined);
  return {
    host,
    ok: outcome === "ok",
    // The fleet's own end is no loss.
    outcome: outcome === "lost" && closing.aborted ? "cancelled" : outcome,
    code: exit?.kind === "exited" ? exit.code : undefined,
    signal: exit?.kind === "signalled" ? exit.signal.replace(/^SIG/, "") : undefined,
    stdout,
    stderr: kept.text("stderr"),
    text: stdout.replace(/\n+$/, ""),
    truncated: kept.truncated,
    error: why === undefined ? undefined : masking.error(why),
    elapsedMs,
  };
}

function closed(host: string): SerializedError {
  return { code: "CANCELLED", message: `${host}: the fleet was closed` };
}

function lost(host: string, reason: string): SerializedError {
  return { code: "CONNECTION_LOST", message: `${host}: ${reason}` };
}
