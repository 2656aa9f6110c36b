import { type Command, InvalidArgumentError } from "commander";
import { addBecomeMethodOption, type BecomeFlags } from "./become-options.ts";
import {
  addConnectionOptions,
  addInventoryOptions,
  type ConnectionFlags,
  type InventoryFlags,
  positiveInteger,
} from "./options.ts";
import { addSecretOptions, type SecretFlags } from "./secret-options.ts";

/** The flags of `volley shell`. */
export interface ShellFlags
  extends InventoryFlags,
    ConnectionFlags,
    SecretFlags,
    Pick<BecomeFlags, "becomeMethod"> {
  readonly escape?: string;
  readonly record?: string;
  readonly panes?: number;
  readonly scrollback: number;
}

/** Lines kept of each host where nothing else is said. */
export const DEFAULT_SCROLLBACK = 1_000;

/** Adds `volley shell`. */
export function addShellCommand(program: Command): void {
  const command = program
    .command("shell")
    .summary("type on many hosts at a time, each with a terminal of its own")
    .description(
      "Opens a login shell on every host and shows their terminals side by side. What is typed goes to all of them, or to those selected.",
    )
    .argument("[hosts]", "a pattern, host names, or web[01-17,19]; without it: those of --limit, else all");
  addSecretOptions(addBecomeMethodOption(addConnectionOptions(addInventoryOptions(command))))
    .option("--escape <key>", "the key before a command of the shell's own: ctrl-a, ^b (default: ctrl-])")
    .option("--record <dir>", "record every host there, as asciicasts: DIR/HOST.cast")
    .option("--panes <number>", "panes on a page at most (default: as many as fit)", positiveInteger)
    .option("--scrollback <lines>", "lines kept of each host to look back at", lines, DEFAULT_SCROLLBACK)
    .addHelpText(
      "after",
      `
Keys: Ctrl-] and then ? shows the commands; q leaves, z shows one host alone, l edits a whole line, f shows equal answers
once, and Ctrl-] once more is sent to the hosts.
Exit codes: 0 left, or all shells have ended; 1 usage or set-up; 4 no host could be reached; 130 ended by a signal.
`,
    )
    .action(async (hosts: string | undefined, flags: ShellFlags) => {
      const { shell } = await import("./shell/shell.ts");
      process.exitCode = await shell(hosts, flags);
    });
}

function lines(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0 || value > 100_000)
    throw new InvalidArgumentError("It must be a whole number of 0 to 100000.");
  return value;
}
