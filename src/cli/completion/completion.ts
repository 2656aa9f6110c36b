import { readFileSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Argument, type Command } from "commander";
import type { Completion } from "./candidates.ts";
import { startWatchdog } from "./watchdog.ts";
import { quoteRest, splitTyped } from "./words.ts";

// `volley completion`, and the command that its scripts ask at each Tab.

const SHELLS = ["bash", "zsh", "fish"] as const;
type Shell = (typeof SHELLS)[number];

/** Add `volley completion`, and the hidden `volley __complete`. */
export function addCompletionCommand(program: Command): void {
  program
    .command("completion")
    .summary("print the script that completes volley in a shell")
    .description(
      "Print a script for the shell, after which Tab completes commands, options, hosts and groups of the inventory, actions, runs and tags. Inventories and playbooks in TypeScript are evaluated for it, for a few seconds at most. Inventories that are programs are not started: their names are those that the latest command read. Nothing is asked.",
    )
    .addArgument(new Argument("<shell>", "the shell").choices(SHELLS))
    .addHelpText(
      "after",
      `
Bash (4 or newer), in ~/.bashrc:
  source <(volley completion bash)
Zsh, in ~/.zshrc after compinit:
  source <(volley completion zsh)
Fish, once:
  volley completion fish > ~/.config/fish/completions/volley.fish
`,
    )
    .action((shell: Shell) => {
      process.stdout.write(readFileSync(scriptOf(shell)));
    });
  program
    .command("__complete", { hidden: true })
    .addArgument(new Argument("<shell>").choices(SHELLS))
    .argument("<words...>")
    .action(async (shell: Shell, words: readonly string[]) => {
      let isWatched = false;
      const onCode = (): void => {
        if (!isWatched) startWatchdog(LIMIT_MS + SPARE_MS);
        isWatched = true;
      };
      writeSync(1, await answer(program, shell, words, { onCode }));
    });
}

/** The script beside this file; in the package beside the program. */
function scriptOf(shell: Shell): string {
  const here = dirname(fileURLToPath(import.meta.url));
  return join(here, import.meta.url.endsWith(".ts") ? "" : "completion", `volley.${shell}`);
}

/** The time for finding candidates, in milliseconds: the shell stands still meanwhile. */
const LIMIT_MS = 4_000;
/** The time beyond the limit until a process that is held up by other code is killed. */
const SPARE_MS = 1_000;

interface AnswerOptions {
  readonly limitMs?: number;
  /** Called before code of an inventory or a playbook is executed in this process. */
  readonly onCode?: () => void;
}

/**
 * Answer a completion script: on the first line `files N`, `directories N` or `goes-on`, or nothing; then a candidate a
 * line, with a tab before its description. Bash gives its line up to the cursor and the text that it would replace, other
 * shells the words up to the cursor, of which fish has left the last in quotes. An error makes no candidate, and nothing
 * else is written, because the user is amid a line.
 */
export async function answer(
  program: Command,
  shell: Shell,
  given: readonly string[],
  { limitMs = LIMIT_MS, onCode = () => {} }: AnswerOptions = {},
): Promise<string> {
  const restore = silence();
  try {
    const [line = "", replaced = ""] = given;
    const typed =
      shell === "bash" ? splitTyped(line) : splitTyped(shell === "fish" ? (given.at(-1) ?? "") : "");
    const word = shell === "zsh" ? (given.at(-1) ?? "") : typed.word;
    const [{ readLine }, { completeWord }] = await Promise.all([
      import("./line.ts"),
      import("./candidates.ts"),
    ]);
    const before = shell === "bash" ? withoutProgram(typed.words) : given.slice(0, -1);
    const found = await Promise.race([
      completeWord({ ...readLine(program, before, word), onCode }, word),
      pause(limitMs, { candidates: [] }, { ref: false }),
    ]);
    const insert = (value: string): string => {
      if (shell !== "bash") return value;
      const text = `${replaced}${quoteRest(value.slice(word.length), typed.quote)}`;
      // Readline takes a quote at the end of the only candidate for the one that closes.
      const isTaken = typed.quote !== "" && found.candidates.length === 1 && text.endsWith(typed.quote);
      return isTaken ? `${text}${typed.quote}` : text;
    };
    return format(found, insert, shell !== "bash");
  } catch {
    return "\n";
  } finally {
    restore();
  }
}

/** Drop the program's name, and assignments before it. */
function withoutProgram(words: readonly string[]): readonly string[] {
  return words.slice(words.findIndex((word) => !/^[A-Za-z_]\w*=/.test(word)) + 1);
}

function format(
  { candidates, files, goesOn }: Completion,
  insert: (value: string) => string,
  describes: boolean,
): string {
  const first = files === undefined ? (goesOn === true ? "goes-on" : "") : `${files.kind} ${files.after}`;
  const lines = candidates
    .filter(({ value }) => !/[\n\t]/.test(value))
    .map(({ value, description = "" }) =>
      describes && description !== ""
        ? `${insert(value)}\t${description.replace(/\s+/g, " ").slice(0, 100)}`
        : insert(value),
    );
  return `${[first, ...lines].join("\n")}\n`;
}

/** Let playbooks and inventories that are read print nothing; returns what undoes it. */
function silence(): () => void {
  const streams = [process.stdout, process.stderr];
  const writers = streams.map((stream) => stream.write);
  for (const stream of streams)
    stream.write = ((...args: readonly unknown[]) => {
      const done = args.findLast((each) => typeof each === "function") as (() => void) | undefined;
      done?.();
      return true;
    }) as typeof stream.write;
  return () => {
    for (const [index, stream] of streams.entries()) stream.write = writers[index]!;
  };
}
