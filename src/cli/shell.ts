import { resolve } from "node:path";
import { type Command, InvalidArgumentError } from "commander";
import { VolleyError } from "../core/errors.ts";
import type { Host } from "../core/inventory.ts";
import type { ColorDepth } from "../fanout/shell/cells.ts";
import type { FanOutTarget } from "./fan-out.ts";
import {
  addBecomeMethodOption,
  addConnectionOptions,
  addHostsOption,
  addInventoryOptions,
  addKindOption,
  addSecretOptions,
  type BecomeFlags,
  type ConnectionFlags,
  eitherHosts,
  type HostsFlags,
  type InventoryFlags,
  type KindFlags,
  positiveInteger,
  type SecretFlags,
} from "./options.ts";
import { onSignals } from "./terminal.ts";

interface ShellFlags
  extends InventoryFlags,
    HostsFlags,
    ConnectionFlags,
    KindFlags,
    SecretFlags,
    Pick<BecomeFlags, "becomeMethod"> {
  readonly escape?: string;
  readonly record?: string;
  readonly panes?: number;
  readonly scrollback?: number;
}

const DEFAULT_SCROLLBACK = 1_000;

/** Add `volley shell`. */
export function addShellCommand(program: Command): void {
  const command = program
    .command("shell")
    .summary("type on many hosts at a time, each with a terminal of its own")
    .description(
      "Open a login shell on every host and show their terminals side by side. Keys go to all hosts, or to the selected ones. A single host gets the whole terminal, as with ssh, unless --panes, --record, --scrollback or --escape ask for the screen of many.",
    )
    .argument("[hosts]", "a pattern, host names, or web[01-17,19]; default: the hosts of --limit, else all");
  addSecretOptions(
    addBecomeMethodOption(addKindOption(addConnectionOptions(addHostsOption(addInventoryOptions(command))))),
  )
    .option("--escape <key>", "key in front of the shell's own commands: ctrl-a, ^b (default: ctrl-])")
    .option("--record <dir>", "record every host as an asciicast: DIR/HOST.cast")
    .option("--panes <number>", "most panes on a page (default: as many as fit)", positiveInteger)
    .option(
      "--scrollback <lines>",
      `lines of each host to keep for looking back (default: ${DEFAULT_SCROLLBACK})`,
      lines,
    )
    .addHelpText(
      "after",
      `
Keys: Ctrl-] and then ? shows the commands; q leaves, z shows one host alone, l edits a whole line, f shows equal answers
once, and Ctrl-] once more is sent to the hosts.
Keys with a single host, behind Enter: ~. leaves, ~^Z suspends, ~? helps, ~~ sends ~.
Exit codes: 0 left, or all shells have ended; 1 usage or set-up; 4 no host could be reached; 130 ended by a signal. With a
single host that of its shell, and 4 when the connection is lost.
`,
    )
    .action(async (hosts: string | undefined, flags: ShellFlags) => {
      process.exitCode = await shell(eitherHosts(hosts, flags), flags);
    });
}

function lines(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0 || value > 100_000)
    throw new InvalidArgumentError("It must be a whole number of 0 to 100000.");
  return value;
}

/** Open the shells; returns the exit code. Fails with whatever is wrong before any host is touched. */
export async function shell(pattern: string | undefined, flags: ShellFlags): Promise<number> {
  const [{ parseEscapeKey }, { planFanOut }] = await Promise.all([
    import("../fanout/shell/input.ts"),
    import("./fan-out.ts"),
  ]);
  // Fails before a password is asked for.
  if (flags.escape !== undefined) parseEscapeKey(flags.escape);
  const { stdin, stdout, env } = process;
  if (stdin.isTTY !== true || stdout.isTTY !== true) throw noTerminal();
  const plan = await planFanOut(pattern, flags);
  const ofPanes = [flags.panes, flags.record, flags.scrollback, flags.escape];
  const isPlain = plan.hosts.length === 1 && ofPanes.every((flag) => flag === undefined);
  if (!isPlain && env.TERM === "dumb") throw noTerminal();
  const interruption = new AbortController();
  const release = onSignals(() => interruption.abort());
  try {
    const { targets, close } = await plan.open(interruption.signal);
    try {
      return isPlain
        ? await plainShell(targets[0]!, interruption.signal)
        : await fleetShell(targets, plan.hosts, flags, interruption.signal);
    } finally {
      close();
    }
  } finally {
    release();
  }
}

function noTerminal(): VolleyError {
  return new VolleyError("USAGE", "volley shell needs a terminal, on stdin and stdout", {
    hint: "volley exec runs a command on many hosts without one",
  });
}

/** Open a shell on a single host, on the terminal as it is; returns the exit code. */
async function plainShell(host: FanOutTarget, signal: AbortSignal): Promise<number> {
  const [{ runPlainShell }, { describeError, isVolleyError }, { safeErrorLines, safeLine }] =
    await Promise.all([
      import("../fanout/shell/plain-shell.ts"),
      import("../core/errors.ts"),
      import("../reporter/rows/sanitize.ts"),
    ]);
  const { stdin, stdout, stderr } = process;
  try {
    const end = await runPlainShell({ host, stdin, stdout, signal });
    if (signal.aborted) return 130;
    if (end.kind === "ended") return end.code;
    if (end.kind === "left") return 0;
    stderr.write(`${host.name}: ${safeLine(end.reason)}\n`);
    return 4;
  } catch (thrown) {
    if (signal.aborted) return 130;
    if (!isVolleyError(thrown)) throw thrown;
    stderr.write(`volley: ${safeErrorLines(describeError(thrown)).join("\n")}\n`);
    return 4;
  }
}

/** Open shells side by side; returns the exit code. */
async function fleetShell(
  targets: readonly FanOutTarget[],
  hosts: readonly Host[],
  flags: ShellFlags,
  signal: AbortSignal,
): Promise<number> {
  const [
    { DEFAULT_ESCAPE, parseEscapeKey },
    { groupsOf, selectAmong },
    { textWidth },
    support,
    { runFleetShell },
  ] = await Promise.all([
    import("../fanout/shell/input.ts"),
    import("../connect/hosts.ts"),
    import("../reporter/rows/layout.ts"),
    import("../reporter/reporter.ts"),
    // Loads the terminal emulator.
    import("../fanout/shell/fleet-shell.ts"),
  ]);
  const { stdin, stdout, stderr, env } = process;
  const { reached, gone } = await runFleetShell({
    hosts: targets,
    stdin,
    stdout,
    escapeKey: parseEscapeKey(flags.escape ?? DEFAULT_ESCAPE),
    forks: flags.forks,
    scrollback: flags.scrollback ?? DEFAULT_SCROLLBACK,
    ...(flags.panes === undefined ? {} : { maxPerPage: flags.panes }),
    recordDirectory: resolve(flags.record ?? `volley-shell-${timestamp(new Date())}`),
    recordAll: flags.record !== undefined,
    widthOf: textWidth,
    depth: support.colorsWanted(stdout, env) ? (stdout.getColorDepth(env) as ColorDepth) : 1,
    ascii: !support.unicodeWanted(env),
    words: [...hosts.map(({ name }) => name), ...groupsOf(hosts)],
    select: (text) => selectAmong(hosts, text),
    signal,
  });
  // After a hang-up nobody reads stderr.
  if (signal.aborted) return 130;
  for (const { host, reason } of gone) stderr.write(`${host}: ${reason}\n`);
  return reached === 0 ? 4 : 0;
}

/** Write local time as part of a file's name: `20260131-235959`. */
function timestamp(date: Date): string {
  const two = (value: number): string => String(value).padStart(2, "0");
  const day = `${date.getFullYear()}${two(date.getMonth() + 1)}${two(date.getDate())}`;
  return `${day}-${two(date.getHours())}${two(date.getMinutes())}${two(date.getSeconds())}`;
}
