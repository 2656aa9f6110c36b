import { readBool } from "../../actions/coerce.ts";
import type { VarPrompt } from "../../core/program.ts";
import { isRecord } from "../../core/values/value.ts";
import type { Vars } from "../../core/values/vars.ts";
import type { Keys } from "../ir.ts";

/** The keys of an entry of `vars_prompt`. */
export const PROMPT_KEYS: ReadonlySet<string> = new Set([
  ...["confirm", "default", "encrypt", "name", "private", "prompt", "salt", "salt_size", "unsafe"],
]);

/** Return the entries of a play's `vars_prompt`, which may be one alone. The loader has checked them. */
export function promptsOf({ vars_prompt: given }: Keys): readonly VarPrompt[] {
  return (Array.isArray(given) ? given : [given]).filter(isRecord) as unknown as readonly VarPrompt[];
}

/** The vars of `vars_prompt` where nobody was asked, as Ansible has them: their defaults, or the text `None`. */
export function unasked(keys: Keys): Vars {
  return Object.fromEntries(promptsOf(keys).map(({ name, default: initial }) => [name, initial ?? "None"]));
}

/** Read a switch of an entry, such as `private`, as Ansible reads bools; undefined for anything else. */
export function readSwitch(value: unknown): boolean | undefined {
  return readBool(value);
}
