import type { ItemResult, Result } from "./result.ts";
import { isRecord } from "./values/value.ts";

// Results in the shape that Ansible's `register` gives them.

/** The result of a task, as Ansible's playbooks and templates see it. */
export type Register = Record<string, unknown>;

/** Turn the result of an action into a register. `said`: the action's own message of what it did. */
export function registerOf(result: Result | ItemResult, said?: string): Register {
  const data: Register = isRecord(result.data)
    ? { ...result.data }
    : result.data === undefined
      ? {}
      : { data: result.data };
  const changed = result.state === "changed";
  const register: Register = { ...data, changed, failed: result.state === "failed" };
  if (result.state === "skipped") register.skipped = true;
  const message = result.error?.message ?? said ?? (result.state === "skipped" ? result.message : undefined);
  if (message !== undefined && register.msg === undefined) register.msg = message;
  return withLines(register);
}

/** Add `stdout_lines` and `stderr_lines`, as Ansible does to every result that has an output. */
function withLines(register: Register): Register {
  for (const name of ["stdout", "stderr"]) {
    const text = register[name];
    if (typeof text === "string" && register[`${name}_lines`] === undefined)
      register[`${name}_lines`] = linesOf(text);
  }
  return register;
}

/** Split a text as Python's splitlines does for the ends of lines that programs print. */
function linesOf(text: string): readonly string[] {
  const lines = text.split(/\r\n|\r|\n/);
  if (lines.at(-1) === "") lines.pop();
  return lines;
}
