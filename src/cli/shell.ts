import { resolve } from "node:path";
import { type Command, InvalidArgumentError } from "commander";
import { VolleyError } from "../core/errors.ts";
import type { ColorDepth } from "../fanout/shell/cells.ts";
import {
  addBecomeMethodOption,
  addConnectionOptions,
  addHostsOption,
  addInventoryOptions,
  addSecretOptions,
  type BecomeFlags,
  type ConnectionFlags,
  eitherHosts,
  type HostsFlags,
  type InventoryFlags,
  positiveInteger,
  type SecretFlags,
} from "./options.ts";
import { onSignals } from "./terminal.ts";

interface ShellFlags
  extends InventoryFlags,
    HostsFlags,
    ConnectionFlags,
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
      "Open a login shell on every host and show their terminals side by side. Keys go to all hosts, or to the selected ones.",
    )
    .argument("[hosts]", "a pattern, host names, or web[01-17,19]; default: the hosts of --limit, else all");
  addSecretOptions(addBecomeMethodOption(addConnectionOptions(addHostsOption(addInventoryOptions(command)))))
    .option("--escape <key>", "key in front of the shell's own commands: ctrl-a, ^b (default: ctrl-])")
    .option("--record <dir>", "record every host as an asciicast: DIR/HOST.cast")
    .option("--panes <number>", "most panes on a page (default: as many as fit)", positiveInteger)
    .option("--scrollback <lines>", "lines of each host to keep for looking back", lines, DEFAULT_SCROLLBACK)
    .addHelpText(
      "after",
      `
Keys: Ctrl-] and then ? shows the commands; q leaves, z shows one host alone, l edits a whole line, f shows equal answers
once, and Ctrl-] once more is sent to the hosts.
Exit codes: 0 left, or all shells have ended; 1 usage or set-up; 4 no host could be reached; 130 ended by a signal.
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
  const [
    { DEFAULT_ESCAPE, parseEscapeKey },
    { planFanOut },
    { groupsOf, selectAmong },
    { textWidth },
    support,
  ] = await Promise.all([
    import("../fanout/shell/input.ts"),
    import("./fan-out.ts"),
    import("../connect/hosts.ts"),
    import("../reporter/rows/layout.ts"),
    import("../reporter/reporter.ts"),
  ]);
  const escapeKey = parseEscapeKey(flags.escape ?? DEFAULT_ESCAPE);
  const { stdin, stdout, stderr, env } = process;
  if (stdin.isTTY !== true || stdout.isTTY !== true || env.TERM === "dumb") {
    throw new VolleyError("USAGE", "volley shell needs a terminal, on stdin and stdout", {
      hint: "volley exec runs a command on many hosts without one",
    });
  }
  const { hosts, open } = await planFanOut(pattern, flags);
  const interruption = new AbortController();
  const release = onSignals(() => interruption.abort());
  try {
    const { targets, close } = await open(interruption.signal);
    try {
      // Loads the terminal emulator.
      const { runFleetShell } = await import("../fanout/shell/fleet-shell.ts");
      const { reached, gone } = await runFleetShell({
        hosts: targets,
        stdin,
        stdout,
        escapeKey,
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
        signal: interruption.signal,
      });
      // After a hang-up nobody reads stderr.
      if (interruption.signal.aborted) return 130;
      for (const { host, reason } of gone) stderr.write(`${host}: ${reason}\n`);
      return reached === 0 ? 4 : 0;
    } finally {
      close();
    }
  } finally {
    release();
  }
}

/** Write local time as part of a file's name: `20260131-235959`. */
function timestamp(date: Date): string {
  const two = (value: number): string => String(value).padStart(2, "0");
  const day = `${date.getFullYear()}${two(date.getMonth() + 1)}${two(date.getDate())}`;
  return `${day}-${two(date.getHours())}${two(date.getMinutes())}${two(date.getSeconds())}`;
}
