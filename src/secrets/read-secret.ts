import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { resolve } from "node:path";
import type { SecretSource } from "../core/secret.ts";
import type { AskSecret } from "./options.ts";
import { SecretProblem } from "./problem.ts";
import { runProgram } from "./run-program.ts";
import { secretText } from "./secret-text.ts";

/** What secrets that are written in an inventory are read with. */
export interface ReadSecretOptions {
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  readonly ask: AskSecret;
  readonly signal?: AbortSignal | undefined;
}

/** The value of a secret that is not encrypted. Fails with a {@link SecretProblem}. */
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

/** `~/` at the start of a path filled in. */
export function expandHome(path: string, env: NodeJS.ProcessEnv): string {
  return path.replace(/^~(?=\/|$)/, () => env.HOME || homedir());
}

/** A file's text. Fails with a {@link SecretProblem} that calls it `shown`. */
export async function readText(path: string, shown: string): Promise<string> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (thrown) {
    const { code } = thrown as NodeJS.ErrnoException;
    const reason =
      code === "ENOENT"
        ? "there is no such file"
        : code === "EACCES"
          ? "permission denied"
          : (code ?? String(thrown));
    throw new SecretProblem(
      `the file ${shown} cannot be read: ${reason}`,
      path === shown ? undefined : `looked for ${path}`,
    );
  }
  return secretText(bytes, `the file ${shown}`);
}

/** A single line loses its end, as shells do it; a file of several, such as a private key, needs it. */
function withoutLineEnd(text: string): string {
  return /^[^\r\n]*\r?\n$/.test(text) ? text.replace(/\r?\n$/, "") : text;
}
