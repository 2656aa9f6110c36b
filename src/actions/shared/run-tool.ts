import { VolleyError } from "../../core/errors.ts";
import type { ProcessOptions, ProcessResult, System } from "../../core/system.ts";

const SHOWN_LINES = 6;

/** The lines of a tool's output that say why it failed: its last lines of stderr, or of stdout when there are none. */
export function failureText({ stdout, stderr, code }: ProcessResult): string {
  const lines = (stderr.trim() === "" ? stdout : stderr).trim().split("\n").slice(-SHOWN_LINES);
  const text = lines.map((line) => line.trim()).join("; ");
  return text === "" ? `exit code ${code}` : text;
}

/** Runs a command that must succeed; `ACTION_FAILED` says what was tried and what the command answered. */
export async function runTool(
  system: System,
  argv: readonly string[],
  attempted: string,
  options?: ProcessOptions,
): Promise<ProcessResult> {
  const result = await system.run(argv, options);
  if (result.code !== 0) {
    throw new VolleyError("ACTION_FAILED", `cannot ${attempted}: ${failureText(result)}`);
  }
  return result;
}
