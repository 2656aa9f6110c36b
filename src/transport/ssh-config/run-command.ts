import { spawn } from "node:child_process";
import { VolleyError } from "../../core/errors.ts";
import { printable } from "../../core/text.ts";
import type { RunCommand } from "./evaluate.ts";

/**
 * Runs commands of `Match exec` as `ssh` does: by the user's shell, with nothing on standard input, what they print thrown
 * away, and errors on the terminal. The same command runs once. Fails with `USAGE` where a command cannot be started or
 * is killed, with `CANCELLED` when the signal is given.
 */
export function createCommands(signal: AbortSignal): RunCommand {
  const answers = new Map<string, Promise<boolean>>();
  return (command) => {
    let answer = answers.get(command);
    if (answer === undefined) {
      answer = run(command, signal);
      answers.set(command, answer);
    }
    return answer;
  };
}

function run(command: string, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const shown = `Match exec ${printable(JSON.stringify(command), 300)}`;
    if (signal.aborted) return reject(new VolleyError("CANCELLED", `${shown} was cancelled`));
    const child = spawn(process.env.SHELL || "/bin/sh", ["-c", command], {
      stdio: ["ignore", "ignore", "inherit"],
    });
    const onAbort = (): void => void child.kill();
    signal.addEventListener("abort", onAbort, { once: true });
    child.once("error", (error) =>
      reject(new VolleyError("USAGE", `ssh_config: ${shown}: ${error.message}`)),
    );
    child.once("exit", (code, killed) => {
      signal.removeEventListener("abort", onAbort);
      if (signal.aborted) reject(new VolleyError("CANCELLED", `${shown} was cancelled`));
      else if (code === null) reject(new VolleyError("USAGE", `ssh_config: ${shown} was ended by ${killed}`));
      else resolve(code === 0);
    });
  });
}
