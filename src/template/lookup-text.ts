import { messageOf } from "../core/errors.ts";
import { beginsAnew, fail } from "./errors.ts";
import { type CallState, str } from "./values.ts";

/** Return the text of a file for a lookup: of the role or the playbook, or else of the controller. */
export function lookedUpText(lookup: string, term: unknown, state: CallState): string {
  const name = str(term);
  const text = state.readText(name, "files");
  // A file that is encrypted is opened where the passwords are.
  if (text !== null && !(text.startsWith("$ANSIBLE_VAULT;") && state.ask !== undefined)) return text;
  if (state.ask === undefined) return missing(lookup, "file", name);
  try {
    return str(state.ask("file", [name], { lstrip: false, rstrip: false })[0]);
  } catch (thrown) {
    if (lookup === "file" || beginsAnew(thrown)) throw thrown;
    return fail(`lookup ${lookup}: [Errno 2] No such file or directory: '${name}': ${messageOf(thrown)}`);
  }
}

/** Fail for a file that neither the role nor the playbook has. */
export function missing(lookup: string, kind: "file" | "template", name: string): never {
  const where = `neither the role nor the playbook has it in its ${kind}s directory`;
  const path = name.startsWith("/") ? "only files of the playbook and its roles can be looked up" : where;
  return fail(`lookup ${lookup}: there is no ${kind} '${name}': ${path}`);
}
