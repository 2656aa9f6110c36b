import { readFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { Writable } from "node:stream";
import { Option } from "commander";
import type { AskStep } from "../controller/prepare/options.ts";
import type { VarQuestion } from "../controller/prepare/prompts.ts";
import type { UnknownHostKey } from "../controller/prepare/reach.ts";
import { PLAYBOOK_ROLE } from "../core/asset.ts";
import { VolleyError } from "../core/errors.ts";
import { fileReason, writeReason } from "../core/unix/user-file.ts";
import { safeLine } from "../reporter/rows/sanitize.ts";

// The person at the terminal: the kind of output, signals, questions and passwords.

/** Ways to show a run. */
const OUTPUTS = ["auto", "ink", "plain", "json", "ansible"];

/** Make `-o, --output`, with more ways to show the result where a command has some. */
export function outputOption(description = "how to show it", kinds: readonly string[] = OUTPUTS): Option {
  return new Option("-o, --output <kind>", description).choices(kinds).default("auto");
}

/** Return the kind of output asked for, or `plain`, with a note on stderr, where `ink` lacks a terminal. */
export function shownAs<Kind extends string>(output: Kind): Kind | "plain" {
  if (output !== "ink" || process.stdout.isTTY === true) return output;
  process.stderr.write("volley: --output ink needs a terminal; plain lines follow\n");
  return "plain";
}

/** Print a warning on standard error. */
export function printWarning(text: string): void {
  process.stderr.write(`volley: warning: ${safeLine(text)}\n`);
}

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Call a handler for each SIGINT, SIGTERM and SIGHUP; returns the function that removes it. */
export function onSignals(handler: () => void): () => void {
  for (const signal of SIGNALS) process.on(signal, handler);
  return () => {
    for (const signal of SIGNALS) process.off(signal, handler);
  };
}

/** Make the error that a file named by the user cannot be written: Node's own message names a temporary file. */
export function cannotWrite(path: string, cause: unknown, hint?: string): VolleyError {
  return new VolleyError("FILE_FAILED", `cannot write ${path}: ${writeReason(cause)}`, {
    cause,
    ...(hint === undefined ? {} : { hint }),
  });
}

/** Put into words that no temporary directory can be made, where that is the error; Node names the system call. */
export function tellTemporary(thrown: unknown): unknown {
  const { syscall } = (thrown ?? {}) as NodeJS.ErrnoException;
  if (syscall !== "mkdtemp") return thrown;
  return cannotWrite(`in ${tmpdir()}`, thrown, "TMPDIR names another directory for temporary files");
}

/** Wait until all that was written to a stream has left the process, or can no more. */
export async function written(stream: Writable): Promise<void> {
  if (stream.writableLength > 0) await new Promise<void>((resolve) => stream.write("", () => resolve()));
}

/** Ask at the terminal without an echo. Returns null when there is no terminal, or on Ctrl-C and Ctrl-D. */
export async function askPassphrase(prompt: string): Promise<string | null> {
  if (process.stdin.isTTY !== true) return null;
  const { createInterface } = await import("node:readline");
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const reader = createInterface({ input: process.stdin, output: silent, terminal: true });
  // Print the prompt only now: readline has turned the terminal's own echo off.
  process.stderr.write(prompt);
  try {
    return await new Promise<string | null>((resolve) => {
      reader.question("", resolve);
      reader.once("close", () => resolve(null));
    });
  } finally {
    reader.close();
    process.stderr.write("\n");
  }
}

/** Ask for a var of `vars_prompt`. Returns null on Ctrl-C and Ctrl-D. */
export async function askVar({ text, isPrivate }: VarQuestion): Promise<string | null> {
  const above = text.slice(0, text.lastIndexOf("\n") + 1);
  process.stderr.write(above);
  const question = text.slice(above.length);
  if (isPrivate) return askPassphrase(question);
  const { createInterface } = await import("node:readline");
  const reader = createInterface({ input: process.stdin, output: process.stderr, terminal: true });
  let said: string | null = null;
  reader.setPrompt(question);
  try {
    await new Promise<void>((resolve) => {
      reader.question(question, (line) => {
        said = line;
        resolve();
      });
      reader.once("close", resolve);
    });
  } finally {
    reader.close();
    if (said === null) process.stderr.write("\n");
  }
  return said;
}

/** Ask each question once: several playbooks of one command may ask the same. */
export function rememberAnswers(ask: typeof askPassphrase): typeof askPassphrase {
  const answers = new Map<string, Promise<string | null>>();
  return (prompt) => {
    const answer = answers.get(prompt) ?? ask(prompt);
    answers.set(prompt, answer);
    return answer;
  };
}

/** The questions of `--step`. */
export interface StepQuestions {
  readonly ask: AskStep;
  /** Resolve once no question is open: what hosts tell meanwhile would be written into the answer. */
  idle(): Promise<void>;
}

/**
 * Make the question before each task of `--step`: `y` does the task, `c` it and all that follow, and anything else leaves
 * it out, as in Ansible. Ctrl-C, and the end of the input, cancel the run.
 */
export function stepQuestions(cancel: () => void): StepQuestions {
  let open: Promise<unknown> = Promise.resolve();
  const ask: AskStep = async ({ role, name, handler }) => {
    const { promises } = await import("node:readline");
    const reader = promises.createInterface({ input: process.stdin, output: process.stderr, terminal: true });
    const interrupted = new AbortController();
    reader.once("SIGINT", () => interrupted.abort());
    reader.once("close", () => interrupted.abort());
    const title = safeLine(`${role === "" || role === PLAYBOOK_ROLE ? "" : `${role} : `}${name}`);
    try {
      const what = handler ? "handler" : "task";
      const answer = await reader.question(`Perform ${what} ${title}? (N)o/(y)es/(c)ontinue: `, {
        signal: interrupted.signal,
      });
      const word = answer.trim().toLowerCase();
      return /^y(es)?$/.test(word) ? "yes" : /^c(ontinue)?$/.test(word) ? "continue" : "no";
    } catch {
      process.stderr.write("\n");
      cancel();
      return "no";
    } finally {
      reader.close();
    }
  };
  return {
    ask: (step) => {
      const answer = ask(step);
      open = answer;
      return answer;
    },
    idle: async () => void (await open),
  };
}

/** Show unknown host keys and ask, once for all of them, whether to trust them. False without a terminal. */
export async function askHostKeys(keys: readonly UnknownHostKey[]): Promise<boolean> {
  if (process.stdin.isTTY !== true) return false;
  const { promises } = await import("node:readline");
  const files = [...new Set(keys.map(({ file }) => file))].join(", ");
  const what = keys.length === 1 ? "this key" : `these ${keys.length} keys`;
  process.stderr.write(`${formatHostKeys(keys)}\n`);
  const reader = promises.createInterface({ input: process.stdin, output: process.stderr, terminal: true });
  const interrupted = new AbortController();
  reader.once("SIGINT", () => interrupted.abort());
  try {
    const answer = await reader.question(`Trust ${what}, and add to ${files}? [y/N] `, {
      signal: interrupted.signal,
    });
    return /^y(es)?$/i.test(answer.trim());
  } catch {
    process.stderr.write("\n");
    return false;
  } finally {
    reader.close();
  }
}

/** Format a line per key: the host, its name in known_hosts where the two differ, type and fingerprint. */
export function formatHostKeys(keys: readonly UnknownHostKey[]): string {
  const rows = keys.map(({ host, name, type, fingerprint }) => [
    host,
    name === host ? "" : name,
    type,
    fingerprint,
  ]);
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => row[column]!.length)));
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .filter((cell) => cell !== "")
      .join("  "),
  );
  const title =
    keys.length === 1 ? "The key of 1 host is not known:" : `The keys of ${keys.length} hosts are not known:`;
  return [title, ...lines.map((line) => `  ${line}`)].join("\n");
}

/** The source of a password: the terminal when `ask` is set, else a file, else the environment. */
export interface PasswordSource {
  /** The password's name in messages: `password`, `become password`. */
  readonly name: string;
  /** The prompt, without its colon. */
  readonly question: string;
  readonly ask: boolean;
  /** The password where nothing is typed. Default: that is refused. */
  readonly standard?: string;
  /** A path, or a file descriptor. */
  readonly file: string | number | undefined;
  readonly variable: string;
  /** Other ways to give the password, for use without a terminal. */
  readonly hint: string;
}

/** Read a password from its source, of a file the first line; undefined when no source is set. Fails with `USAGE`. */
export async function readGivenPassword(source: PasswordSource): Promise<string | undefined> {
  const { name, question, ask, standard, file, variable, hint } = source;
  const fromEnvironment = process.env[variable];
  // Keep the password from programs started here.
  delete process.env[variable];
  const refuseEmpty = (password: string, why: string): string => {
    if (password === "") throw new VolleyError("USAGE", `the ${name} is empty: ${why}`);
    return password;
  };
  if (ask) {
    const password = await askPassphrase(`${question}: `);
    if (password === null)
      throw new VolleyError("USAGE", `there is no terminal to ask for the ${name}`, { hint });
    return password === "" && standard !== undefined ? standard : refuseEmpty(password, "nothing was typed");
  }
  if (file === undefined) return fromEnvironment === "" ? undefined : fromEnvironment;
  const where = typeof file === "string" ? file : `file descriptor ${file}`;
  let text: string;
  try {
    text = readFileSync(typeof file === "string" ? expandHome(file) : file, "utf8");
  } catch (thrown) {
    throw new VolleyError("USAGE", `cannot read the ${name} from ${where}: ${fileReason(thrown)}`);
  }
  return refuseEmpty(text.split(/\r?\n/)[0]!, `the first line of ${where} is empty`);
}

/** Replace the `~` that the shell leaves in `--option=~/file` by the home directory. */
export function expandHome(path: string): string {
  return path.replace(/^~(?=\/)/, homedir());
}
