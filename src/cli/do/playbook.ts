import type { PlaybookText } from "../../bundle/playbook.ts";
import { Data, isDict, writeJson } from "../../core/values/value.ts";
import { type CalledAction, holdsTemplates } from "./arguments.ts";

// The play of Ansible's YAML that does an action.

/** Actions whose files, roles or expressions may ask for facts. */
const MAY_ASK_FOR_FACTS: ReadonlySet<string> = new Set([
  ...["assert", "include_role", "import_role", "include_tasks", "import_tasks", "include", "set_fact"],
  "template",
]);

/** Return whether an action may ask for facts, which are gathered then. */
export function asksForFacts({ name, args }: CalledAction): boolean {
  return MAY_ASK_FOR_FACTS.has(name) || (name === "debug" && args.var !== undefined) || holdsTemplates(args);
}

/** Make a playbook whose one play does an action on hosts. */
export function playbookOf(hosts: string, action: CalledAction): PlaybookText {
  const { module, name, args } = action;
  const task = { name: module, [module]: args };
  return {
    name: `do ${name}`,
    text: yamlText([{ name: hosts, hosts, gather_facts: asksForFacts(action), tasks: [task] }]),
  };
}

/** Write a value as YAML: JSON, but for texts that are no templates. */
function yamlText(value: unknown): string {
  if (value instanceof Data) return `!unsafe ${quoted(value.text)}`;
  if (typeof value === "string") return quoted(value);
  if (Array.isArray(value)) return `[${value.map(yamlText).join(", ")}]`;
  if (!isDict(value)) return writeJson(value ?? null);
  const entries = value instanceof Map ? [...value] : Object.entries(value);
  return `{${entries.map(([key, item]) => `${quoted(String(key))}: ${yamlText(item)}`).join(", ")}}`;
}

/** Characters that JSON leaves bare and YAML does not take. */
const UNPRINTABLE = /[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]/g;

function quoted(text: string): string {
  return JSON.stringify(text).replace(
    UNPRINTABLE,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
