import { ActionFailure } from "../../core/action.ts";
import { VolleyError } from "../../core/errors.ts";
import type { ProcessOptions, ProcessResult, System } from "../../core/system.ts";
import { splitWords } from "../../core/unix/shell.ts";

const SHOWN_LINES = 6;

/** Return why a tool failed: the last lines of its stderr, else of its stdout, else its exit code. */
export function failureText({ stdout, stderr, code }: ProcessResult): string {
  const lines = (stderr.trim() === "" ? stdout : stderr).trim().split("\n").slice(-SHOWN_LINES);
  const text = lines.map((line) => line.trim()).join("; ");
  return text === "" ? `exit code ${code}` : text;
}

/**
 * Run a command that must succeed. Fails with `ACTION_FAILED`, with the attempted deed and the command's output, which
 * the data has as well, as of Ansible's modules.
 */
export async function runTool(
  system: System,
  argv: readonly string[],
  attempted: string,
  options?: ProcessOptions,
): Promise<ProcessResult> {
  const result = await system.run(argv, options);
  const { code: rc, stdout, stderr } = result;
  if (rc !== 0)
    throw new ActionFailure("ACTION_FAILED", `cannot ${attempted}: ${failureText(result)}`, {
      rc,
      stdout,
      stderr,
    });
  return result;
}

/** Split a command line into words as a POSIX shell does, without expansion. Fails with `ACTION_FAILED` for an open quote. */
export function commandWords(line: string): readonly string[] {
  return splitWords(line, {
    escapes: "shell",
    fail: ({ kind }) => {
      throw new VolleyError("ACTION_FAILED", `the command line \`${line}\` has an unfinished ${kind}`);
    },
  });
}
