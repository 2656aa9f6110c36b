import { spawn } from "node:child_process";
import { basename } from "node:path";
import { SecretProblem } from "./problem.ts";
import { secretText } from "./secret-text.ts";

const TIMEOUT_MS = 60_000;
const MAX_BYTES = 4 << 20;

/** How a program that prints a secret is run. */
export interface ProgramOptions {
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  readonly signal?: AbortSignal | undefined;
}

/** What a program prints. It may use the terminal; it has 60 s. Fails with a {@link SecretProblem} that repeats nothing it printed on standard output. */
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
