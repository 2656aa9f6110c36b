import { existsSync, readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { formatLocation, isVolleyError, type SourceLocation } from "../../core/errors.ts";
import { safeErrorLines } from "../../reporter/rows/sanitize.ts";

/**
 * Format an error that ends a run as scripts for ansible-playbook look for it: `ERROR! ` and the message, then the place
 * with its line of the playbook. Return undefined for a fault that is not the playbook's.
 */
export function ansibleErrorText(thrown: unknown, playbooks: readonly string[]): string | undefined {
  if (!isVolleyError(thrown) || thrown.code === "USAGE" || thrown.code === "INTERNAL") return undefined;
  const { message, hint, location } = thrown;
  const lines = [`ERROR! ${message}`];
  if (location !== undefined) lines.push("", ...placeLines(location, playbooks));
  if (hint !== undefined) lines.push("", hint);
  return `${lines.flatMap((line) => safeErrorLines(line)).join("\n")}\n`;
}

/** The place of an error, and the line that stands there with a mark below its column. */
function placeLines(location: SourceLocation, playbooks: readonly string[]): readonly string[] {
  const place = `at ${formatLocation(location)}`;
  const { file, line, column } = location;
  const path = playbooks.map((playbook) => resolve(dirname(playbook), file)).find(existsSync);
  if (path === undefined || line === undefined) return [place];
  let text: string | undefined;
  try {
    text = readFileSync(path, "utf8").split("\n")[line - 1]?.trimEnd();
  } catch {
    // The message says what is wrong, with or without the text.
  }
  if (text === undefined || text === "") return [place];
  return [place, "", text, ...(column === undefined ? [] : [`${" ".repeat(Math.max(0, column - 1))}^ here`])];
}
