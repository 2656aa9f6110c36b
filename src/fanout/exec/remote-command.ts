import { quote } from "../../core/shell-quote.ts";

/** What is run on every host. */
export type RemoteCommand =
  /** A line for the host's `sh`. */
  | { readonly kind: "line"; readonly text: string }
  /** A program and its arguments, passed as they are. */
  | { readonly kind: "words"; readonly words: readonly string[] }
  /** A script, for the interpreter its first line names. */
  | { readonly kind: "script"; readonly bytes: Buffer; readonly words: readonly string[] };

/** How a command is started. */
export interface StartOptions {
  readonly env: Readonly<Record<string, string>>;
  /** Bytes the command gets on its stdin; undefined: an empty stdin. */
  readonly stdinBytes: number | undefined;
  /** Whether it is started on a terminal, which then ends it and holds no room for scripts and stdin. */
  readonly pty: boolean;
}

/** A command as a host starts it. */
export interface StartedCommand {
  /** The script for `/bin/sh`, the same for every command that is started without a terminal. */
  readonly script: string;
  /** What is sent before the command's stdin. */
  readonly preamble: Buffer;
}

/** What ends a command that was started without a terminal, written to its stdin. */
export const END_COMMAND = "TERM\n";

/** How long a command may take to end before it is killed. */
export const END_SECONDS = 5;

/** Exit code of a command that was not begun because what it needs did not arrive whole. */
export const INCOMPLETE_EXIT = 125;

/**
 * Makes what carries a command out, as ssh does: the shell that begins becomes the command, so that its process, its name
 * and the signal that ends it are its own. Without a terminal, sshd neither passes signals on (to root not at all) nor
 * ends what runs when the connection goes. So stdin stays open as a lifeline for a process beside the command: the word
 * `TERM` on it ends the process group that sshd made, its end hangs it up as a terminal would unless the command has
 * ended, and what is still there 5 seconds later is killed. What others could read on a command line, or a search by
 * name could find there, arrives on stdin first: the steps to the command, as one line, then a script, then the
 * command's own stdin, which is kept in a file without a name.
 */
export function startCommand(command: RemoteCommand, options: StartOptions): StartedCommand {
  const { env, stdinBytes, pty } = options;
  const exports = Object.entries(env).map(([name, value]) => `export ${name}=${quote(value)}`);
  // A terminal is the command's own stdin: what it needs stands on the command line.
  if (pty) return { script: [...exports, runOf(command, "")].join("\n"), preamble: Buffer.alloc(0) };
  const script = command.kind === "script" ? command.bytes : undefined;
  const steps = [
    ...exports,
    ...(script === undefined && stdinBytes === undefined ? [] : [SPOOL]),
    ...(script === undefined ? [] : [`_vspool ${script.length}`, `_vp=$_vt`]),
    ...(stdinBytes === undefined ? [] : [`_vspool ${stdinBytes}`, `exec <"$_vt"`, `rm -f "$_vt"`]),
    LIFELINE,
    runOf(command, " 3<&-"),
  ];
  // The one line that `read -r` and `printf %b` give back as it was.
  const line = steps.join("\n").replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
  return { script: LOADER, preamble: Buffer.concat([Buffer.from(`${line}\n`), script ?? Buffer.alloc(0)]) };
}

const GIVE_UP = `{ echo "volley: what the command needs did not arrive">&2;exit ${INCOMPLETE_EXIT};}`;
/** Names that no environment has: what they hold is removed, and the command sees them. `read` takes byte by byte. */
const LOADER = `_vp=;exec 3<&0 </dev/null;IFS= read -r _v<&3||${GIVE_UP};eval "$(printf %b "$_v")"`;
/** `mktemp` makes files that only their owner can read. Where there is no home to write in, they lie in `$TMPDIR` or /tmp. */
const SPOOL = `_vspool(){ _vt=$(umask 077;mkdir -p "$HOME/.cache/volley" 2>/dev/null;mktemp "$HOME/.cache/volley/exec.XXXXXX" 2>/dev/null||mktemp)&&head -c "$1" <&3 >"$_vt"&&[ "$(wc -c <"$_vt")" -eq "$1" ]||{ rm -f "$_vt" "$_vp";${GIVE_UP};};}`;
/** Whether the command is still there; it may have become another user, who takes no signals. */
const IS_THERE = `if [ -d /proc/self ];then [ -d /proc/$$ ];else kill -0 $$||ps -p $$;fi`;
const LIFELINE = `(trap "" HUP INT QUIT TERM;read -r _v<&3;case $_v in TERM)kill -TERM 0;;*)${IS_THERE}&&kill -HUP 0||{ [ -z "$_vp" ]||rm -f "$_vp";exit;};esac;sleep ${END_SECONDS};[ -z "$_vp" ]||rm -f "$_vp";kill -KILL 0)>/dev/null 2>&1 </dev/null &`;

/** The shell text that becomes the command, with redirections of Volley's own. */
function runOf(command: RemoteCommand, redirections: string): string {
  const exec = `exec${redirections}`;
  switch (command.kind) {
    case "line": {
      const program = programOf(command.text);
      if (program === undefined) return `${exec} /bin/sh -c ${quote(command.text)} sh`;
      return `${find(program)}\n${exec} ${command.text}`;
    }
    case "words":
      return `${find(command.words[0] ?? "")}\n${exec} ${command.words.map(quote).join(" ")}`;
    case "script":
      return `${exec} ${[interpreterOf(command.bytes), `"$_vp"`, ...command.words.map(quote)].join(" ")}`;
  }
}

/** Says of a program that is not there what a shell says of it. */
function find(program: string): string {
  const name = quote(program);
  return `command -v ${name} >/dev/null 2>&1||{ printf 'sh: %s: not found\\n' ${name}>&2;exit 127;}`;
}

/** What is no program where it stands first: reserved words, and what shells do themselves. */
const OF_SHELLS =
  /^(?:\.|:|\[|alias|bg|break|case|cd|command|continue|do|done|echo|elif|else|esac|eval|exec|exit|export|false|fc|fg|fi|for|function|getopts|hash|if|in|jobs|kill|local|printf|pwd|read|readonly|return|set|shift|source|test|then|time|times|trap|true|type|ulimit|umask|unalias|unset|until|wait|while)$/;

/**
 * The program of a line that is nothing but a program with its arguments, redirected perhaps. bash, which is most users'
 * login shell, becomes such a program; dash, which is most hosts' sh, stays in front of it.
 */
function programOf(line: string): string | undefined {
  // What is quoted is no syntax; what quotes hold that is carried out is looked at no further.
  const bare = line.replace(/\\[^\n]|'[^']*'|"(?:[^"\\`$]|\\[^\n]|\$[\w{}?#@*!-])*"/g, "_").trim();
  if (!/^[^;|()\\'"`#&\n]*$/.test(bare.replace(/[<>]&[\d-]/g, ""))) return undefined;
  const [program = ""] = line.trim().split(/\s/);
  return /^[\w./+][\w./+-]*$/.test(program) && !OF_SHELLS.test(program) ? program : undefined;
}

/** As the kernel reads a first line: a program, and the rest as one argument. */
function interpreterOf(script: Buffer): string {
  const [, program, argument] =
    /^#![ \t]*(\S+)(?:[ \t]+([^\n]*\S))?[ \t]*\r?\n/.exec(script.subarray(0, 256).toString("latin1")) ?? [];
  if (program === undefined) return "/bin/sh";
  return [program, ...(argument === undefined ? [] : [argument])].map(quote).join(" ");
}
