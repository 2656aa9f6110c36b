import { type FileHandle, mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { VolleyError } from "../../core/errors.ts";
import { commandLine, quote } from "../../core/unix/shell.ts";
import { fileReason } from "../../core/unix/user-file.ts";

/** A command to run on every host. */
export type RemoteCommand =
  /** A line for the host's `sh`. */
  | { readonly kind: "line"; readonly text: string }
  /** A program and its arguments, passed as they are. */
  | { readonly kind: "words"; readonly words: readonly string[] }
  /** A script, for the interpreter its first line names. */
  | { readonly kind: "script"; readonly bytes: Buffer; readonly words: readonly string[] };

/** Options of {@link startCommand}. */
export interface StartOptions {
  readonly env: Readonly<Record<string, string>>;
  /** The command's working directory. Default: the user's home. */
  readonly directory?: string | undefined;
  /** Number of bytes of the command's stdin; undefined for an empty stdin. */
  readonly stdinBytes: number | undefined;
  /** Start it on a terminal, which then ends it, and carries neither a script nor stdin. */
  readonly pty: boolean;
}

/** A command in the form that a host starts. */
export interface StartedCommand {
  /** The script for `/bin/sh`, the same for every command that is started without a terminal. */
  readonly script: string;
  /** Bytes to send before the command's stdin. */
  readonly preamble: Buffer;
}

/** Written to the stdin of a command without a terminal, cancels it. */
export const END_COMMAND = "TERM\n";

/** Time from the TERM signal to the KILL signal. */
export const END_SECONDS = 5;

/** Exit code of a command that was not started because its script or stdin did not arrive whole. */
const INCOMPLETE_EXIT = 125;

/**
 * Make the shell script that runs a command. As with ssh, the shell becomes the command, so that process, name and the
 * signal that ends it are the command's own.
 *
 * Without a terminal, sshd neither forwards signals (for root never) nor ends the processes of a lost connection. So one
 * process beside the command reads the connection's stdin as a lifeline: the word `TERM` ends the process group that
 * sshd made; its end sends HUP, as a terminal would, unless the command has ended; after 5 seconds the rest is killed.
 * That process is a copy of the shell, made without a program of its own, and ends with the connection's stdin.
 *
 * To keep secrets off command lines, the rest arrives on stdin first: the steps to the command, as one line, then a
 * script, then the command's own stdin, which is kept in a file without a name.
 */
export function startCommand(command: RemoteCommand, options: StartOptions): StartedCommand {
  const { stdinBytes, pty } = options;
  const settings = settingsOf(options);
  // The terminal is the command's own stdin: everything else stands on the command line.
  if (pty) return { script: [...settings, runOf(command, "")].join("\n"), preamble: Buffer.alloc(0) };
  const script = command.kind === "script" ? command.bytes : undefined;
  const steps = [
    ...settings,
    ...(script === undefined && stdinBytes === undefined ? [] : [SPOOL]),
    ...(script === undefined ? [] : [`_vspool ${script.length}`, `_vp=$_vt`]),
    ...(stdinBytes === undefined ? [] : [`_vspool ${stdinBytes}`, `exec <"$_vt"`, `rm -f "$_vt"`]),
    "_vlife",
    runOf(command, " 3<&-"),
  ];
  return { script: LOADER, preamble: Buffer.concat([oneLine(steps), script ?? Buffer.alloc(0)]) };
}

/** Join steps to one line for `read -r` and `eval`. Only text with newlines pays for the process that `$(…)` starts. */
function oneLine(steps: readonly string[]): Buffer {
  const text = steps.join(";");
  if (!text.includes("\n")) return Buffer.from(`${text}\n`);
  const escaped = text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll("'", "\\0047");
  return Buffer.from(`eval "$(printf %b '${escaped}')"\n`);
}

/** Exit code of a command that was not started because its working directory cannot be entered. */
const NO_DIRECTORY_EXIT = 125;

/**
 * Make the shell script that becomes a command whose standard input is the connection's own, behind the preamble: to keep
 * secrets off command lines, the environment arrives there. The first line on standard error is the command's pid and
 * process group: sshd forwards no signals to processes without a terminal.
 */
export function streamingScript(
  command: Exclude<RemoteCommand, { readonly kind: "script" }>,
  { env, directory }: Pick<StartOptions, "env" | "directory">,
): StartedCommand {
  const steps = [
    IDENTITY,
    // Without the preamble, nobody is there any more for whom to start the command.
    `IFS= read -r _v||${GIVE_UP};eval "$_v"`,
    ...settingsOf({ env: {}, directory }),
    runOf(command, ""),
  ];
  return { script: steps.join("\n"), preamble: oneLine(settingsOf({ env, directory: undefined })) };
}

/** Return the shell text that sets a command's environment and working directory. */
function settingsOf({ env, directory }: Pick<StartOptions, "env" | "directory">): readonly string[] {
  return [
    ...Object.entries(env).map(([name, value]) => `export ${name}=${quote(value)}`),
    ...(directory === undefined ? [] : [`cd -- ${quote(directory)}||exit ${NO_DIRECTORY_EXIT}`]),
  ];
}

const GIVE_UP = `{ echo "volley: what the command needs did not arrive">&2;exit ${INCOMPLETE_EXIT};}`;
/** The fifth field of /proc/PID/stat is the process group, which is not the process itself behind a `sudo`. */
const IDENTITY = `_vg=$$;{ read -r _v _v _v _v _vg _v </proc/$$/stat;} 2>/dev/null;echo "$$ $_vg">&2`;
/** Tests for the command by its directory in /proc: `kill -0` fails for a command that became another user. */
const IS_THERE = `if [ -d /proc/self ];then [ -d /proc/$$ ];else kill -0 $$||ps -p $$;fi`;
const LIFELINE = `(trap "" HUP INT QUIT TERM;read -r _v<&3;case $_v in TERM)kill -TERM 0;;*)${IS_THERE}&&kill -HUP 0||{ [ -z "$_vp" ]||rm -f "$_vp";exit;};esac;sleep ${END_SECONDS};[ -z "$_vp" ]||rm -f "$_vp";kill -KILL 0)>/dev/null 2>&1 </dev/null &`;
/**
 * `read` takes a system call for each byte, so what is the same for every command stands here. The variables' names are
 * unlikely in any environment: files that they name are removed.
 */
const LOADER = `_vp=;_vlife(){ ${LIFELINE} };exec 3<&0 </dev/null;IFS= read -r _v<&3||${GIVE_UP};eval "$_v"`;
/** `mktemp` makes files that only their owner can read; without a writable home the files lie in `$TMPDIR` or /tmp. */
const SPOOL = `_vspool(){ _vt=$(umask 077;mkdir -p "$HOME/.cache/volley" 2>/dev/null;mktemp "$HOME/.cache/volley/exec.XXXXXX" 2>/dev/null||mktemp)&&head -c "$1" <&3 >"$_vt"&&[ "$(wc -c <"$_vt")" -eq "$1" ]||{ rm -f "$_vt" "$_vp";${GIVE_UP};};}`;

/** Return the shell text that becomes the command, with Volley's own redirections. */
function runOf(command: RemoteCommand, redirections: string): string {
  const exec = `exec${redirections}`;
  switch (command.kind) {
    case "line": {
      if (isBuiltin(command.text)) return `exec${redirections};${command.text}`;
      const program = programOf(command.text);
      if (program === undefined) return `${exec} /bin/sh -c ${quote(command.text)} sh`;
      return `${find(program)};${exec} ${command.text}`;
    }
    case "words":
      return `${find(command.words[0] ?? "")};${exec} ${commandLine(command.words)}`;
    case "script":
      return `${exec} ${[interpreterOf(command.bytes), `"$_vp"`, ...command.words.map(quote)].join(" ")}`;
  }
}

/** Return shell text that reports a missing program as a shell does. */
function find(program: string): string {
  const name = quote(program);
  return `command -v ${name} >/dev/null 2>&1||{ printf 'sh: %s: not found\\n' ${name}>&2;exit 127;}`;
}

/** First words of a line that are no programs: reserved words and builtins. */
const OF_SHELLS =
  /^(?:\.|:|\[|alias|bg|break|case|cd|command|continue|do|done|echo|elif|else|esac|eval|exec|exit|export|false|fc|fg|fi|for|function|getopts|hash|if|in|jobs|kill|local|printf|pwd|read|readonly|return|set|shift|source|test|then|time|times|trap|true|type|ulimit|umask|unalias|unset|until|wait|while)$/;

/**
 * Return the program of a line that is only a program with arguments and perhaps redirections. For such a line bash, the
 * usual login shell, would exec the program; dash, the usual sh, would not.
 */
function programOf(line: string): string | undefined {
  const word = firstOfSimple(line);
  return word === undefined || OF_SHELLS.test(word) ? undefined : word;
}

/**
 * Builtins that only look, print or return: the shell that is there carries such a line out, without a new one. `wait`
 * would wait for the lifeline.
 */
const PLAIN_BUILTINS = /^(?:\[|echo|false|printf|pwd|test|true)$/;

function isBuiltin(line: string): boolean {
  const word = firstOfSimple(line, /^[\w[]+$/);
  return word !== undefined && PLAIN_BUILTINS.test(word);
}

/** Return the first word of a line without anything but words and redirections, where the word is made of these letters. */
function firstOfSimple(line: string, letters = /^[\w./+][\w./+-]*$/): string | undefined {
  // Quoted text is no syntax. Quotes with command substitution stay, and fail the next test.
  const bare = line.replace(/\\[^\n]|'[^']*'|"(?:[^"\\`$]|\\[^\n]|\$[\w{}?#@*!-])*"/g, "_").trim();
  if (!/^[^;|()\\'"`#&\n]*$/.test(bare.replace(/[<>]&[\d-]/g, ""))) return undefined;
  const [program = ""] = line.trim().split(/\s/);
  return letters.test(program) ? program : undefined;
}

/** Read a script's first line as the kernel does: a program, and the rest as one argument. */
function interpreterOf(script: Buffer): string {
  const [, program, argument] =
    /^#![ \t]*(\S+)(?:[ \t]+([^\n]*\S))?[ \t]*\r?\n/.exec(script.subarray(0, 256).toString("latin1")) ?? [];
  if (program === undefined) return "/bin/sh";
  return commandLine([program, ...(argument === undefined ? [] : [argument])]);
}

/** The standard input of every command, read once per host. */
export interface CommandInput {
  readonly bytes: number;
  /** Write all of it at the reader's pace; give up without an error once `ended` resolves. */
  sendTo(stdin: Writable, ended: Promise<unknown>): Promise<void>;
  close(): Promise<void>;
}

const CHUNK_BYTES = 64 * 1024;

/** Open a file as input. Fails with `USAGE` when it cannot be read. */
export async function openInputFile(path: string): Promise<CommandInput> {
  try {
    const handle = await open(path, "r");
    const stats = await handle.stat();
    // A pipe has no known size, and can be read only once.
    if (!stats.isFile()) return await keepInput(handle.createReadStream());
    return inputOf(handle, stats.size, async () => {});
  } catch (cause) {
    throw new VolleyError("USAGE", `cannot read ${path}: ${fileReason(cause)}`, { cause });
  }
}

/**
 * Read a stream to its end into a temporary file that only this user can read; `close` removes it. An abort destroys the
 * stream. Fails with `CANCELLED`, or as the stream does.
 */
export async function keepInput(stream: Readable, signal?: AbortSignal): Promise<CommandInput> {
  const directory = await mkdtemp(join(tmpdir(), "volley-stdin-"));
  const remove = (): Promise<void> => rm(directory, { recursive: true, force: true });
  let handle: FileHandle | undefined;
  try {
    handle = await open(join(directory, "stdin"), "wx+", 0o600);
    const copied = copyTo(handle, stream);
    const bytes = await (signal === undefined ? copied : untilAborted(copied, signal));
    return inputOf(handle, bytes, remove);
  } catch (thrown) {
    stream.on("error", () => {}).destroy();
    await handle?.close();
    await remove();
    throw thrown;
  }
}

async function copyTo(handle: FileHandle, stream: Readable): Promise<number> {
  let bytes = 0;
  for await (const chunk of stream) bytes += (await handle.write(chunk as Buffer)).bytesWritten;
  return bytes;
}

/** Destroying a stream does not end the wait for one that is silent. */
async function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  promise.catch(() => {});
  const cancelled = new VolleyError("CANCELLED", "cancelled while the standard input was read");
  if (signal.aborted) throw cancelled;
  let onAbort!: () => void;
  const aborted = new Promise<never>((_resolve, reject) => {
    onAbort = () => reject(cancelled);
    signal.addEventListener("abort", onAbort, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

/** Make input of bytes. */
export function inputOfBytes(content: Buffer): CommandInput {
  return {
    bytes: content.length,
    sendTo: async (stdin, ended) => {
      if (stdin.write(content)) return;
      await Promise.race([ended, new Promise((resolve) => stdin.once("drain", resolve))]);
    },
    close: async () => {},
  };
}

function inputOf(handle: FileHandle, bytes: number, remove: () => Promise<void>): CommandInput {
  return {
    bytes,
    sendTo: async (stdin, ended) => {
      let isOver = false;
      const over = ended.then(() => {
        isOver = true;
      });
      for (let position = 0; position < bytes && !isOver; ) {
        const { bytesRead, buffer } = await handle.read(
          Buffer.allocUnsafe(CHUNK_BYTES),
          0,
          CHUNK_BYTES,
          position,
        );
        // The file became shorter: the host notices missing bytes.
        if (bytesRead === 0) break;
        position = Math.min(bytes, position + bytesRead);
        const chunk = buffer.subarray(0, bytesRead);
        if (!stdin.write(chunk))
          await Promise.race([over, new Promise((resolve) => stdin.once("drain", resolve))]);
      }
    },
    close: async () => {
      await handle.close();
      await remove();
    },
  };
}
