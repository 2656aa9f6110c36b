import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { basename, resolve } from "node:path";
import type { SecretSource } from "../../core/secret.ts";
import { decodeUtf8, fileReason } from "../../core/unix/user-file.ts";

/** The keys to encrypted files and values. */
export interface SecretOptions {
  /** Files that hold an Ansible Vault password; an executable file is run and prints it. `ANSIBLE_VAULT_PASSWORD_FILE` names one more. */
  readonly vaultPasswordFiles?: readonly string[];
  /** `label@source` or `source`, where the source is `prompt` or a file as above; a program named `…-client` gets the label. */
  readonly vaultIds?: readonly string[];
  /** Ask for an Ansible Vault password. Default: false. */
  readonly askVaultPassword?: boolean;
  /** Files of age identities. Default: those in `VOLLEY_AGE_IDENTITY`, then in `SOPS_AGE_KEY_FILE`, then `~/.config/volley/age.key`. */
  readonly ageIdentityFiles?: readonly string[];
}

/** Ask at the terminal, without showing the answer; null without a terminal. */
export type AskSecret = (prompt: string) => Promise<string | null>;

/** The settings of a secret store. */
export interface SecretStoreOptions extends SecretOptions {
  /** An absolute path; relative paths in the options begin there. */
  readonly cwd: string;
  /** Default: the process's own environment. */
  readonly env?: NodeJS.ProcessEnv;
  /** Default: no questions. */
  readonly ask?: AskSecret;
  readonly signal?: AbortSignal;
}

/** The reason why a secret has no value, worded to follow a sentence that names it. The store, which knows var and file, makes an error of it. */
export class SecretProblem extends Error {
  override readonly name = "SecretProblem";
  readonly hint: string | undefined;

  constructor(message: string, hint?: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.hint = hint;
  }
}

/** The surroundings in which secrets of an inventory are read. */
interface ReadSecretOptions {
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  readonly ask: AskSecret;
  readonly signal?: AbortSignal | undefined;
}

/** Return the value of a secret that is not encrypted. Fail with a {@link SecretProblem}. */
export async function readSecret(
  source: Exclude<SecretSource, { kind: "vault" | "opened" }>,
  options: ReadSecretOptions,
): Promise<string> {
  const { cwd, env, ask, signal } = options;
  switch (source.kind) {
    case "env":
      return readVariable(source.name, env);
    case "file":
      return withoutLineEnd(
        await readText(resolve(source.directory ?? cwd, expandHome(source.path, env)), source.path),
      );
    case "command": {
      const argv = typeof source.command === "string" ? ["sh", "-c", source.command] : source.command;
      const value = withoutLineEnd(await runProgram(argv, { cwd: source.directory ?? cwd, env, signal }));
      if (value === "") throw new SecretProblem("the command printed nothing");
      return value;
    }
    case "prompt": {
      const answer = await ask(`${source.prompt}: `);
      if (answer === null)
        throw new SecretProblem(
          `nobody answered "${source.prompt}"`,
          "run it in a terminal, or take the secret from an environment variable, a file or a command",
        );
      if (answer === "") throw new SecretProblem(`the answer to "${source.prompt}" is empty`);
      return answer;
    }
  }
}

function readVariable(name: string, env: NodeJS.ProcessEnv): string {
  const value = env[name];
  if (value === undefined || value === "") {
    throw new SecretProblem(
      `the environment variable ${name} is ${value === "" ? "empty" : "not set"}`,
      `set it before running: export ${name}=…`,
    );
  }
  return value;
}

/** Replace `~/` at the start of a path. */
export function expandHome(path: string, env: NodeJS.ProcessEnv): string {
  return path.replace(/^~(?=\/|$)/, () => env.HOME || homedir());
}

/** Return a file's text. Fail with a {@link SecretProblem} that calls the file `shown`. */
export async function readText(path: string, shown: string): Promise<string> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (thrown) {
    throw new SecretProblem(
      `the file ${shown} cannot be read: ${fileReason(thrown)}`,
      path === shown ? undefined : `looked for ${path}`,
    );
  }
  return secretText(bytes, `the file ${shown}`);
}

/** Remove the end of a single line, as shells do. A file of several lines, such as a private key, needs its last line end. */
function withoutLineEnd(text: string): string {
  return /^[^\r\n]*\r?\n$/.test(text) ? text.replace(/\r?\n$/, "") : text;
}

const TIMEOUT_MS = 60_000;
const MAX_BYTES = 4 << 20;

/** The surroundings of a program that prints a secret. */
interface ProgramOptions {
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  readonly signal?: AbortSignal | undefined;
}

/** Run a program for at most 60 s and return its output; it may use the terminal. Fail with a {@link SecretProblem} that repeats nothing of its standard output. */
export function runProgram(argv: readonly string[], { cwd, env, signal }: ProgramOptions): Promise<string> {
  const [command = "", ...args] = argv;
  const name = command === "sh" && args[0] === "-c" ? "the command" : basename(command);
  return new Promise((resolve, reject) => {
    const limit = AbortSignal.timeout(TIMEOUT_MS);
    const child = spawn(command, args, {
      cwd,
      env,
      stdio: [process.stdin.isTTY === true ? "inherit" : "ignore", "pipe", "pipe"],
      signal: signal === undefined ? limit : AbortSignal.any([limit, signal]),
    });
    const printed: Buffer[] = [];
    let bytes = 0;
    let said = "";
    child.stdout?.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= MAX_BYTES) printed.push(chunk);
      else child.kill();
    });
    child.stderr?.on("data", (chunk: Buffer) => {
      said = (said + chunk.toString("utf8")).slice(-2_000);
    });
    child.once("error", (error: NodeJS.ErrnoException) => {
      const reason = limit.aborted
        ? `gave no answer within ${TIMEOUT_MS / 1_000} s`
        : signal?.aborted === true
          ? "was cancelled"
          : error.code === "ENOENT"
            ? "was not found"
            : `could not be run: ${error.code ?? error.message}`;
      reject(new SecretProblem(`${name} ${reason}`));
    });
    child.once("close", (code) => {
      if (bytes > MAX_BYTES)
        return reject(new SecretProblem(`${name} printed more than ${MAX_BYTES >> 20} MiB`));
      if (code === 0) {
        try {
          return resolve(secretText(Buffer.concat(printed), `what ${name} prints`));
        } catch (problem) {
          return reject(problem);
        }
      }
      const last = said.trim().split("\n").at(-1) ?? "";
      reject(
        new SecretProblem(`${name} exited with code ${code}`, last === "" ? undefined : `it said: ${last}`),
      );
    });
  });
}

/** Return the text of a secret's bytes. Fail with a {@link SecretProblem} that calls their origin `what`. */
export function secretText(bytes: Uint8Array, what: string): string {
  const decoded = decodeUtf8(bytes);
  if ("text" in decoded) return decoded.text;
  throw new SecretProblem(`line ${decoded.line} of ${what} is not UTF-8`);
}

/** Return the function with its answers kept: it is called once for each argument, and concurrent callers share the answer. */
export function memoOf<A, R>(work: (argument: A) => Promise<R>): (argument: A) => Promise<R> {
  const answers = new Map<A, Promise<R>>();
  return (argument) => {
    let answer = answers.get(argument);
    if (answer === undefined) {
      answer = work(argument);
      answers.set(argument, answer);
    }
    return answer;
  };
}
