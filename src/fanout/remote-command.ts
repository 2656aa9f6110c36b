import { quote } from "../core/shell-quote.ts";

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
  /** The user to become with `sudo -n`; null: none. */
  readonly become: string | null;
  /** Environment variables, which travel on stdin because others can read command lines. */
  readonly env: Readonly<Record<string, string>>;
  /** Bytes the command gets on its stdin; undefined: an empty stdin. */
  readonly stdinBytes: number | undefined;
  /** Whether it is started on a terminal, which then ends it and holds no room for scripts and stdin. */
  readonly pty: boolean;
}

/** What ends a command that was started without a terminal, written to its stdin. */
export const END_COMMAND = "TERM\n";

/** How long a command may take to end before it is killed. */
export const END_SECONDS = 5;

/** Exit code of a command that was not begun because what it needs did not arrive whole. */
export const INCOMPLETE_EXIT = 125;

/** What is sent to a command before its stdin. */
export function preambleOf(command: RemoteCommand, { env }: Pick<StartOptions, "env">): Buffer {
  const script = command.kind === "script" ? command.bytes : Buffer.alloc(0);
  return Buffer.concat([Buffer.from(exportsOf(env)), script]);
}

/**
 * The command line that carries a command out. Without a terminal, sshd neither passes signals on (to root not at all)
 * nor ends what runs when the connection goes. So stdin stays open as a lifeline beside the command: the word `TERM` on
 * it ends the process group that sshd made, its end hangs it up as a terminal would, and what is still there 5 seconds
 * later is killed. What the command is to read arrives first, and is kept in a file without a name.
 */
export function startLine(command: RemoteCommand, options: StartOptions): string {
  const { become, env, stdinBytes, pty } = options;
  const environment = Buffer.byteLength(exportsOf(env));
  const script = command.kind === "script" ? command.bytes.length : undefined;
  const steps = [
    // Names that no environment has: what they hold is removed, and the command sees them.
    "_vp=;_vc=",
    "exec 3<&0",
    "exec </dev/null",
    ...(script === undefined && stdinBytes === undefined ? [] : [SPOOL]),
    ...(environment === 0
      ? []
      : [`_ve=$(head -c ${environment} <&3)`, `case $_ve in *"#whole")eval "$_ve";;*)${GIVE_UP};;esac`]),
    ...(script === undefined ? [] : [`_vspool ${script}`, `_vp=$_vt`]),
    ...(stdinBytes === undefined ? [] : [`_vspool ${stdinBytes}`, `exec <"$_vt"`, `rm -f "$_vt"`]),
  ];
  const run = runOf(command);
  // A terminal is the command's own stdin, and its end is the command's: what it needs stands on the command line.
  const text = pty
    ? `${exportsOf(env)}\n${run}`
    : [...steps, `${LIFELINE}(${run})2>&5 3<&- 5>&-`, END].join(";");
  // Some shells stay behind what they start: that is one process more to end.
  const shell = ["sh", "-c", text.trim(), "volley", ...wordsOf(command)].map(quote).join(" ");
  if (become === null) return `exec ${shell}`;
  return `exec sudo -n -H ${become === "root" ? "" : `-u ${quote(become)} `}-- ${shell}`;
}

const GIVE_UP = `echo "volley: what the command needs did not arrive">&2;exit ${INCOMPLETE_EXIT}`;
/** `mktemp` makes files that only their owner can read. Where there is no home to write in, they lie in `$TMPDIR` or /tmp. */
const SPOOL = `_vspool(){ _vt=$(umask 077;mkdir -p "$HOME/.cache/volley" 2>/dev/null;mktemp "$HOME/.cache/volley/exec.XXXXXX" 2>/dev/null||mktemp)&&head -c "$1" <&3 >"$_vt"&&[ "$(wc -c <"$_vt")" -eq "$1" ]||{ rm -f "$_vt" "$_vp";${GIVE_UP};};}`;
/** A shell tells of what it ends on its own stderr, which is not the command's. */
const LIFELINE = `exec 5>&2 2>/dev/null;trap "_vc=1" HUP TERM;(trap "" HUP TERM;read -r _vw<&3;case $_vw in TERM)kill -TERM 0;;*)kill -HUP 0;;esac;sleep ${END_SECONDS};[ -z "$_vp" ]||rm -f "$_vp";kill -KILL 0)>/dev/null </dev/null 5>&-&_vw=$!;`;
const END = `_vs=$?;[ -z "$_vp" ]||rm -f "$_vp";[ "$_vc" ]||kill -KILL $_vw;exit $_vs`;

function runOf(command: RemoteCommand): string {
  switch (command.kind) {
    case "line":
      return `_vl=$1;shift;eval "$_vl"`;
    case "words":
      return `"$@"`;
    case "script":
      return `exec ${interpreterOf(command.bytes)} "$_vp" "$@"`;
  }
}

function wordsOf(command: RemoteCommand): readonly string[] {
  switch (command.kind) {
    case "line":
      return [command.text];
    case "words":
      return command.words;
    case "script":
      return command.words;
  }
}

/** As the kernel reads a first line: a program, and the rest as one argument. */
function interpreterOf(script: Buffer): string {
  const [, program, argument] =
    /^#![ \t]*(\S+)(?:[ \t]+([^\n]*\S))?[ \t]*\r?\n/.exec(script.subarray(0, 256).toString("latin1")) ?? [];
  if (program === undefined) return "sh";
  return [program, ...(argument === undefined ? [] : [argument])].map(quote).join(" ");
}

/** Ends in a mark, so that a part of it is known for one. */
function exportsOf(env: Readonly<Record<string, string>>): string {
  const lines = Object.entries(env).map(([name, value]) => `export ${name}=${quote(value)};`);
  return lines.length === 0 ? "" : `${lines.join("\n")}\n#whole`;
}
