import type { Command } from "commander";
import { VolleyError } from "../../core/errors.ts";
import { commandLine } from "../../core/unix/shell.ts";

/** The words of the command line beside its options. */
export interface ExecWords {
  /** The hosts in front of the command; undefined: the hosts of `--limit`. */
  readonly hosts: string | undefined;
  /** A line for the shell; undefined when `words` or a script are given. */
  readonly line: string | undefined;
  /** The program and its arguments, or the arguments of a script. */
  readonly words: readonly string[];
}

/** Flags that decide the meaning of words. */
export interface WordFlags {
  readonly script?: string;
  readonly limit?: string;
  readonly hosts?: string;
}

/**
 * Tell options, hosts and command apart, as ssh does: options stand before the hosts or right behind them; from its first
 * word on, everything is the command's. Commander has parsed the options before the first operand; this function has it
 * parse those behind the hosts. Fails with `USAGE` where one could be taken for the other.
 */
export function splitWords(command: Command, operands: readonly string[], raw: readonly string[]): ExecWords {
  const isBehindDashes = (all: readonly string[], words: readonly string[]): boolean =>
    all[all.length - words.length - 1] === "--";
  const isOnlyCommand = isBehindDashes(raw, operands);
  if (isOnlyCommand || command.opts<WordFlags>().hosts !== undefined)
    return readWords({ hosts: undefined, words: operands, isSeparated: isOnlyCommand }, command.opts());
  const [hosts, ...rest] = operands;
  const { operands: words, unknown } = command.parseOptions(rest);
  const [stranger] = unknown;
  if (stranger === "--help") command.help();
  if (stranger !== undefined)
    command.error(`error: unknown option '${stranger}'`, { code: "commander.unknownOption" });
  return readWords({ hosts, words, isSeparated: isBehindDashes(rest, words) }, command.opts());
}

/** Words as they were typed. */
export interface TypedWords {
  readonly hosts: string | undefined;
  readonly words: readonly string[];
  /** True when the words stand behind `--`. */
  readonly isSeparated: boolean;
}

/** Decide what the words are: a line for the shell, a program with arguments, or arguments of a script. Fails with `USAGE`. */
export function readWords({ hosts, words, isSeparated }: TypedWords, flags: WordFlags): ExecWords {
  const { script, limit, hosts: named } = flags;
  if (hosts !== undefined && named !== undefined)
    throw usage("the hosts are named twice", `volley exec -w ${commandLine([named, ...words])}`);
  const whole = hosts ?? named;
  if (script === undefined && (words[0] ?? "").trim() === "")
    throw usage("there is no command", `volley exec ${exampleFor(flags, hosts)}`);
  if (whole === undefined && limit === undefined) throw usage("which hosts?", "volley exec all uptime");
  if (script !== undefined) return { hosts: whole, line: undefined, words };
  if (!isSeparated && words.length > 1) refuseMixture(whole ?? "all", words);
  return isSeparated || words.length > 1
    ? { hosts: whole, line: undefined, words }
    : { hosts: whole, line: words[0], words: [] };
}

function exampleFor({ limit, hosts: named }: WordFlags, hosts: string | undefined): string {
  if (named !== undefined) return commandLine(["-w", named, "uptime"]);
  // `-l web uptime`: the word was taken for the hosts.
  if (hosts !== undefined && limit !== undefined) return commandLine(["-w", limit, hosts]);
  return commandLine([hosts ?? "all", "uptime"]);
}

/** Refuse a quoted line with more words behind it, and a variable in the place of the program: both would be no program. */
function refuseMixture(hosts: string, [first = "", ...others]: readonly string[]): void {
  if (/\s/.test(first)) {
    const isOption = others[0]?.startsWith("-") === true;
    throw usage(
      isOption
        ? `${others[0]} stands behind the quoted line: options come before the hosts`
        : "a quoted line is the whole command, but more words follow it",
      isOption
        ? `volley exec ${commandLine([...others, hosts, first])}`
        : `volley exec ${commandLine([hosts, "--", first, ...others])}`,
    );
  }
  if (/^[A-Za-z_]\w*=/.test(first))
    throw usage(
      `${first} is no program: quote the command as one line, or set the variable with --env`,
      `volley exec --env ${commandLine([first, hosts, ...others])}`,
    );
}

function usage(problem: string, example: string): VolleyError {
  return new VolleyError("USAGE", problem, { hint: `write: ${example}` });
}
